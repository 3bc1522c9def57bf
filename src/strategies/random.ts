/** Random search with shared weights: each step trains one architecture drawn uniformly; the best by validation is picked. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { type ArchWeights, type ArchWeightsOf, sampledIndex } from '../nn/index.ts'
import type { ChoiceGroup, Picks, SearchSpace } from '../spaces/space.ts'
import { Generator, keep, Tensor, tidy, to } from '../torch/index.ts'
import type { Evaluate, StateDict, Strategy, StrategyContext, StrategyDefinition } from './strategy.ts'

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

const spaceSchema = z.object({ choices: z.array(z.unknown()), decode: z.function() })
const generatorSchema = z.object({ uniform: z.function() }, { error: 'expected a Generator' })

/** An architecture drawn with equal chances for every candidate of every row. */
export function drawArchitecture<Architecture>(
  space: SearchSpace<Architecture>,
  generator: Generator,
): Architecture {
  checkGiven(spaceSchema, space, 'drawArchitecture', 'space')
  checkGiven(generatorSchema, generator, 'drawArchitecture', 'generator')
  const draw = ({ rows, candidates }: ChoiceGroup) =>
    Array.from({ length: rows }, () => candidates.map(() => generator.uniform()))
  return space.decode(new Map(space.choices.map((group) => [group.name, draw(group)])))
}

/** One architecture as a supernet runs it: its candidates weigh 1, no other runs. */
export class ArchitectureWeights {
  readonly #groups: ReadonlyMap<string, ArchWeights & { readonly index: Tensor }>

  constructor(choices: readonly ChoiceGroup[], picks: Picks, device: string) {
    this.#groups = new Map(
      choices.map(({ name, rows, candidates }) => {
        const sampledOps = picks.get(name) ?? []
        const columns = candidates.length
        const ones = Tensor.from(new Float32Array(rows * columns).fill(1), [rows, columns])
        const weights = tidy(() => keep(to(ones, { device })))
        ones.dispose()
        return [name, { weights, sampledOps, index: keep(sampledIndex(sampledOps, columns, device)) }]
      }),
    )
  }

  of(name: string): ArchWeights {
    const group = this.#groups.get(name)
    if (group !== undefined) return group
    throw new DdsasError('input', `the space has no group of decisions '${name}'`)
  }

  dispose(): void {
    for (const { weights, index } of this.#groups.values())
      for (const tensor of [weights, index]) tensor.dispose()
  }
}

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
  derive(evaluate: Evaluate): Architecture {
    const { space, seed } = this.#context
    // a stream of its own for each time: stopped midway, the same are drawn again
    const generator = new Generator(seed, `candidates ${this.#step}`)
    const drawn = Array.from({ length: this.#settings.candidates }, () => drawArchitecture(space, generator))
    const candidates = this.#best === undefined ? drawn : [this.#best, ...drawn]
    const [best] = candidates
      .map((architecture) => ({ architecture, ...this.#score(architecture, evaluate) }))
      .sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss)
    this.#best = best.architecture
    this.#run(best.architecture)
    return best.architecture
  }

  #score(architecture: Architecture, evaluate: Evaluate) {
    const weights = this.#weightsOf(architecture)
    const of: ArchWeightsOf = (group) => weights.of(group)
    try {
      return evaluate(of, this.#settings.images || undefined)
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

  load({ data }: StateDict): void {
    const parsed = stateSchema.safeParse(data)
    if (!parsed.success)
      throw new DdsasError(
        'checkpoint',
        `the state of the strategy is malformed: ${parsed.error.issues[0].message}`,
      )
    const { space } = this.#context
    const { generator, step, current, best } = parsed.data
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
  describe: ({ random: { candidates } }) => `best of ${candidates} random architectures an epoch`,
  create: (context, settings) => new RandomSearch(context, settings),
}
