/** Saliency (Eq. 11, 12): the mean weight of an operation over the windows it was sampled in. */
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
export function emptyState(edges: number, operations: number, prior: number): SamplingState {
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
