/**
 * A genotype: the discrete cell a search ends with, as plain data in DARTS's form. Nothing else passes between
 * the stages (search, retraining, export, drawing).
 */
import { DdsasError } from '../../errors.ts'

/** An incoming edge of a node: the operation's published name and the index of the node it reads. */
export type GenotypeEdge = readonly [operation: string, input: number]

/**
 * Two edges for each intermediate node, in node order. Inputs 0 and 1 are the outputs of the two previous cells
 * (c_{k-2}, c_{k-1}); input n + 2 is intermediate node n. `*_concat` lists the nodes whose outputs are concatenated.
 */
export interface Genotype {
  readonly normal: readonly GenotypeEdge[]
  readonly normal_concat: readonly number[]
  readonly reduce: readonly GenotypeEdge[]
  readonly reduce_concat: readonly number[]
}

export type CellType = 'normal' | 'reduce'

export const cellTypes: readonly CellType[] = ['normal', 'reduce']

/** The edges of a cell. Throws DdsasError 'input' where a genotype has none, as JavaScript may give anything for one. */
function edgesOf(genotype: Genotype, cell: CellType): readonly GenotypeEdge[] {
  const edges: unknown = genotype?.[cell]
  if (Array.isArray(edges) && edges.every(Array.isArray)) return genotype[cell]
  throw new DdsasError(
    'input',
    `genotype: ${String(cell)}: expected a list of edges, [operation, input] each`,
  )
}

function edgeNames(genotype: Genotype): string[] {
  return cellTypes.flatMap((cell) =>
    edgesOf(genotype, cell).map(
      ([operation, input], index) => `${cell} ${Math.floor(index / 2)} ${input} ${operation}`,
    ),
  )
}

/**
 * Cosine distance of two genotypes as one-hot vectors over (cell type, node, input, operation): 0 for the same cell, 1
 * for cells without a common edge (section 4.5.1).
 */
export function cosineDistance(a: Genotype, b: Genotype): number {
  const [first, second] = [edgeNames(a), edgeNames(b)]
  const common = first.filter((name) => second.includes(name)).length
  return 1 - common / Math.sqrt(first.length * second.length)
}

/** How many skip connections a cell has: a search that collapses ends with nothing else. */
export function skipConnections(genotype: Genotype, cell: CellType): number {
  return edgesOf(genotype, cell).filter(([operation]) => operation === 'skip_connect').length
}
