/**
 * DrNAS: every candidate runs, weighted by a sample of a Dirichlet distribution of concentration elu(alpha) + 1 (Eq. 5 of its paper),
 * whose pathwise gradient alpha follows, held near the uniform one by KL divergence. All cells of a kind share a sample. After a
 * share of the epochs all but the best candidates of each row are pruned, and the others then see more of the channels: on DARTS's
 * space a sixth before, a fourth after, with the weights that there are and copies of them (`Widening`).
 */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import type { ArchWeights, ArchWeightsOf } from '../../nn/index.ts'
import type { Scores, SearchSpace } from '../../spaces/space.ts'
import { add, Generator, mul, sum, type Tensor } from '../../torch/index.ts'
import { Alphas } from '../shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from '../shared/arch-optimizer.ts'
import { describeChange } from '../shared/group-change.ts'
import { withoutSampled } from '../shared/sampled.ts'
import { stateData } from '../shared/state.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  Penalty,
  Progress,
  SpaceReport,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from '../strategy.ts'
import { concentrationOf, klToUniform } from './dirichlet.ts'
import { columnsOf, DirichletGroup } from './dirichlet-group.ts'

const share = z.number().min(0).max(1)

const drnasSettings = {
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
export function drnasSchedule(
  { pruneAt, keep, warmUp }: Pick<DrnasSettings['drnas'], 'pruneAt' | 'keep' | 'warmUp'>,
  epochs: number,
) {
  const prune = keep === 0 ? epochs : Math.round(pruneAt * epochs)
  return {
    prune,
    rests: (epoch: number) => {
      const [from, to] = epoch < prune ? [0, prune] : [prune, epochs]
      return epoch < from + Math.round(warmUp * (to - from))
    },
  }
}

const stateSchema = z.object({
  generator: z.array(z.number().int()),
  left: z.record(z.string(), z.array(z.array(z.boolean()))),
})

class Drnas<Architecture> implements Strategy<Architecture> {
  readonly #space: SearchSpace<Architecture>
  readonly #settings: DrnasSettings['drnas']
  readonly #schedule: ReturnType<typeof drnasSchedule>
  readonly #alphas: Alphas
  /** Of the decisions that are sampled; all others go by a softmax. */
  readonly #groups: ReadonlyMap<string, DirichletGroup>
  readonly #generator: Generator
  #rests = false

  constructor({ space, init, seed, epochs }: StrategyContext<Architecture>, settings: DrnasSettings) {
    this.#space = space
    this.#settings = settings.drnas
    this.#schedule = drnasSchedule(settings.drnas, epochs)
    const sampled = space.choices.filter(({ run }) => run === 'sampled')
    const columns = new Map(sampled.map((group) => [group.name, columnsOf(group, settings.drnas.none)]))
    const own = space.choices.map((group) => {
      const candidates = columns.get(group.name)?.map((column) => group.candidates[column])
      return candidates ? { ...group, candidates } : group
    })
    this.#alphas = new Alphas(own, init, settings)
    this.#groups = new Map(
      sampled.map((group) => {
        const { alpha } = this.#alphas.group(group.name)
        return [group.name, new DirichletGroup(group, columns.get(group.name) ?? [], alpha)]
      }),
    )
    this.#generator = new Generator(seed, 'dirichlet samples')
    this.#draw()
  }

  #draw(): void {
    for (const group of this.#groups.values()) group.draw(this.#generator)
  }

  beginEpoch(epoch: number): SpaceReport | undefined {
    if (epoch !== this.#schedule.prune) return undefined
    const { keep } = this.#settings
    return Object.fromEntries(
      this.#space.choices.flatMap(({ name, candidates }) => {
        const group = this.#groups.get(name)
        return group ? [[name, describeChange(group.prune(keep), group.available, candidates)]] : []
      }),
    )
  }

  prepareStep({ epoch }: Progress): void {
    this.#rests = this.#schedule.rests(epoch)
    this.#draw()
  }

  /** The weight step has a sample of its own. */
  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome | undefined {
    if (this.#rests) return undefined
    const penalty: Penalty = (archWeights) => {
      const own = this.#divergence()
      return context.penalty ? add(own, context.penalty(archWeights)) : own
    }
    const archWeights: ArchWeightsOf = (group) => this.archWeights(group, 'train')
    const outcome = this.#alphas.follow({ ...context, penalty }, archWeights, valid)
    this.#draw()
    return outcome
  }

  /** Scalar. */
  #divergence(): Tensor {
    const sums = [...this.#groups.values()].map(({ alpha }) => sum(klToUniform(concentrationOf(alpha))))
    return mul(sums.reduce(add), this.#settings.kl)
  }

  /** `alpha.<group>`: [rows, candidates that take part]. */
  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string, mode: 'train' | 'eval'): ArchWeights {
    return this.#groups.get(name)?.archWeights(mode) ?? this.#alphas.group(name).archWeights()
  }

  derive(): Architecture {
    const { values, available } = this.scores()
    return this.#space.decode(values, available)
  }

  scores(): ArchScores {
    const own: Scores = new Map([...this.#groups].map(([name, { scores }]) => [name, scores]))
    const available = new Map([...this.#groups].map(([name, group]) => [name, group.available]))
    return { values: new Map([...this.#alphas.scores(), ...own]), available }
  }

  state(): StateDict {
    const { tensors, data } = this.#alphas.state()
    const left = Object.fromEntries([...this.#groups].map(([name, { mask }]) => [name, mask]))
    return { tensors, data: { ...data, generator: [...this.#generator.state()], left } }
  }

  load(state: StateDict): void {
    const { generator, left } = stateData(state, stateSchema)
    this.#alphas.load(state)
    for (const [name, group] of this.#groups) group.mask = left[name] ?? []
    this.#generator.load(generator)
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const group of this.#groups.values()) group.dispose()
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
function check({ drnas: { keep, none, widenTo } }: DrnasSettings, space: SearchSpace): void {
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
function warnings({ drnas: { pruneAt, keep, warmUp } }: DrnasSettings): string[] {
  if (warmUp === 1)
    return ['drnas.warmUp 1: alpha rests all the time, and the architecture is drawn by chance']
  return keep > 0 && pruneAt === 0 ? ['drnas.pruneAt 0: what is pruned at the start is drawn by chance'] : []
}

const nasbench201 = ({ name }: SearchSpace) => name === 'nasbench201'

/** DrNAS for the registry. */
export const drnas: StrategyDefinition<DrnasSettings> = {
  name: 'drnas',
  settings: drnasSettings,
  defaults: (space) => ({
    drnas: nasbench201(space)
      ? { kl: 1e-3, none: true, pruneAt: 1, keep: 0, widenTo: 0, warmUp: 0 }
      : {
          kl: 1e-3,
          none: false,
          pruneAt: 0.5,
          keep: Math.min(4, fewestCandidates(space, false) ?? 0),
          widenTo: space.partialChannels ? 4 : 0,
          warmUp: 0.4,
        },
    // the divergence takes the place of L2
    archOptimizer: {
      ...usualArchOptimizer.archOptimizer,
      lr: nasbench201(space) ? 3e-4 : 6e-4,
      weightDecay: 0,
    },
  }),
  published: (space): Readonly<Record<string, number>> => {
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
  },
  networkRecipe: (space) =>
    nasbench201(space) || !space.partialChannels ? {} : { channels: 36, cells: 20, partialChannels: 6 },
  stages: ({ drnas: { widenTo, ...settings } }, { epochs }) =>
    widenTo === 0
      ? []
      : [
          {
            from: drnasSchedule(settings, epochs).prune,
            network: { partialChannels: widenTo },
            carriesWeights: true,
          },
        ],
  cannotSearch: withoutSampled,
  check,
  warnings,
  describe: ({ drnas: { kl, keep, pruneAt } }) =>
    `KL ${kl}, ${keep === 0 ? 'nothing pruned' : `${keep} of each row left after ${pruneAt} of the epochs`}`,
  create: (context, settings) => new Drnas(context, settings),
}
