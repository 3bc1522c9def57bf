/**
 * The best choice of one option for each part within limits: dynamic programming over the parts, whose states are the choices so far
 * that no other beats in score and in every cost. Exact: what is left out cannot be part of the best.
 */
import { type Bounds, boundsOf, type Option } from './choose-bounds.ts'

export type { Option }

/** An option by its place among those of its part. */
export interface Placed extends Option {
  readonly index: number
}

/** Decisions on the first parts. */
interface State extends Option {
  /** Of the option taken last. */
  readonly index: number
  readonly before: State | undefined
  /** The score less what the costs are worth (`Bounds.worth`). */
  readonly worth: number
}

/**
 * For each part the place of its option: the best sum of scores among all choices whose costs sum to at most `limits`; among
 * equals one of least cost, and the same one each time. Undefined where no choice keeps to all limits. Scores are finite. Where more
 * than `mostStates` choices of some parts were none beaten by another, the best that was found.
 */
export function chooseBest(
  parts: readonly (readonly Option[])[],
  limits: readonly number[],
): number[] | undefined {
  const least = leastAfter(parts, limits)
  if (parts.some(({ length }) => length === 0) || !within(least[0], limits)) return undefined
  // taken with the cheapest of all other parts, an option must fit
  const slack = limits.map((limit, q) => limit - least[0][q])
  const useful = parts.map((options, at) => {
    const own = (q: number) => least[at][q] - least[at + 1][q]
    return undominated(
      options
        .map((option, index) => ({ ...option, index }))
        .filter(({ costs }) => costs.every((cost, q) => cost - own(q) <= slack[q])),
    )
  })
  if (useful.some(({ length }) => length === 0)) return undefined
  // few states find a good choice quickly, by which most states are then known not to matter
  let found: State | undefined
  for (let width = 500; width <= mostStates; width *= 10) {
    const bounds = boundsOf(useful, limits, slack, found?.score)
    const { best, whole } = search(useful, { limits, rest: least, bounds, width })
    if (best !== undefined && (found === undefined || best.score >= found.score)) found = best
    if (whole) break
  }
  return found && placesOf(found)
}

/** What bounds the memory. Spaces of eight parts with hundreds of options need some thousands. */
const mostStates = 50_000

interface Search {
  readonly limits: readonly number[]
  /** What the parts from each on cost at least. */
  readonly rest: readonly (readonly number[])[]
  readonly bounds: Bounds
  /** How many states are kept at a time: those that can become best. */
  readonly width: number
}

/** The best choice, and whether all that could be it was looked at. */
function search(
  parts: readonly (readonly Placed[])[],
  { limits, rest, bounds, width }: Search,
): { readonly best: State | undefined; readonly whole: boolean } {
  let front: State[] = [{ score: 0, costs: limits.map(() => 0), index: -1, before: undefined, worth: 0 }]
  let whole = true
  for (const [at, options] of parts.entries()) {
    const states: State[] = []
    for (const before of front)
      for (const [place, { index, score, costs }] of options.entries()) {
        const worth = before.worth + bounds.worth[at][place]
        if (worth + bounds.mostAfter[at + 1] < bounds.atLeast) continue
        const sums = before.costs.map((cost, q) => cost + costs[q])
        if (sums.every((sum, q) => sum + rest[at + 1][q] <= limits[q]))
          states.push({ score: before.score + score, costs: sums, index, before, worth })
      }
    const most = states.length > 8 * width ? strongest(states, 8 * width) : states
    const kept = undominated(most)
    front = kept.length > width ? strongest(kept, width) : kept
    whole &&= most.length === states.length && front.length === kept.length
  }
  const best = front.reduce<State | undefined>(
    (found, state) => (found === undefined || state.score > found.score ? state : found),
    undefined,
  )
  return { best, whole }
}

/** Those of most worth, in their order. */
function strongest(states: readonly State[], count: number): State[] {
  const least = states.map(({ worth }) => worth).sort((a, b) => b - a)[count - 1]
  return states.filter(({ worth }) => worth >= least).slice(0, count)
}

/** The least that the parts from each on can cost; of none after the last. */
function leastAfter(parts: readonly (readonly Option[])[], limits: readonly number[]): number[][] {
  const sums = [limits.map(() => 0)]
  for (const options of parts.toReversed())
    sums.unshift(limits.map((_, q) => sums[0][q] + Math.min(...options.map(({ costs }) => costs[q]))))
  return sums
}

function within(costs: readonly number[], limits: readonly number[]): boolean {
  return costs.every((cost, q) => cost <= limits[q])
}

/**
 * Those that no other equals or beats in score and all costs, by falling order of what is cheap; of equals the first. Sorted by
 * the first cost, only the others need to be compared, with those that nothing later in the order can beat.
 */
function undominated<Kept extends Option>(options: readonly Kept[]): Kept[] {
  const compare = (a: Option, b: Option): number => {
    const differing = a.costs.findIndex((cost, q) => cost !== b.costs[q])
    return differing < 0 ? b.score - a.score : a.costs[differing] - b.costs[differing]
  }
  const beats = (a: Option, b: Option) =>
    a.score >= b.score && a.costs.every((cost, q) => q === 0 || cost <= b.costs[q])
  const kept: Kept[] = []
  let edge: Kept[] = []
  for (const option of options.toSorted(compare)) {
    if (edge.some((other) => beats(other, option))) continue
    edge = edge.filter((other) => !beats(option, other))
    edge.push(option)
    kept.push(option)
  }
  return kept
}

function placesOf(last: State): number[] {
  const places: number[] = []
  for (let state: State | undefined = last; state?.before; state = state.before) places.unshift(state.index)
  return places
}
