/** What can be foreseen to disappoint in a schedule of an elastic space. */
import type { ChoiceGroup } from '../../spaces/space.ts'
import { type Places, type SpaceSchedule, shrunkBelow } from './schedule.ts'

/** How windows lie: M, and whether every epoch begins one. */
export interface WindowTiming {
  readonly stepsPerEpoch: number
  readonly window: number
  readonly restarts: boolean
}

/**
 * The first shrink that comes before any window is credited, and the epoch from which on one knows saliencies. An epoch's
 * changes are made before the window that ends there is credited.
 */
export function blindShrink(
  schedule: SpaceSchedule,
  { stepsPerEpoch, window, restarts }: WindowTiming,
): { readonly epoch: number; readonly credited: number; readonly knowing: number } | undefined {
  const credited = restarts ? Math.min(window, stepsPerEpoch) : window
  const epochs = schedule.flatMap(({ epoch, change }) => (change.kind === 'shrink' ? [epoch] : []))
  const epoch = Math.min(...epochs)
  if (epochs.length === 0 || epoch * stepsPerEpoch > credited) return undefined
  return { epoch, credited, knowing: Math.floor(credited / stepsPerEpoch) + 1 }
}

/** A line for each; `sparesUnsampled`: as the variant has it. */
export function scheduleWarnings(
  schedule: SpaceSchedule,
  groups: readonly ChoiceGroup[],
  places: Places,
  { sparesUnsampled, ...timing }: WindowTiming & { readonly sparesUnsampled: boolean },
): string[] {
  const blind = blindShrink(schedule, timing)
  const below = shrunkBelow(schedule, groups, places)
  return [
    ...(blind === undefined
      ? []
      : [
          `ddsas.changes: the shrink at epoch ${blind.epoch} comes before a window is credited, which is after step ` +
            `${blind.credited} (M = ${timing.window}): no operation has a saliency yet, ` +
            `${sparesUnsampled ? 'those of the least zeta' : 'the first by position'} go; shrink ` +
            `from epoch ${blind.knowing} on${blind.epoch > 0 ? ', or lower ddsas.window' : ''}`,
        ]),
    ...(below === undefined
      ? []
      : [
          `ddsas.changes: from epoch ${below.epoch} on '${below.group}' has at most ${below.left} operations to sample, ` +
            `fewer than L = ${places.size}: all of them run in every window`,
        ]),
  ]
}
