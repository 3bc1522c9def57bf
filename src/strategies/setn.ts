/**
 * SETN (self-evaluated template network): weights learn one architecture a step, drawn uniformly; alpha follows the validation loss of
 * all candidates at once, weighted by its softmax. The most probable architectures are then measured with the shared weights.
 *
 * An architecture is as probable as the product of the softmax of alpha over the candidates that it consists of: in cells of DARTS
 * over the two edges of each node alone. Published on NAS-Bench-201: 250 epochs, the best of the 100 most probable.
 */
import { z } from 'zod'
import type { ArchWeights } from '../nn/index.ts'
import { bestArchitectures } from '../spaces/best-architectures.ts'
import { partsOfSpace } from '../spaces/parts.ts'
import type { SearchSpace } from '../spaces/space.ts'
import type { Tensor } from '../torch/index.ts'
import { Alphas } from './shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from './shared/arch-optimizer.ts'
import { Ranking, rankingSettings, rankingText, samplesOf, usualRanking } from './shared/ranking.ts'
import { UniformPaths } from './shared/single-path.ts'
import { nasbench201Epochs, nasbench201Weights } from './shared/weight-recipe.ts'
import {
  type ArchScores,
  type Batch,
  type Evaluate,
  type Occasion,
  type Outcome,
  type Ranked,
  type StateDict,
  type StepContext,
  type Strategy,
  type StrategyContext,
  type StrategyDefinition,
  usualOccasion,
} from './strategy.ts'

const setnSettings = {
  setn: z.strictObject(rankingSettings).describe('the search by SETN'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(setnSettings)
export type SetnSettings = z.infer<typeof settingsSchema>

/** Also of a part that was rounded to zero: sums of these are compared. */
const logOf = (part: number) => Math.log(Math.max(part, Number.MIN_VALUE))

class Setn<Architecture> implements Strategy<Architecture> {
  readonly #space: SearchSpace<Architecture>
  readonly #settings: SetnSettings['setn']
  readonly #alphas: Alphas
  readonly #paths: UniformPaths<Architecture>
  readonly #ranking: Ranking<Architecture>

  constructor(context: StrategyContext<Architecture>, settings: SetnSettings) {
    this.#space = context.space
    this.#settings = settings.setn
    this.#alphas = new Alphas(context.space.choices, context.init, settings)
    this.#paths = new UniformPaths(context)
    this.#ranking = new Ranking(context)
  }

  prepareStep(): void {
    this.#paths.prepareStep()
  }

  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome {
    return this.#alphas.follow(context, (name) => this.#alphas.group(name).archWeights(), valid)
  }

  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string): ArchWeights {
    return this.#paths.archWeights(name)
  }

  /** The best of the most probable ones; then that one is what runs, so that it is measured. */
  async derive(evaluate: Evaluate, occasion: Occasion = usualOccasion): Promise<Architecture> {
    const [best] = await this.#ranking.rank(this.#probable(occasion), evaluate, this.#settings, occasion)
    this.#paths.run(best.architecture)
    return best.architecture
  }

  #probable(occasion: Occasion): readonly Architecture[] {
    const { values } = this.scores()
    const logs = [...values].map(([name, rows]) => [name, rows.map((row) => row.map(logOf))] as const)
    const count = samplesOf(this.#settings, occasion)
    const found = bestArchitectures(this.#space, { values: new Map(logs) }, count, 'setn')
    // limits may leave none of the many that were looked at
    if (found.length === 0) return [this.#space.decode(values)]
    return found.map(({ architecture }) => architecture)
  }

  scores(): ArchScores {
    return { values: this.#alphas.scores() }
  }

  ranked(): readonly Ranked<Architecture>[] {
    return this.#ranking.ranked
  }

  state(): StateDict {
    const { tensors, data } = this.#alphas.state()
    return { tensors, data: { ...data, ...this.#paths.state(), ...this.#ranking.state() } }
  }

  load(saved: StateDict): void {
    this.#alphas.load(saved)
    this.#paths.load(saved)
    this.#ranking.load(saved)
  }

  dispose(): void {
    this.#alphas.dispose()
    this.#paths.dispose()
  }
}

/** SETN for the registry. */
export const setn: StrategyDefinition<SetnSettings> = {
  name: 'setn',
  settings: setnSettings,
  defaults: () => ({ setn: usualRanking, ...usualArchOptimizer }),
  published: nasbench201Epochs,
  weightRecipe: nasbench201Weights,
  check: (_, space) => void partsOfSpace(space, 'setn'),
  describe: ({ setn }) => rankingText(setn),
  create: (context, settings) => new Setn(context, settings),
}
