/** Saliency (Eq. 11, 12): the mean weight of an operation over the windows it was sampled in, and the cell it picks. */
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

/** What the search remembers of one cell type, besides alpha and zeta; all [edges x operations]. */
export interface SamplingState {
  /** Running mean over its windows of an operation's unnormalised weight. */
  readonly saliency: EdgeMatrix
  /** t: in how many windows an operation was sampled, plus the variant's prior. */
  readonly pulls: EdgeMatrix
  /** The subspace of the current window. */
  readonly mask: EdgeMask
  /** Operations the space still holds. */
  readonly available: EdgeMask
}

function filled<Value>(edges: number, operations: number, value: Value): Value[][] {
  return Array.from({ length: edges }, () => Array.from({ length: operations }, () => value))
}

/** The memory at the start of a search: nothing sampled, everything available. `prior` is the initial t. */
export function emptyMemory(edges: number, operations: number, prior: number): SamplingState {
  return {
    saliency: filled(edges, operations, 0),
    pulls: filled(edges, operations, prior),
    mask: filled(edges, operations, false),
    available: filled(edges, operations, true),
  }
}

/**
 * Closes a window: for each sampled operation s <- (s t + w) / (t + 1), t <- t + 1, with w its weight now. With t = 0 at
 * first this is Eq. (12); with t = 1, as the published code starts, it is the sum over (windows + 1).
 */
export function closeWindow(memory: SamplingState, weights: EdgeMatrix): SamplingState {
  const { mask, pulls } = memory
  const saliency = memory.saliency.map((row, edge) =>
    row.map((value, k) => {
      const count = pulls[edge][k]
      return mask[edge][k] ? (value * count + weights[edge][k]) / (count + 1) : value
    }),
  )
  return {
    ...memory,
    saliency,
    pulls: pulls.map((row, edge) => row.map((t, k) => (mask[edge][k] ? t + 1 : t))),
  }
}

export interface ChosenEdge {
  /** The node the edge comes from: 0 and 1 are the cell's inputs. */
  readonly input: number
  /** Column of the operation. */
  readonly operation: number
}

/** Column of the most salient available operation of an edge other than `none`; the first of equals. */
function best(row: readonly number[], available: readonly boolean[], none: number): number {
  return row.reduce(
    (found, value, k) => (available[k] && k !== none && (found < 0 || value > row[found]) ? k : found),
    -1,
  )
}

/**
 * The cell: for each node its two incoming edges with the most salient operations, each with that operation; equals
 * stay in order of input. Edges are numbered node by node, node n having n + 2 of them. What is not available is never
 * chosen. The published code multiplies saliency by availability, which comes to the same where an edge has an available
 * operation of any saliency; where it has none, that code may take a deleted operation.
 */
export function chooseEdges(saliency: EdgeMatrix, available: EdgeMask, none: number): ChosenEdge[][] {
  const nodes: ChosenEdge[][] = []
  for (let first = 0; first < saliency.length; first += nodes.length + 1) {
    const incoming = saliency.slice(first, first + nodes.length + 2)
    const edges = incoming.map((row, input) => {
      const operation = best(row, available[first + input], none)
      return { input, operation, value: row[operation] }
    })
    const strongest = edges.sort((a, b) => b.value - a.value).slice(0, 2)
    nodes.push(strongest.map(({ input, operation }) => ({ input, operation })))
  }
  return nodes
}
