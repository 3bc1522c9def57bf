/** Sampling of subspaces up to an amount of memory: the rule of section 3.3 with bytes in place of L, for all groups together. */
import type { EdgeMask, EdgeMatrix } from './mixture.ts'
import { type Candidate, rankedCandidates } from './subspace.ts'

/** What is to be sampled of a group. */
export interface FilledGroup {
  readonly scores: EdgeMatrix
  /** zeta: orders equal scores. */
  readonly estimates: EdgeMatrix
  readonly available: EdgeMask
  /** Column of the operation `none`; -1 where there is none. */
  readonly none: number
}

export interface FillRule {
  /** Whether `none` is taken like other operations, or enters wherever it outranks one that is taken. It takes no memory. */
  readonly noneCounts: boolean
  /** At the peak, where these run: a mask for each group. */
  bytes(masks: readonly EdgeMask[]): number
  /** The most that may be taken. */
  readonly limit: number
}

/**
 * Sampled subspaces as masks [edges x operations], one for each group. Every edge first has its cheapest operation other than
 * `none`, so that all can run; then each takes the best that fits in its place. The best of all the rest follow, each group's
 * in turn, until the first that does not fit: what is cheap gets no further than what is dear. With memory for all this is
 * `sampleSubspace` for every L. More than `limit` is taken only where the cheapest of all edges take more.
 */
export function fillSubspaces(groups: readonly FilledGroup[], rule: FillRule): boolean[][][] {
  const ranked = groups.map(({ scores, estimates, available }) =>
    rankedCandidates(scores, estimates, available),
  )
  const reserved = groups.map((_, at) => cheapestOfEdges(groups, ranked[at], at, rule))
  const masks = groups.map(({ available }, at) =>
    available.map((row, edge) => row.map((_, operation) => reserved[at][edge] === operation)),
  )
  takeBests(groups, ranked, reserved, masks, rule)
  takeRest(groups, ranked, masks, rule)
  return masks
}

/** For each edge the operation that takes least memory by itself; the best of those that take the same. */
function cheapestOfEdges(
  groups: readonly FilledGroup[],
  ranked: readonly Candidate[],
  at: number,
  { bytes }: FillRule,
): (number | undefined)[] {
  const cheapest: { operation: number; cost: number }[] = []
  const nothing = groups.map(({ available }) => available.map((row) => row.map(() => false)))
  for (const { edge, operation } of ranked) {
    if (operation === groups[at].none) continue
    nothing[at][edge][operation] = true
    const cost = bytes(nothing)
    nothing[at][edge][operation] = false
    if (cheapest[edge] === undefined || cost < cheapest[edge].cost) cheapest[edge] = { operation, cost }
  }
  return groups[at].available.map((_, edge) => cheapest[edge]?.operation)
}

/** What stands at each place of several lists, list by list. */
function inTurn<Item>(lists: readonly (readonly Item[])[]): { readonly at: number; readonly item: Item }[] {
  const longest = Math.max(0, ...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_, place) =>
    lists.flatMap((list, at) => (place < list.length ? [{ at, item: list[place] }] : [])),
  ).flat()
}

/** Puts the best that fits in the place of what is reserved for an edge. */
function takeBests(
  groups: readonly FilledGroup[],
  ranked: readonly (readonly Candidate[])[],
  reserved: readonly (readonly (number | undefined)[])[],
  masks: readonly boolean[][][],
  { noneCounts, bytes, limit }: FillRule,
): void {
  const served = groups.map(({ available }) => available.map(() => false))
  for (const { at, item } of inTurn(ranked)) {
    const { edge, operation } = item
    if (served[at][edge]) continue
    const row = masks[at][edge]
    if (operation === groups[at].none) {
      if (!noneCounts) row[operation] = true
      continue
    }
    const kept = reserved[at][edge]
    if (kept !== undefined) row[kept] = false
    row[operation] = true
    served[at][edge] = operation === kept || bytes(masks) <= limit
    if (served[at][edge]) continue
    row[operation] = false
    if (kept !== undefined) row[kept] = true
  }
}

/** Takes the rest in turn up to the first that does not fit; where `none` is free it comes with the next that is taken. */
function takeRest(
  groups: readonly FilledGroup[],
  ranked: readonly (readonly Candidate[])[],
  masks: readonly boolean[][][],
  { noneCounts, bytes, limit }: FillRule,
): void {
  const rest = ranked.map((list, at) => {
    const left = list.filter(({ edge, operation }) => !masks[at][edge][operation])
    return bundles(left, ({ operation }) => noneCounts || operation !== groups[at].none)
  })
  for (const { at, item } of inTurn(rest)) {
    for (const { edge, operation } of item) masks[at][edge][operation] = true
    if (bytes(masks) <= limit) continue
    for (const { edge, operation } of item) masks[at][edge][operation] = false
    return
  }
}

/** A list cut after each item that `ends` one of its parts. */
function bundles<Item>(list: readonly Item[], ends: (item: Item) => boolean): Item[][] {
  const parts: Item[][] = []
  let open: Item[] = []
  for (const item of list) {
    open.push(item)
    if (!ends(item)) continue
    parts.push(open)
    open = []
  }
  return open.length > 0 ? [...parts, open] : parts
}
