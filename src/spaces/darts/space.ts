/** The DARTS space as data: eight operations on the edges of a cell of four nodes. */
import type { OperationName } from './operations.ts'

/** What can be built of cells: a row of data. */
export interface CellSpace {
  readonly name: string
  /** Candidates on each edge; their order gives the columns of alpha, zeta and masks. */
  readonly operations: readonly OperationName[]
  /** Intermediate nodes of a cell; node n has an edge from each of the n + 2 nodes before it. */
  readonly nodes: number
}

export const darts: CellSpace = {
  name: 'darts',
  operations: [
    'none',
    'max_pool_3x3',
    'avg_pool_3x3',
    'skip_connect',
    'sep_conv_3x3',
    'sep_conv_5x5',
    'dil_conv_3x3',
    'dil_conv_5x5',
  ],
  nodes: 4,
}

/** How many edges a cell of the space has: 14 with four nodes. */
export function edgeCount(space: CellSpace): number {
  return (space.nodes * (space.nodes + 3)) / 2
}

/** Number of the edge from `input` (0 and 1: the cell's inputs) to intermediate node `node`. */
export function edgeIndex(node: number, input: number): number {
  return (node * (node + 3)) / 2 + input
}
