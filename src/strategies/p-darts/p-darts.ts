/**
 * P-DARTS: as DARTS of first order, in stages (section 3 of its paper). From one to the next the supernet becomes deeper, its weights
 * and alpha begin anew, and of each row the candidates are left that a softmax of alpha weighs most; skip connections have dropout
 * behind them, less from epoch to epoch; alpha rests where a stage begins. In the end skip connections are limited.
 */
import type { ArchWeights, Dropout } from '../../nn/index.ts'
import { Generator, type Tensor } from '../../torch/index.ts'
import { Alphas } from '../shared/alphas.ts'
import { describeChange } from '../shared/group-change.ts'
import { type LeftParts, leftState, loadLeft } from '../shared/left-state.ts'
import { withoutSampled } from '../shared/sampled.ts'
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
import { epochOf, stagesIn } from './schedule.ts'
import { check, defaults, type PDartsSettings, pDartsSettings, published, warnings } from './settings.ts'

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
    return JSON.stringify([rests, ...[...this.#groups.values()].map(({ left }) => left)])
  }

  state(): StateDict {
    return leftState(this.#parts)
  }

  load(state: StateDict): void {
    loadLeft(state, this.#parts)
  }

  get #parts(): LeftParts {
    return { alphas: this.#alphas, groups: this.#groups, generator: this.#generator }
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const group of this.#groups.values()) group.dispose()
  }
}

/** P-DARTS for the registry. */
export const pDarts: StrategyDefinition<PDartsSettings> = {
  name: 'p-darts',
  settings: pDartsSettings,
  defaults,
  published,
  networkRecipe: ({ name }) => ({ cells: name === 'nasbench201' ? 3 : 5 }),
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
