/** Elastic spaces (section 4.2): operations deleted from the whole space, or added to it, during a search. */
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

/** What happens to the space at the start of an epoch. */
export type SpaceChange =
  /** Delete so many of the least salient operations of each cell type. */
  | { readonly kind: 'shrink'; readonly count: number }
  /** Make the operations of columns `from` to `to` (exclusive) available on every edge. */
  | { readonly kind: 'expand'; readonly from: number; readonly to: number }

/** Deletes the `count` least salient available operations, never the last one of an edge other than `none`. */
function shrink(available: EdgeMask, saliency: EdgeMatrix, count: number, none: number): boolean[][] {
  const left = available.map((row) => [...row])
  const candidates = left
    .flatMap((row, edge) =>
      row.flatMap((present, k) => (present ? [{ edge, k, value: saliency[edge][k] }] : [])),
    )
    .sort((a, b) => a.value - b.value)
  let deleted = 0
  for (const { edge, k } of candidates) {
    if (deleted === count) break
    const isLast = k !== none && left[edge].filter((present, other) => present && other !== none).length === 1
    if (isLast) continue
    left[edge][k] = false
    deleted += 1
  }
  return left
}

/** The available operations after a change. `none` is the column of that operation. */
export function changeSpace(
  available: EdgeMask,
  saliency: EdgeMatrix,
  change: SpaceChange,
  none: number,
): boolean[][] {
  if (change.kind === 'shrink') return shrink(available, saliency, change.count, none)
  // an expansion from the first operation defines the space anew: nothing else is available yet
  return available.map((row) =>
    row.map((present, k) => (k >= change.from && k < change.to) || (present && change.from > 0)),
  )
}
