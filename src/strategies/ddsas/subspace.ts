/** Sampling of a subspace (section 3.3): each edge's best operation, then the best of the rest until there are L. */
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

export interface SubspaceRule {
  /** L: how many operations the subspace has over all edges. */
  readonly size: number
  /** Column of the operation `none`. */
  readonly none: number
  /** Whether `none` takes one of the L places, or enters free wherever it outranks an operation taken. */
  readonly noneCounts: boolean
}

/** For each edge the columns of the operations that run: sampled, and not `none`. */
export function activeOperations(sampled: EdgeMask, none: number): number[][] {
  return sampled.map((row) => row.flatMap((taken, k) => (taken && k !== none ? [k] : [])))
}

export interface Candidate {
  readonly edge: number
  readonly operation: number
}

/** The smallest and largest L of a space: below it one operation an edge leaves nothing to optimise (section 4.5.3). */
export function subspaceSizeRange(
  edges: number,
  operations: number,
): readonly [smallest: number, largest: number] {
  return [edges + 1, edges * operations]
}

/** Orders by score, then by estimate (both -> larger first), then by position, so that the order is total. */
function ranking(scores: EdgeMatrix, estimates: EdgeMatrix): (a: Candidate, b: Candidate) => number {
  const compare = (x: number, y: number) => (x === y ? 0 : x > y ? -1 : 1)
  return (a, b) =>
    compare(scores[a.edge][a.operation], scores[b.edge][b.operation]) ||
    compare(estimates[a.edge][a.operation], estimates[b.edge][b.operation]) ||
    a.edge - b.edge ||
    a.operation - b.operation
}

function candidatesOf(available: EdgeMask): Candidate[] {
  return available.flatMap((row, edge) =>
    row.flatMap((present, operation) => (present ? [{ edge, operation }] : [])),
  )
}

/** What is available, the best first. */
export function rankedCandidates(
  scores: EdgeMatrix,
  estimates: EdgeMatrix,
  available: EdgeMask,
): Candidate[] {
  return candidatesOf(available).sort(ranking(scores, estimates))
}

/**
 * The sampled subspace as a mask [edges x operations]. Each edge takes its best available operation other than `none`;
 * the best of all the rest follow until L are taken or none is left. Where `none` does not count, it enters free wherever
 * it ranks above an operation taken: above its edge's best, or above the last of the rest. `estimates` (zeta) orders
 * equal scores.
 */
export function sampleSubspace(
  scores: EdgeMatrix,
  estimates: EdgeMatrix,
  available: EdgeMask,
  rule: SubspaceRule,
): boolean[][] {
  const mask = available.map((row) => row.map(() => false))
  const served = available.map(() => false)
  const ranked = rankedCandidates(scores, estimates, available)
  let taken = 0
  for (const { edge, operation } of ranked) {
    if (served[edge]) continue
    const isNone = operation === rule.none
    if (isNone && rule.noneCounts) continue
    mask[edge][operation] = true
    if (isNone) continue
    served[edge] = true
    taken += 1
  }
  for (const { edge, operation } of ranked) {
    if (taken >= rule.size) break
    if (mask[edge][operation]) continue
    mask[edge][operation] = true
    if (operation !== rule.none || rule.noneCounts) taken += 1
  }
  return mask
}
