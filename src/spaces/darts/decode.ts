/** The cell that scores mean: for each node the two edges with the best operations. */
import { bestColumn } from '../one-per-row.ts'

type Matrix = readonly (readonly number[])[]
type Mask = readonly (readonly boolean[])[]

export interface ChosenEdge {
  /** The node the edge comes from: 0 and 1 are the cell's inputs. */
  readonly input: number
  /** Column of the operation. */
  readonly operation: number
}

/**
 * The cell: for each node its two incoming edges with the most salient operations, each with that operation; equals
 * stay in order of input. Edges are numbered node by node, node n having n + 2 of them. What is not available is never
 * chosen. The published code multiplies saliency by availability, which comes to the same where an edge has an available
 * operation of any saliency; where it has none, that code may take a deleted operation.
 */
export function chooseEdges(saliency: Matrix, available: Mask, none: number): ChosenEdge[][] {
  const nodes: ChosenEdge[][] = []
  for (let first = 0; first < saliency.length; first += nodes.length + 1) {
    const incoming = saliency.slice(first, first + nodes.length + 2)
    const edges = incoming.map((row, input) => {
      const operation = bestColumn(row, available[first + input], none)
      return { input, operation, value: row[operation] }
    })
    const strongest = edges.sort((a, b) => b.value - a.value).slice(0, 2)
    nodes.push(strongest.map(({ input, operation }) => ({ input, operation })))
  }
  return nodes
}
