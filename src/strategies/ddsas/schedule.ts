/** The schedule of an elastic space (section 4.2): which change at the start of which epoch; checked before the search. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import { spaceChange } from '../shared/space-change.ts'
import { checkOperations, columnsOf, definesSpace, type ElasticChange } from './elastic.ts'

const natural = z.number().int().nonnegative()

const columnExpansion = z.strictObject({
  kind: z.literal('expand'),
  from: natural.describe('first column'),
  to: z.number().int().positive().describe('column after the last'),
})

const form =
  'write {"kind": "shrink", "count": 14}, or "kind": "expand", "close" or "only" with "operations": ["sep_conv_5x5"]'

export const scheduleSetting = z
  .array(
    z.strictObject({
      epoch: natural,
      change: z.union([spaceChange, columnExpansion], {
        error: ({ code }) => (code === 'invalid_union' ? form : undefined),
      }),
    }),
  )
  .describe(
    'what happens to the space at the start of which epoch, from 0: shrink by a count; expand, close or only with names',
  )

export type SpaceSchedule = Readonly<z.infer<typeof scheduleSetting>>
type Stage = SpaceSchedule[number]

/** What a group can hold at most: how far additions and deletions overlap is known only when they are made. */
interface Bounds {
  readonly operations: number
  /** Columns that are available on some edge. */
  readonly columns: ReadonlySet<number>
}

function boundsAfter(before: Bounds, change: ElasticChange, group: ChoiceGroup): Bounds {
  const { rows } = group
  if (change.kind === 'shrink') return { ...before, operations: before.operations - change.count }
  const named = new Set(columnsOf(change, group))
  if (named.size === 0) return before
  if (definesSpace(change)) return { operations: rows * named.size, columns: named }
  const closes = change.kind === 'close'
  const columns = closes
    ? new Set([...before.columns].filter((column) => !named.has(column)))
    : new Set([...before.columns, ...named])
  const operations = before.operations + (closes ? 0 : rows * named.size)
  return { operations: Math.min(rows * columns.size, operations), columns }
}

interface BoundedStage extends Stage {
  readonly before: Bounds
  readonly after: Bounds
  /** Whether it is the last of its epoch: only then something is sampled. */
  readonly last: boolean
}

/** The stages in the order in which they are made, and what a group then holds at most. */
function stagesOf(schedule: SpaceSchedule, group: ChoiceGroup): BoundedStage[] {
  const ordered = [...schedule].sort((a, b) => a.epoch - b.epoch)
  const columns = new Set(group.candidates.keys())
  let before: Bounds = { operations: group.rows * columns.size, columns }
  return ordered.map((stage, index) => {
    const after = boundsAfter(before, stage.change, group)
    const bounded = { ...stage, before, after, last: ordered[index + 1]?.epoch !== stage.epoch }
    before = after
    return bounded
  })
}

const named = (candidates: readonly string[]) => candidates.map((name, k) => `${k} ${name}`).join(', ')

const placeOf = ({ epoch, change }: Stage) => `ddsas.changes: the ${change.kind} at epoch ${epoch}`

/**
 * Checks that a schedule can be followed. Changes may stand in any order; those of one epoch are made in theirs.
 * @throws {DdsasError} `input` naming the first change that cannot be made: after the end, operations or columns that do not
 * exist, columns that run backwards, more deletions than there are operations to delete, an edge left with `none` alone.
 */
export function checkSchedule(schedule: SpaceSchedule, groups: readonly ChoiceGroup[], epochs: number): void {
  for (const stage of schedule) {
    if (!('from' in stage.change)) checkOperations(stage.change, groups, placeOf(stage))
    if (stage.epoch >= epochs)
      throw new DdsasError(
        'input',
        `${placeOf(stage)} comes after the last: epochs count from 0, so that the last of ${epochs} is ${epochs - 1}`,
      )
  }
  for (const group of groups) for (const stage of stagesOf(schedule, group)) checkStage(stage, group)
}

function checkStage(stage: BoundedStage, { rows, candidates, none }: ChoiceGroup): void {
  const { change, before, after, last } = stage
  const refuse = (problem: string): never => {
    throw new DdsasError('input', `${placeOf(stage)} ${problem}`)
  }
  if (change.kind === 'shrink') {
    const deletable = before.operations - rows
    if (change.count > deletable)
      refuse(`deletes ${change.count} operations where at most ${deletable} can go: each edge keeps one`)
  }
  if ('from' in change && (change.from >= change.to || change.to > candidates.length))
    refuse(`has columns ${change.from} to ${change.to} (exclusive): name a range of ${named(candidates)}`)
  const alone = [...after.columns].every((column) => column === none)
  // more columns may come in the same epoch, as in the space of none, skip_connect and sep_conv_3x3
  if (alone && (last || change.kind === 'close'))
    refuse(`leaves edges with none alone: keep another of ${named(candidates)}`)
}

/** Which operations take one of the L places. */
export interface Places {
  /** L. */
  readonly size: number
  readonly noneCounts: boolean
}

const counting = (columns: ReadonlySet<number>, { none }: ChoiceGroup, { noneCounts }: Places) =>
  [...columns].filter((column) => noneCounts || column !== none).length

/**
 * Checks what a new search is asked for besides; runs that began without these rules go on.
 * @throws {DdsasError} `input` for stages that are not in the order of their epochs, or an L that the operations of a stage
 * cannot fill though none were deleted.
 */
export function checkNewSchedule(
  schedule: SpaceSchedule,
  groups: readonly ChoiceGroup[],
  places: Places,
): void {
  for (const [index, stage] of schedule.entries()) {
    const earlier = schedule[index - 1]?.epoch ?? 0
    if (stage.epoch < earlier)
      throw new DdsasError(
        'input',
        `${placeOf(stage)} stands behind one of epoch ${earlier}: write changes in the order of their epochs`,
      )
  }
  for (const group of groups)
    for (const stage of stagesOf(schedule, group)) {
      const most = group.rows * counting(stage.after.columns, group, places)
      if (!stage.last || most >= places.size) continue
      const lower = most > group.rows ? `set ddsas.subspace to ${most} at most, or ` : ''
      throw new DdsasError(
        'input',
        `${placeOf(stage)} leaves '${group.name}' ${most} operations, fewer than L = ${places.size}: ${lower}name more`,
      )
    }
}

/** Where shrinking leaves fewer operations than L. */
export function shrunkBelow(
  schedule: SpaceSchedule,
  groups: readonly ChoiceGroup[],
  places: Places,
): { readonly epoch: number; readonly group: string; readonly left: number } | undefined {
  const found = groups.flatMap((group) =>
    stagesOf(schedule, group).flatMap(({ epoch, after, last }) => {
      const left = Math.min(after.operations, group.rows * counting(after.columns, group, places))
      return last && left < places.size ? [{ epoch, group: group.name, left }] : []
    }),
  )
  return found.sort((a, b) => a.epoch - b.epoch)[0]
}
