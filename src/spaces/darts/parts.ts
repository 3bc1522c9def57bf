/** What a cell is made of: for each node, every pair of its incoming edges with every pair of operations on them. */
import type { Alternative } from '../space.ts'
import type { CellType } from './genotype.ts'
import { type CellSpace, edgeIndex } from './space.ts'

/** The alternatives of each node: pairs of edges by their inputs, then operations by their columns. */
export function cellParts(cell: CellType, { nodes, operations }: CellSpace): Alternative[][] {
  const columns = Object.keys(operations).flatMap((name, column) => (name === 'none' ? [] : [column]))
  return Array.from({ length: nodes }, (_, node) => {
    const edge = (input: number) =>
      columns.map((column) => ({ group: cell, row: edgeIndex(node, input), column }))
    const inputs = Array.from({ length: node + 2 }, (_, input) => input)
    return inputs.flatMap((second) =>
      inputs
        .slice(0, second)
        .flatMap((first) => edge(first).flatMap((one) => edge(second).map((other) => [one, other]))),
    )
  })
}
