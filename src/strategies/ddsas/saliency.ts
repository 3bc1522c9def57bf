/** Saliency (Eq. 11, 12): the mean weight of an operation over the windows it was sampled in, plain or decayed. */
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

/** What the search remembers of one cell type, besides alpha and zeta; all [edges x operations]. */
export interface SamplingState {
  /** Running mean over its windows of an operation's unnormalised weight. */
  readonly saliency: EdgeMatrix
  /** t: in how many windows an operation was sampled, plus the variant's prior. */
  readonly pulls: EdgeMatrix
  /** Where saliency is a decayed mean, the sum of the weights of its windows in it; else that is t. */
  readonly credits?: EdgeMatrix | undefined
  /** Where the sizes of gradients say what is sampled: what they came to, and in how many windows. */
  readonly rewards?: EdgeMatrix | undefined
  readonly rewarded?: EdgeMatrix | undefined
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
 * first this is Eq. (12); with t = 1, as the published code starts, it is the sum over (windows + 1). Where `decay` is less than 1
 * the same by n in place of t, with n <- decay n before that for all: what weighs 1 in the mean now weighs decay^i after i windows,
 * whichever were sampled in them, and so do the windows that a prior stands for.
 */
export function closeWindow(memory: SamplingState, weights: EdgeMatrix, decay = 1): SamplingState {
  const { mask, pulls } = memory
  const counts = (memory.credits ?? pulls).map((row) => row.map((count) => decay * count))
  const counted = (matrix: EdgeMatrix) =>
    matrix.map((row, edge) => row.map((count, k) => (mask[edge][k] ? count + 1 : count)))
  const saliency = memory.saliency.map((row, edge) =>
    row.map((value, k) => {
      const count = counts[edge][k]
      return mask[edge][k] ? (value * count + weights[edge][k]) / (count + 1) : value
    }),
  )
  const closed = { ...memory, saliency, pulls: counted(pulls) }
  return decay === 1 ? closed : { ...closed, credits: counted(counts) }
}
