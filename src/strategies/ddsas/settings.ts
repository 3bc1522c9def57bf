/** The settings of DDSAS: where the paper and the published code differ, L, M, how the space changes, and Adam. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import { spaceName, spaceNumbers } from '../../spaces/nasbench1shot1/architecture.ts'
import type { ChoiceGroup, SearchSpace } from '../../spaces/space.ts'
import { archOptimizerSettings } from '../shared/arch-optimizer.ts'
import type { Schedule } from '../strategy.ts'
import {
  checkExtended,
  type ExtendedSettings,
  explorationAt,
  extendedSettings,
  published,
  publishedExploration,
} from './extended.ts'
import { checkNewSchedule, checkSchedule, type Places, scheduleSetting } from './schedule.ts'
import { scheduleWarnings } from './schedule-warnings.ts'
import { subspaceSizeRange } from './subspace.ts'

const authorsCode = {
  /** c in the upper confidence bound. */
  exploration: publishedExploration,
  /** Initial t and T. With 1, saliency is the sum over (windows + 1). */
  prior: 1,
  /** Whether `none` takes one of the L places. */
  noneCounts: false,
  /** Whether the step counter that opens windows restarts each epoch. */
  restartEachEpoch: true,
  /** Whether the last window of a run is credited. */
  creditLastWindow: false,
  /** Whether a shrink deletes what was never sampled, and so has no saliency, after all else. */
  sparesUnsampled: false,
} as const

/**
 * Where the paper and the published code differ. The published results come from the code: `authors-code`. `extended` is the
 * code with changes of our own: what `ddsas.extended` says.
 */
export const variants = {
  'authors-code': authorsCode,
  paper: {
    exploration: Math.SQRT2,
    prior: 0,
    noneCounts: true,
    restartEachEpoch: false,
    creditLastWindow: true,
    sparesUnsampled: true,
  },
  extended: authorsCode,
} as const

export type VariantName = keyof typeof variants

const positive = z.number().int().positive()

/** By their places in a configuration. */
export const ddsasSettings = {
  ddsas: z
    .strictObject({
      variant: z
        .enum(Object.keys(variants) as VariantName[])
        .describe(
          'which to follow where the paper and the published code differ; extended: the code, changed',
        ),
      subspace: positive.meta({
        unit: 'operations',
        description:
          'L: operations of a subspace, over all edges of a cell type; one more than there are edges, up to all: 15 to 112 in the space of DARTS',
      }),
      // older runs do not say
      fill: z
        .enum(['operations', 'memory'])
        .default('operations')
        .describe('what a subspace is filled up to: L operations, or the memory that memory.limit allows'),
      window: positive.meta({ unit: 'steps', description: 'M: steps in a subspace' }),
      mixture: z
        .enum(['simple', 'joint'])
        .describe('weight of an operation: p q of Eq. (7), or the whole of Eq. (9)'),
      changes: scheduleSetting,
      // older runs do not say, and neither need programs
      extended: extendedSettings.default(published).optional(),
    })
    .describe('the search by DDSAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(ddsasSettings)
export type DdsasSettings = z.infer<typeof settingsSchema>

/** What changes the published search: nothing but in the variant `extended`. */
export function extendedOf({ extended = published }: DdsasSettings['ddsas']): ExtendedSettings {
  return extended
}

/** c of the bonus in an epoch. */
export function explorationIn(ddsas: DdsasSettings['ddsas'], epoch: number, epochs: number): number {
  const { exploration } = variants[ddsas.variant]
  return ddsas.variant === 'extended' ? explorationAt(extendedOf(ddsas), epoch, epochs) : exploration
}

/** The groups that subspaces are sampled of. */
export function sampledGroups({ choices }: SearchSpace): ChoiceGroup[] {
  return choices.filter(({ run }) => run === 'sampled')
}

/** The smallest and largest L that fit every group. */
export function subspaceRange(space: SearchSpace): readonly [smallest: number, largest: number] {
  const ranges = sampledGroups(space).map(({ rows, candidates }) =>
    subspaceSizeRange(rows, candidates.length),
  )
  return [
    Math.max(...ranges.map(([smallest]) => smallest)),
    Math.min(...ranges.map(([, largest]) => largest)),
  ]
}

/** From which L on everything runs: where `none` takes no place there is no more to run once all others are in. */
export function wholeSubspace({ ddsas }: DdsasSettings, space: SearchSpace): number {
  const { noneCounts } = variants[ddsas.variant]
  const sizes = sampledGroups(space).map(
    ({ rows, candidates, none }) => rows * (candidates.length - (none !== undefined && !noneCounts ? 1 : 0)),
  )
  return Math.min(...sizes)
}

/** The spaces of NAS-Bench-1Shot1, of four or five choice blocks, in all of which L was 6. */
const nasbench1shot1 = spaceNumbers.map(spaceName)

/** As published: L = 2 for each row, 28 for 14 edges of 8 operations, 12 for 6 of 5; 6 in NAS-Bench-1Shot1. */
export function defaultSettings(space: SearchSpace): DdsasSettings {
  const rows = Math.max(...sampledGroups(space).map((group) => group.rows))
  return {
    ddsas: {
      variant: 'authors-code',
      subspace: nasbench1shot1.includes(space.name) ? 6 : 2 * rows,
      fill: 'operations',
      window: 30,
      mixture: 'simple',
      changes: [],
      extended: published,
    },
    archOptimizer: { lr: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 },
  }
}

/** Throws DdsasError 'input' for an L that does not fit the space, or a schedule of changes that cannot be. */
export function checkSettings({ ddsas }: DdsasSettings, space: SearchSpace, epochs: number): void {
  if (sampledGroups(space).length === 0)
    throw new DdsasError(
      'input',
      `ddsas samples candidates, and the space '${space.name}' has none to sample`,
    )
  const [smallest, largest] = subspaceRange(space)
  if (ddsas.subspace < smallest || ddsas.subspace > largest)
    throw new DdsasError(
      'input',
      `L = ${ddsas.subspace} does not fit the space '${space.name}': set ddsas.subspace to ${smallest} … ${largest}`,
    )
  checkExtended(ddsas.variant, extendedOf(ddsas))
  checkSchedule(ddsas.changes, sampledGroups(space), epochs)
}

function placesOf({ ddsas: { subspace, variant } }: DdsasSettings): Places {
  return { size: subspace, noneCounts: variants[variant].noneCounts }
}

/** Throws DdsasError 'input' also for a schedule that only runs begun before may have. */
export function checkNewSettings(settings: DdsasSettings, space: SearchSpace, epochs: number): void {
  checkSettings(settings, space, epochs)
  checkNewSchedule(settings.ddsas.changes, sampledGroups(space), placesOf(settings))
}

/** What can be foreseen to disappoint. */
export function settingsWarnings(
  settings: DdsasSettings,
  { epochs, stepsPerEpoch }: Schedule,
  space: SearchSpace,
): string[] {
  const { window, changes, variant } = settings.ddsas
  const { creditLastWindow, restartEachEpoch: restarts, sparesUnsampled } = variants[variant]
  // the first window is credited when the next one opens, within an epoch or with the next
  const credited = creditLastWindow || epochs > 1 || stepsPerEpoch > window
  const timing = { stepsPerEpoch, window, restarts, sparesUnsampled }
  return [
    ...(credited
      ? []
      : [
          `the search ends with its first window (${stepsPerEpoch} steps, M = ${window}), before anything is credited: its ` +
            'cell will say nothing; search more epochs, or lower ddsas.window',
        ]),
    ...scheduleWarnings(changes, sampledGroups(space), placesOf(settings), timing),
  ]
}
