/** Random search with shared weights: each step trains one architecture drawn uniformly; the best by validation is picked. */
import { z } from 'zod'
import type { ArchWeights, ArchWeightsOf } from '../nn/index.ts'
import { ArchitectureWeights, drawArchitecture } from '../spaces/architecture-weights.ts'
import { Generator } from '../torch/index.ts'
import { stateData } from './shared/state.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import type { Evaluate, Score, StateDict, Strategy, StrategyContext, StrategyDefinition } from './strategy.ts'

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

const stateSchema = z.object({
  generator: z.array(z.number().int()),
  step: z.number(),
  current: z.unknown(),
  // none before the first epoch has ended
  best: z.unknown().optional(),
})

class RandomSearch<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: RandomSettings['random']
  readonly #generator: Generator
  #step = 0
  #current: Architecture
  #best: Architecture | undefined
  #weights: ArchitectureWeights

  constructor(context: StrategyContext<Architecture>, { random }: RandomSettings) {
    this.#context = context
    this.#settings = random
    this.#generator = new Generator(context.seed, 'random architectures')
    this.#current = drawArchitecture(context.space, this.#generator)
    this.#weights = this.#weightsOf(this.#current)
  }

  #weightsOf(architecture: Architecture): ArchitectureWeights {
    const { space, init } = this.#context
    return new ArchitectureWeights(space.choices, space.encode(architecture), init.device)
  }

  #run(architecture: Architecture): void {
    this.#weights.dispose()
    this.#current = architecture
    this.#weights = this.#weightsOf(architecture)
  }

  prepareStep(): void {
    this.#step += 1
    this.#run(drawArchitecture(this.#context.space, this.#generator))
  }

  archStep(): undefined {
    return undefined
  }

  archWeights(name: string): ArchWeights {
    return this.#weights.of(name)
  }

  /** The best by accuracy of some drawn now and the best so far; then that one is what runs, so that it is measured. */
  async derive(evaluate: Evaluate): Promise<Architecture> {
    const { space, seed } = this.#context
    // a stream of its own for each time: stopped midway, the same are drawn again
    const generator = new Generator(seed, `candidates ${this.#step}`)
    const drawn = Array.from({ length: this.#settings.candidates }, () => drawArchitecture(space, generator))
    const candidates = this.#best === undefined ? drawn : [this.#best, ...drawn]
    const scored: (Score & { readonly architecture: Architecture })[] = []
    for (const architecture of candidates)
      scored.push({ architecture, ...(await this.#score(architecture, evaluate)) })
    const [best] = scored.sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss)
    this.#best = best.architecture
    this.#run(best.architecture)
    return best.architecture
  }

  async #score(architecture: Architecture, evaluate: Evaluate): Promise<Score> {
    const weights = this.#weightsOf(architecture)
    const of: ArchWeightsOf = (group) => weights.of(group)
    try {
      return await evaluate(of, this.#settings.images || undefined)
    } finally {
      weights.dispose()
    }
  }

  state(): StateDict {
    const data: z.infer<typeof stateSchema> = {
      generator: [...this.#generator.state()],
      step: this.#step,
      current: this.#current,
      best: this.#best,
    }
    return { tensors: new Map(), data }
  }

  load(saved: StateDict): void {
    const { space } = this.#context
    const { generator, step, current, best } = stateData(saved, stateSchema)
    this.#generator.load(generator)
    this.#step = step
    this.#best = best === undefined ? undefined : space.parse(best, 'state.json')
    this.#run(space.parse(current, 'state.json'))
  }

  dispose(): void {
    this.#weights.dispose()
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
