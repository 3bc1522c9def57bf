/** The DARTS space as data: operations on the edges of a cell of four nodes. */
import { type Operation, operations } from './operations.ts'

/** What can be built of cells: a row of data. */
export interface CellSpace {
  readonly name: string
  /** Candidates on each edge by name; their order gives the columns of alpha, zeta and masks. */
  readonly operations: Readonly<Record<string, Operation>>
  /** Intermediate nodes of a cell; node n has an edge from each of the n + 2 nodes before it. */
  readonly nodes: number
}

export const darts: CellSpace = { name: 'darts', operations, nodes: 4 }

/** How many edges a cell of the space has: 14 with four nodes. */
export function edgeCount({ nodes }: Pick<CellSpace, 'nodes'>): number {
  return (nodes * (nodes + 3)) / 2
}

/** Number of the edge from `input` (0 and 1: the cell's inputs) to intermediate node `node`. */
export function edgeIndex(node: number, input: number): number {
  return (node * (node + 3)) / 2 + input
}
