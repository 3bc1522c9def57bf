/**
 * P-DARTS: as DARTS of first order, in stages (section 3 of its paper). From one to the next the supernet becomes deeper, its weights
 * and alpha begin anew, and of each row the candidates are left that a softmax of alpha weighs most; skip connections have dropout
 * behind them, less from epoch to epoch; alpha rests where a stage begins. In the end skip connections are limited.
 */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import type { ArchWeights, Dropout } from '../../nn/index.ts'
import type { SearchSpace } from '../../spaces/space.ts'
import { Generator, type Tensor } from '../../torch/index.ts'
import { Alphas } from '../shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from '../shared/arch-optimizer.ts'
import { describeChange } from '../shared/group-change.ts'
import { withoutSampled } from '../shared/sampled.ts'
import { stateData } from '../shared/state.ts'
import { nasbench201Weights } from '../shared/weight-recipe.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  Progress,
  SpaceReport,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from '../strategy.ts'
import { withFewerSkips } from './fewer-skips.ts'
import { LeftGroup } from './left-group.ts'
import { epochOf, pDartsSetting, stagesIn } from './schedule.ts'

const pDartsSettings = { pDarts: pDartsSetting, ...archOptimizerSettings }

const settingsSchema = z.object(pDartsSettings)
export type PDartsSettings = z.infer<typeof settingsSchema>

const stateSchema = z.object({
  generator: z.array(z.number().int()),
  left: z.record(z.string(), z.array(z.array(z.boolean()))),
})

class PDarts<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: PDartsSettings
  readonly #groups: ReadonlyMap<string, LeftGroup>
  /** Of what is left out after skip connections. */
  readonly #generator: Generator
  #alphas: Alphas
  #now: ReturnType<typeof epochOf>

  constructor(context: StrategyContext<Architecture>, settings: PDartsSettings) {
    const { space, init, seed, epochs } = context
    this.#context = context
    this.#settings = settings
    this.#alphas = new Alphas(space.choices, init, settings)
    const sampled = space.choices.filter(({ run }) => run === 'sampled')
    this.#groups = new Map(sampled.map((group) => [group.name, new LeftGroup(group, init.device)]))
    this.#generator = new Generator(seed, 'skip dropout')
    this.#now = epochOf(settings.pDarts, epochs, 0)
    const [first] = stagesIn(settings.pDarts, epochs)
    for (const [name, group] of this.#groups) group.narrow(this.#alphas.group(name).alpha, first.candidates)
  }

  /** Where a stage begins, takes the best of the one before and draws alpha anew. */
  beginEpoch(epoch: number): SpaceReport | undefined {
    const { init, seed, epochs, space } = this.#context
    const stage = stagesIn(this.#settings.pDarts, epochs).find(({ from }) => from === epoch)
    if (stage === undefined || epoch === 0) return undefined
    const report = [...this.#groups].map(([name, group]) => {
      const before = group.left
      group.narrow(this.#alphas.group(name).alpha, stage.candidates)
      return [name, describeChange(before, group.left, group.choices.candidates)] as const
    })
    this.#alphas.dispose()
    const generator = new Generator(seed, `alpha of epoch ${epoch}`)
    this.#alphas = new Alphas(space.choices, { ...init, generator }, this.#settings)
    return Object.fromEntries(report)
  }

  prepareStep({ epoch }: Progress): void {
    this.#now = epochOf(this.#settings.pDarts, this.#context.epochs, epoch)
  }

  get dropout(): Dropout {
    return { rate: this.#now.dropout, generator: this.#generator }
  }

  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome | undefined {
    if (this.#now.rests) return undefined
    const { dropout } = this
    return this.#alphas.follow({ ...context, dropout }, (name) => this.archWeights(name), valid)
  }

  /** `alpha.<group>`. */
  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string): ArchWeights {
    const own = this.#alphas.group(name)
    return this.#groups.get(name)?.archWeights(own.alpha) ?? own.archWeights()
  }

  derive(): Architecture {
    const { values, available } = this.scores()
    return this.#context.space.decode(values, available)
  }

  /** Within the limit of skip connections. */
  scores(): ArchScores {
    const { space } = this.#context
    const own = [...this.#groups].map(
      ([name, group]) => [name, group.shares(this.#alphas.group(name).alpha)] as const,
    )
    const values = new Map([...this.#alphas.scores(), ...own])
    const available = new Map([...this.#groups].map(([name, { left }]) => [name, left]))
    const [first] = this.#groups.values()
    return {
      values: withFewerSkips(space, values, available, first.choices, this.#settings.pDarts.maxSkips),
      available,
    }
  }

  /** What is left out is drawn on the host. */
  get graphKey(): string | undefined {
    const { rests, dropout } = this.#now
    if (dropout > 0) return undefined
    return `${rests} ${[...this.#groups.values()].map(({ left }) => left.map((row) => row.map(Number).join('')).join()).join(' ')}`
  }

  state(): StateDict {
    const { tensors, data } = this.#alphas.state()
    const left = Object.fromEntries([...this.#groups].map(([name, group]) => [name, group.left]))
    return { tensors, data: { ...data, generator: [...this.#generator.state()], left } }
  }

  load(state: StateDict): void {
    const { generator, left } = stateData(state, stateSchema)
    this.#alphas.load(state)
    for (const [name, group] of this.#groups) group.left = left[name] ?? []
    this.#generator.load(generator)
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const group of this.#groups.values()) group.dispose()
  }
}

/** Of the rows that candidates are left of, how many the smallest has. */
function fewestCandidates({ choices }: SearchSpace): number {
  return Math.min(...choices.flatMap(({ run, candidates }) => (run === 'sampled' ? [candidates.length] : [])))
}

/** Throws DdsasError 'input' for lists of other lengths, and for more candidates than there are, or than before. */
function check({ pDarts: { moreCells, candidates, dropout } }: PDartsSettings, space: SearchSpace): void {
  const refuse = (problem: string): never => {
    throw new DdsasError('input', problem)
  }
  const lengths = [moreCells, candidates, dropout].map(({ length }) => length)
  if (lengths.some((length) => length !== lengths[0]))
    refuse(
      `pDarts.moreCells, pDarts.candidates and pDarts.dropout have ${lengths.join(', ')} entries: give each one for every stage`,
    )
  const fewest = fewestCandidates(space)
  const more = candidates.findIndex((count, stage) => count > (candidates[stage - 1] ?? fewest))
  if (more >= 0)
    refuse(
      `pDarts.candidates ${candidates.join(', ')}: stage ${more + 1} has more than the ${candidates[more - 1] ?? fewest} there are before; let them fall`,
    )
}

/** Of stages that have no epoch, and of an alpha that rests. */
function warnings({ pDarts }: PDartsSettings, { epochs }: { readonly epochs: number }): string[] {
  const { length } = pDarts.candidates
  const without = length - stagesIn(pDarts, epochs).length
  return [
    ...(without > 0
      ? [`${without} of ${length} stages have no epoch: set epochs to ${length} at least`]
      : []),
    ...(pDarts.warmUp === 1
      ? ['pDarts.warmUp 1: alpha rests all the time, and the architecture is drawn by chance']
      : []),
  ]
}

/** P-DARTS for the registry. */
export const pDarts: StrategyDefinition<PDartsSettings> = {
  name: 'p-darts',
  settings: pDartsSettings,
  // 3 stages of 25 epochs, of which alpha rests in 10; of 8 candidates 5 are left, then 3
  defaults: (space) => ({
    pDarts: {
      moreCells: [0, 6, 12],
      candidates: [1, 5 / 8, 3 / 8].map((share) => Math.max(1, Math.round(share * fewestCandidates(space)))),
      dropout: [0.1, 0.4, 0.7],
      dropoutDecay: 0.2,
      warmUp: 0.4,
      maxSkips: 2,
    },
    archOptimizer: { ...usualArchOptimizer.archOptimizer, lr: 6e-4, gradClip: 5 },
  }),
  networkRecipe: ({ name }) => ({ cells: name === 'nasbench201' ? 3 : 5 }),
  published: ({ name }): Readonly<Record<string, number>> =>
    name === 'darts'
      ? {
          epochs: 75,
          'data.batch': 96,
          'network.channels': 16,
          'network.cells': 5,
          'weightOptimizer.lr': 0.025,
          'weightOptimizer.minLr': 0,
          'archOptimizer.lr': 6e-4,
          'pDarts.dropoutDecay': 0.2,
          'pDarts.warmUp': 0.4,
        }
      : {},
  weightRecipe: nasbench201Weights,
  stages: ({ pDarts }, { epochs, cells }) =>
    stagesIn(pDarts, epochs).map(({ from, moreCells, dropout }) => ({
      from,
      network: { cells: cells + moreCells, skipDropout: dropout > 0 },
    })),
  cannotSearch: withoutSampled,
  check,
  warnings,
  describe: ({ pDarts: { candidates, maxSkips } }) =>
    `${candidates.length} stages of ${candidates.join(', ')} candidates, at most ${maxSkips} skip connections`,
  create: (context, settings) => new PDarts(context, settings),
}
