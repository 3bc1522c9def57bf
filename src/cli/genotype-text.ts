/** A genotype in words: what each node of its cells adds up. */
import { type CellType, cellTypes, type Genotype } from '../spaces/darts/genotype.ts'

/** A block of lines for each cell. */
export function cellsInWords(genotype: Genotype): string {
  return cellTypes.map((cell) => `${cellLines(genotype, cell).join('\n')}\n`).join('\n')
}

function cellLines(genotype: Genotype, cell: CellType): string[] {
  const source = (input: number): string => ['c_{k-2}', 'c_{k-1}'][input] ?? `node ${input - 2}`
  const nodes = Array.from({ length: genotype[cell].length / 2 }, (_, node) => {
    const edges = genotype[cell].slice(2 * node, 2 * node + 2)
    return `  node ${node} = ${edges.map(([operation, input]) => `${operation}(${source(input)})`).join(' + ')}`
  })
  return [
    cell === 'normal' ? 'normal cell' : 'reduction cell',
    ...nodes,
    `  c_{k}  = concat(${genotype[`${cell}_concat`].map(source).join(', ')})`,
  ]
}
