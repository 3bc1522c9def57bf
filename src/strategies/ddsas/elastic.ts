/** Elastic spaces (section 4.2): operations deleted from the whole space, or added to it, during a search. */
import { DdsasError } from '../../errors.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import { changeText, type SpaceChange } from '../shared/space-change.ts'
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

/** The columns `from` to `to` (exclusive) are added; from the first on they are all that there is. */
export interface ColumnExpansion {
  readonly kind: 'expand'
  readonly from: number
  readonly to: number
}

/** What may stand in a schedule. */
export type ElasticChange = SpaceChange | ColumnExpansion

/** What a change looks at in a group of decisions; every matrix is [edges x operations]. */
export interface Standing {
  readonly available: EdgeMask
  readonly saliency: EdgeMatrix
  /** t. */
  readonly pulls: EdgeMatrix
  /** Zeta: orders what was never sampled, where that is spared. */
  readonly estimates: EdgeMatrix
}

/** What a change needs to know of a group. */
export type ElasticGroup = Pick<ChoiceGroup, 'candidates' | 'none'>

/** The columns that a change names. */
export function columnsOf(
  change: Exclude<ElasticChange, { readonly kind: 'shrink' }>,
  { candidates }: Pick<ElasticGroup, 'candidates'>,
): number[] {
  const named = (name: string, column: number) =>
    'from' in change ? change.from <= column && column < change.to : change.operations.includes(name)
  return candidates.flatMap((name, column) => (named(name, column) ? [column] : []))
}

/** Whether a change says all that there is. */
export function definesSpace(change: ElasticChange): boolean {
  return change.kind === 'only' || ('from' in change && change.from === 0)
}

interface Place {
  readonly edge: number
  readonly k: number
}

/** Available operations in the order in which a shrink deletes them. */
function leastSalientFirst(
  { available, saliency, pulls, estimates }: Standing,
  spared: number | undefined,
): Place[] {
  const places = available.flatMap((row, edge) => row.flatMap((present, k) => (present ? [{ edge, k }] : [])))
  const isSpared = ({ edge, k }: Place) => Number(pulls[edge][k] === spared)
  const difference = (matrix: EdgeMatrix, a: Place, b: Place) => matrix[a.edge][a.k] - matrix[b.edge][b.k]
  return places.sort(
    (a, b) =>
      isSpared(a) - isSpared(b) || (isSpared(a) ? difference(estimates, a, b) : difference(saliency, a, b)),
  )
}

/** Deletes the first `count` of `places`, never the last operation of an edge other than `none`. */
function deleted(
  available: EdgeMask,
  places: readonly Place[],
  count: number,
  none: number | undefined,
): boolean[][] {
  const left = available.map((row) => [...row])
  let gone = 0
  for (const { edge, k } of places) {
    if (gone === count) break
    const isLast = k !== none && left[edge].filter((present, other) => present && other !== none).length === 1
    if (isLast) continue
    left[edge][k] = false
    gone += 1
  }
  return left
}

/**
 * The available operations of a group after a change. Where `spared` is given, operations of that t, which were never
 * sampled and so have no saliency, are deleted after all others, the least zeta first; else saliency alone decides. What is
 * to be closed stays on an edge where nothing else but `none` is left, the most salient of it.
 */
export function changeSpace(
  standing: Standing,
  change: ElasticChange,
  group: ElasticGroup,
  spared?: number,
): boolean[][] {
  const { available } = standing
  const { none } = group
  if (change.kind === 'shrink')
    return deleted(available, leastSalientFirst(standing, spared), change.count, none)
  const columns = new Set(columnsOf(change, group))
  if (columns.size === 0) return available.map((row) => [...row])
  if (change.kind === 'close') {
    const places = leastSalientFirst(standing, spared).filter(({ k }) => columns.has(k))
    return deleted(available, places, places.length, none)
  }
  const anew = definesSpace(change)
  return available.map((row) => row.map((present, k) => columns.has(k) || (present && !anew)))
}

/** Throws DdsasError 'input' where a change names operations that no group has; `source` begins its message. */
export function checkOperations(
  change: SpaceChange,
  groups: readonly Pick<ElasticGroup, 'candidates'>[],
  source: string,
): void {
  if (change.kind === 'shrink') return
  const known = new Set(groups.flatMap(({ candidates }) => candidates))
  const unknown = change.operations.find((name) => !known.has(name))
  if (unknown !== undefined)
    throw new DdsasError(
      'input',
      `${source}: there is no operation '${unknown}' in the space; known are ${[...known].join(', ')}`,
    )
}

/**
 * Checks a change by hand against the groups as they are: the scheduled ones were checked before the search.
 * @throws {DdsasError} `input` for operations that are unknown, more deletions than can be, or a change that would change
 * nothing or leave an edge with `none` alone.
 */
export function checkChange(
  change: SpaceChange,
  groups: readonly (ElasticGroup & Pick<ChoiceGroup, 'name'> & Pick<Standing, 'available'>)[],
): void {
  const source = changeText(change)
  const refuse = (problem: string): never => {
    throw new DdsasError('input', `${source}: ${problem}`)
  }
  checkOperations(change, groups, source)
  let changes = change.kind === 'shrink'
  for (const group of groups) {
    const { name, available, none } = group
    if (change.kind === 'shrink') {
      const deletable = available.flat().filter(Boolean).length - available.length
      if (change.count > deletable)
        refuse(`at most ${deletable} operations of '${name}' can go, as each edge keeps one`)
      continue
    }
    const columns = columnsOf(change, group)
    if (columns.length === 0) continue
    const wanted = (present: boolean, k: number) =>
      change.kind === 'close'
        ? present && !columns.includes(k)
        : columns.includes(k) || (present && change.kind === 'expand')
    const after = available.map((row) => row.map(wanted))
    const bare = after.filter((row) => !row.some((present, k) => present && k !== none)).length
    if (bare > 0) refuse(`it would leave edges of '${name}' with nothing to run: ${bare} of ${after.length}`)
    changes ||= after.some((row, edge) => row.some((present, k) => present !== available[edge][k]))
  }
  if (!changes) refuse('the space is so already')
}
