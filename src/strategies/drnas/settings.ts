/** Settings of DrNAS: as published for a space, what they mean for its epochs, and which cannot be. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import type { SearchSpace } from '../../spaces/space.ts'
import { archOptimizerSettings, usualArchOptimizer } from '../shared/arch-optimizer.ts'
import type { NetworkRecipe, Stage, StagedSearch } from '../strategy.ts'
import { columnsOf } from './dirichlet-group.ts'

const share = z.number().min(0).max(1)

export const drnasSettings = {
  drnas: z
    .strictObject({
      kl: z.number().nonnegative().meta({
        unit: '-',
        description: 'weight of the KL divergence from the uniform distribution in the loss of alpha',
      }),
      none: z.boolean().describe('whether the candidate that is nothing takes part'),
      pruneAt: share.meta({
        unit: 'of the epochs',
        description: 'after which all but the best candidates of each row are pruned',
      }),
      keep: z.number().int().nonnegative().max(1000).meta({
        unit: 'candidates',
        description: 'how many of each row are left then; 0: all',
      }),
      // older runs had the same all along
      widenTo: z.number().int().nonnegative().max(1000).default(0).meta({
        unit: '-',
        description:
          'network.partialChannels after the pruning: candidates see one in so many of the channels; 0: as before',
      }),
      warmUp: share.meta({
        unit: 'of the epochs',
        description: 'before the pruning, and of those after it, in which alpha rests',
      }),
    })
    .describe('the search by DrNAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(drnasSettings)
export type DrnasSettings = z.infer<typeof settingsSchema>

/** The epoch of the pruning, and whether alpha rests in an epoch. */
export function drnasSchedule({ pruneAt, keep, warmUp }: DrnasSettings['drnas'], epochs: number) {
  const prune = keep === 0 ? epochs : Math.round(pruneAt * epochs)
  return {
    prune,
    rests: (epoch: number) => {
      const [from, to] = epoch < prune ? [0, prune] : [prune, epochs]
      return epoch < from + Math.round(warmUp * (to - from))
    },
  }
}

/** Of the groups whose candidates can be sampled, how many the smallest has; undefined where there is no such group. */
function fewestCandidates({ choices }: SearchSpace, withNone: boolean): number | undefined {
  const counts = choices.flatMap((group) =>
    group.run === 'sampled' ? [columnsOf(group, withNone).length] : [],
  )
  return counts.length === 0 ? undefined : Math.min(...counts)
}

/** Throws DdsasError 'input' for a pruning that leaves more than there is, and for channels that a space cannot have parts of. */
export function check({ drnas: { keep, none, widenTo } }: DrnasSettings, space: SearchSpace): void {
  if (widenTo > 0 && !space.partialChannels)
    throw new DdsasError(
      'input',
      `drnas.widenTo ${widenTo}: candidates of the space '${space.name}' see all channels; set it to 0`,
    )
  const fewest = fewestCandidates(space, none)
  if (fewest !== undefined && keep > fewest)
    throw new DdsasError(
      'input',
      `drnas.keep ${keep} is more than the ${fewest} candidates of a row: set it to ${fewest} at most, 0 to prune nothing`,
    )
}

/** Of settings with which alpha has nothing to do. */
export function warnings({ drnas: { pruneAt, keep, warmUp } }: DrnasSettings): string[] {
  if (warmUp === 1)
    return ['drnas.warmUp 1: alpha rests all the time, and the architecture is drawn by chance']
  return keep > 0 && pruneAt === 0 ? ['drnas.pruneAt 0: what is pruned at the start is drawn by chance'] : []
}

const nasbench201 = ({ name }: SearchSpace) => name === 'nasbench201'

/** As published for a space. The divergence takes the place of L2. */
export function defaults(space: SearchSpace): DrnasSettings {
  const pruned = {
    pruneAt: 0.5,
    keep: Math.min(4, fewestCandidates(space, false) ?? 0),
    widenTo: space.partialChannels ? 4 : 0,
    warmUp: 0.4,
  }
  const { archOptimizer } = usualArchOptimizer
  return nasbench201(space)
    ? {
        drnas: { kl: 1e-3, none: true, pruneAt: 1, keep: 0, widenTo: 0, warmUp: 0 },
        archOptimizer: { ...archOptimizer, lr: 3e-4, weightDecay: 0 },
      }
    : {
        drnas: { kl: 1e-3, none: false, ...pruned },
        archOptimizer: { ...archOptimizer, lr: 6e-4, weightDecay: 0 },
      }
}

export function published(space: SearchSpace): Readonly<Record<string, number>> {
  const both = { 'data.batch': 64, 'drnas.kl': 1e-3, 'archOptimizer.weightDecay': 0 }
  if (nasbench201(space)) return { ...both, epochs: 100, 'archOptimizer.lr': 3e-4 }
  const first = {
    epochs: 50,
    'weightOptimizer.lr': 0.1,
    'weightOptimizer.minLr': 0,
    'archOptimizer.lr': 6e-4,
  }
  const network = { 'network.channels': 36, 'network.cells': 20, 'network.partialChannels': 6 }
  const stages = { 'drnas.keep': 4, 'drnas.pruneAt': 0.5, 'drnas.widenTo': 4, 'drnas.warmUp': 0.4 }
  return space.name === 'darts' ? { ...both, ...first, ...network, ...stages } : {}
}

/** The supernet is as large as the network that is trained in the end. */
export function networkRecipe(space: SearchSpace): NetworkRecipe {
  return nasbench201(space) || !space.partialChannels ? {} : { channels: 36, cells: 20, partialChannels: 6 }
}

/** From the pruning on candidates see more of the channels. */
export function stages({ drnas }: DrnasSettings, { epochs }: Pick<StagedSearch, 'epochs'>): readonly Stage[] {
  const { widenTo } = drnas
  if (widenTo === 0) return []
  const from = drnasSchedule(drnas, epochs).prune
  return [{ from, network: { partialChannels: widenTo }, carriesWeights: true }]
}
