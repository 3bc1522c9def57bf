/** A strategy of one's own: every step trains a random architecture; at an epoch's end the best of some by validation is kept. */
import { pathToFileURL } from 'node:url'
import {
  ArchitectureWeights,
  drawArchitecture,
  type Evaluate,
  runSearch,
  type StateDict,
  type Strategy,
  type StrategyContext,
  type StrategyDefinition,
  torch,
} from 'ddsas'
import { z } from 'zod'

const settings = {
  best_of: z.strictObject({
    draws: z.number().int().positive().meta({ unit: 'architectures', description: 'how many are compared' }),
  }),
}
type Settings = { readonly best_of: { readonly draws: number } }

const saved = z.object({ generator: z.array(z.number()), current: z.unknown() })

class BestOf<Architecture> implements Strategy<Architecture> {
  readonly #generator: torch.Generator
  #current: Architecture
  #weights: ArchitectureWeights

  constructor(
    readonly context: StrategyContext<Architecture>,
    readonly draws: number,
  ) {
    this.#generator = new torch.Generator(context.seed, 'best of')
    this.#current = drawArchitecture(context.space, this.#generator)
    this.#weights = this.weightsOf(this.#current)
  }

  weightsOf(architecture: Architecture): ArchitectureWeights {
    const { space, init } = this.context
    return new ArchitectureWeights(space.choices, space.encode(architecture), init.device)
  }

  run(architecture: Architecture): void {
    this.#weights.dispose()
    this.#current = architecture
    this.#weights = this.weightsOf(architecture)
  }

  prepareStep = () => this.run(drawArchitecture(this.context.space, this.#generator))
  archStep = () => undefined
  archWeights = (group: string) => this.#weights.of(group)

  derive(evaluate: Evaluate): Architecture {
    const state = this.#generator.state()
    let best = { architecture: this.#current, accuracy: -1 }
    for (let draw = 0; draw < this.draws; draw++) {
      const architecture = drawArchitecture(this.context.space, this.#generator)
      this.run(architecture)
      const { accuracy } = evaluate(this.archWeights)
      if (accuracy > best.accuracy) best = { architecture, accuracy }
    }
    // stopped midway, the same are drawn again
    this.#generator.load(state)
    this.run(best.architecture)
    return best.architecture
  }

  state = (): StateDict => ({
    tensors: new Map(),
    data: { generator: [...this.#generator.state()], current: this.#current },
  })

  load({ data }: StateDict): void {
    const { generator, current } = saved.parse(data)
    this.#generator.load(generator)
    this.run(this.context.space.parse(current, 'state.json'))
  }

  dispose = () => this.#weights.dispose()
}

export const strategy: StrategyDefinition<Settings> = {
  name: 'best_of',
  settings,
  defaults: () => ({ best_of: { draws: 10 } }),
  create: (context, { best_of }) => new BestOf(context, best_of.draws),
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { space, architecture } = await runSearch({ preset: 'demo', strategy })
  console.log(space.format(architecture))
}
