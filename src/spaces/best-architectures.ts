/**
 * The architectures of the largest sums of scores, best first: exact for every space that says its `parts`, as an architecture is
 * one alternative of each. Sums are looked at in falling order, by a heap of places in the sorted lists of all parts.
 */
import { assembled, isAvailable, partsOfSpace, picksOf, sumOf } from './parts.ts'
import type { Alternative, Available, Scores, SearchSpace } from './space.ts'

export interface Scored<Architecture = unknown> {
  readonly architecture: Architecture
  /** The sum of the scores of its candidates. */
  readonly score: number
}

/** How many sums are looked at where limits allow few of the best: what bounds the time. */
const mostLooked = 20_000

/**
 * At most `count` architectures, of what is available and within the limits of the space; fewer where there are no more, or limits
 * leave no more of the best 20,000. The first is what `decode` picks, but where that is not within limits by itself.
 * @throws {DdsasError} `input` where the space does not say its parts; `what`: who needs them.
 */
export function bestArchitectures<Architecture>(
  space: SearchSpace<Architecture>,
  { values, available }: { readonly values: Scores; readonly available?: Available | undefined },
  count: number,
  what: string,
): Scored<Architecture>[] {
  const parts = partsOfSpace(space, what).map((alternatives) => sorted(alternatives, values, available))
  const found: Scored<Architecture>[] = []
  let looked = 0
  for (const { places, score } of fallingSums(parts.map((part) => part.map(({ score }) => score)))) {
    const chosen = places.map((place, at) => parts[at][place].alternative)
    if (space.allows?.(picksOf(space.choices, chosen.flat())) ?? true)
      found.push({ architecture: assembled(space, chosen, values, available), score })
    looked += 1
    if (found.length >= count || looked === mostLooked) break
  }
  return found
}

function sorted(alternatives: readonly Alternative[], values: Scores, available: Available | undefined) {
  return alternatives
    .filter((alternative) => isAvailable(alternative, available))
    .map((alternative) => ({ alternative, score: sumOf(alternative, values) }))
    .sort((a, b) => b.score - a.score)
}

/** A place in each list; lists before `moved` are not moved on any more, so that each choice comes up once. */
interface State {
  readonly places: readonly number[]
  readonly moved: number
  readonly score: number
}

/** All choices of one number of each list, by falling sum; the lists fall. */
export function* fallingSums(lists: readonly (readonly number[])[]): Generator<State> {
  if (lists.some(({ length }) => length === 0)) return
  const sum = (places: readonly number[]) => places.reduce((total, place, at) => total + lists[at][place], 0)
  const heap: State[] = []
  const first = lists.map(() => 0)
  push(heap, { places: first, moved: 0, score: sum(first) })
  for (let best = pop(heap); best; best = pop(heap)) {
    yield best
    const { places, moved } = best
    for (let at = moved; at < lists.length; at++) {
      if (places[at] + 1 >= lists[at].length) continue
      const next = places.with(at, places[at] + 1)
      push(heap, { places: next, moved: at, score: sum(next) })
    }
  }
}

/** A binary heap, the largest score first. */
function push(heap: State[], state: State): void {
  let at = heap.length
  for (let above = (at - 1) >> 1; at > 0 && heap[above].score < state.score; above = (at - 1) >> 1) {
    heap[at] = heap[above]
    at = above
  }
  heap[at] = state
}

function pop(heap: State[]): State | undefined {
  const [best] = heap
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return best
  let at = 0
  for (;;) {
    const [left, right] = [2 * at + 1, 2 * at + 2]
    if (left >= heap.length) break
    const larger = right < heap.length && heap[right].score > heap[left].score ? right : left
    if (heap[larger].score <= last.score) break
    heap[at] = heap[larger]
    at = larger
  }
  heap[at] = last
  return best
}
