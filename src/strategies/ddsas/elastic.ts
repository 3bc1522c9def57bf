/** Elastic spaces (section 4.2): operations deleted from the whole space, or added to it, during a search. */
import { DdsasError } from '../../errors.ts'
import type { GroupChange } from '../strategy.ts'
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

/** Compares what was available with what is; `operations` names the columns. */
export function describeChange(
  before: EdgeMask,
  after: EdgeMask,
  operations: readonly string[],
): GroupChange {
  const count = (here: EdgeMask, there: EdgeMask) =>
    Object.fromEntries(
      operations
        .map((name, k) => [name, here.filter((row, edge) => row[k] && !there[edge][k]).length] as const)
        .filter(([, edges]) => edges > 0),
    )
  return {
    available: after.flat().filter(Boolean).length,
    deleted: count(before, after),
    added: count(after, before),
  }
}

/**
 * The first shrink that comes before any window is credited, and the epoch from which on one knows saliencies. An epoch's
 * changes are made before the window that ends there is credited. `stepsPerEpoch`, and `window` (M), of which `restarts` says
 * that every epoch begins one.
 */
export function blindShrink(
  changes: readonly { readonly epoch: number; readonly change: SpaceChange }[],
  { stepsPerEpoch, window, restarts }: Record<'stepsPerEpoch' | 'window', number> & { restarts: boolean },
): { readonly epoch: number; readonly credited: number; readonly knowing: number } | undefined {
  const credited = restarts ? Math.min(window, stepsPerEpoch) : window
  const epochs = changes.flatMap(({ epoch, change }) => (change.kind === 'shrink' ? [epoch] : []))
  const epoch = Math.min(...epochs)
  if (epochs.length === 0 || epoch * stepsPerEpoch > credited) return undefined
  return { epoch, credited, knowing: Math.floor(credited / stepsPerEpoch) + 1 }
}

/** What a schedule must fit. */
export interface ElasticSpace {
  readonly edges: number
  /** Names of the columns. */
  readonly operations: readonly string[]
  /** Column of the operation that is nothing, where there is one. */
  readonly none?: number | undefined
  readonly epochs: number
}

/**
 * Checks a schedule before a search begins with it. Changes may stand in any order; those of one epoch are made in theirs.
 * @throws {DdsasError} `input` naming the first change that cannot be made: after the end, columns that do not exist or run
 * backwards, more deletions than there are operations to delete, an edge left with `none` alone.
 */
export function checkChanges(
  changes: readonly { readonly epoch: number; readonly change: SpaceChange }[],
  { edges, operations, none = -1, epochs }: ElasticSpace,
): void {
  // the most that can be there: how far additions and deletions overlap is known only when they are made
  let most = edges * operations.length
  let alone = false
  const ordered = [...changes].sort((a, b) => a.epoch - b.epoch)
  for (const [index, { epoch, change }] of ordered.entries()) {
    const refuse = (problem: string): never => {
      throw new DdsasError('input', `ddsas.changes: the ${change.kind} at epoch ${epoch} ${problem}`)
    }
    if (epoch >= epochs)
      refuse(`comes after the last: epochs count from 0, so that the last of ${epochs} is ${epochs - 1}`)
    if (change.kind === 'shrink') {
      const deletable = most - edges
      if (change.count > deletable)
        refuse(`deletes ${change.count} operations where at most ${deletable} can go: each edge keeps one`)
      most -= change.count
    } else {
      most = grown(most, change, { edges, operations }, refuse)
      const others = operations.some((_, k) => k !== none && k >= change.from && k < change.to)
      alone = !others && (alone || change.from === 0)
    }
    // more columns may come in the same epoch, as in the space of none, skip_connect and sep_conv_3x3
    if (alone && ordered[index + 1]?.epoch !== epoch)
      refuse(`leaves edges with none alone: add more columns of ${columnsOf(operations)}`)
  }
}

const columnsOf = (operations: readonly string[]) => operations.map((name, k) => `${k} ${name}`).join(', ')

/** The most operations after an expansion. */
function grown(
  most: number,
  { from, to }: { readonly from: number; readonly to: number },
  { edges, operations }: Pick<ElasticSpace, 'edges' | 'operations'>,
  refuse: (problem: string) => never,
): number {
  if (from >= to || to > operations.length)
    refuse(`has columns ${from} to ${to} (exclusive): name a range of ${columnsOf(operations)}`)
  const added = edges * (to - from)
  return from === 0 ? added : Math.min(edges * operations.length, most + added)
}
