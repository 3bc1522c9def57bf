/** Random search with shared weights: each step trains one architecture drawn uniformly; the best by validation is picked. */
import { z } from 'zod'
import type { ArchWeights } from '../nn/index.ts'
import { Ranking } from './shared/ranking.ts'
import { UniformPaths } from './shared/single-path.ts'
import { stateData } from './shared/state.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import {
  type Evaluate,
  type Occasion,
  type Ranked,
  type StateDict,
  type Strategy,
  type StrategyContext,
  type StrategyDefinition,
  usualOccasion,
} from './strategy.ts'

const randomSettings = {
  random: z
    .strictObject({
      candidates: z.number().int().positive().max(10_000).meta({
        unit: 'architectures',
        description: 'how many are compared at the end of each epoch, with the best so far',
      }),
      images: z.number().int().nonnegative().meta({
        unit: 'images',
        description: 'validation images that each is measured on; 0: all that accuracy is measured on',
      }),
    })
    .describe('random search with shared weights'),
}

const settingsSchema = z.object(randomSettings)
export type RandomSettings = z.infer<typeof settingsSchema>

// none before the first epoch has ended
const stateSchema = z.object({ best: z.unknown().optional() })

class RandomSearch<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: RandomSettings['random']
  readonly #paths: UniformPaths<Architecture>
  readonly #ranking: Ranking<Architecture>
  #best: Architecture | undefined

  constructor(context: StrategyContext<Architecture>, { random }: RandomSettings) {
    this.#context = context
    this.#settings = random
    this.#paths = new UniformPaths(context)
    this.#ranking = new Ranking(context)
  }

  prepareStep(): void {
    this.#paths.prepareStep()
  }

  archStep(): undefined {
    return undefined
  }

  archWeights(name: string): ArchWeights {
    return this.#paths.archWeights(name)
  }

  /** The best by accuracy of some drawn now and the best so far; then that one is what runs, so that it is measured. */
  async derive(evaluate: Evaluate, occasion: Occasion = usualOccasion): Promise<Architecture> {
    const { candidates, images } = this.#settings
    const drawn = this.#paths.candidates(candidates)
    const all = this.#best === undefined ? drawn : [this.#best, ...drawn]
    const how = { images, finalists: 0 }
    const [best] = await this.#ranking.rank(all, evaluate, how, occasion)
    this.#best = best.architecture
    this.#paths.run(best.architecture)
    return best.architecture
  }

  ranked(): readonly Ranked<Architecture>[] {
    return this.#ranking.ranked
  }

  state(): StateDict {
    const data = { ...this.#paths.state(), best: this.#best, ...this.#ranking.state() }
    return { tensors: new Map(), data }
  }

  load(saved: StateDict): void {
    const { best } = stateData(saved, stateSchema)
    this.#paths.load(saved)
    this.#ranking.load(saved)
    this.#best = best === undefined ? undefined : this.#context.space.parse(best, 'state.json')
  }

  dispose(): void {
    this.#paths.dispose()
  }
}

export const random: StrategyDefinition<RandomSettings> = {
  name: 'random',
  settings: randomSettings,
  defaults: () => ({ random: { candidates: 20, images: 1000 } }),
  weightRecipe: nasbench201Weights,
  describe: ({ random: { candidates } }) => `best of ${candidates} random architectures an epoch`,
  create: (context, settings) => new RandomSearch(context, settings),
}
