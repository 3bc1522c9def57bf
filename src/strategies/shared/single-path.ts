/** A supernet that runs one architecture at a step, its candidates at weight 1: what all single-path methods have in common. */
import { z } from 'zod'
import type { ArchWeights } from '../../nn/index.ts'
import { ArchitectureWeights, drawArchitecture } from '../../spaces/architecture-weights.ts'
import { Generator } from '../../torch/index.ts'
import type { StateDict, StrategyContext } from '../strategy.ts'
import { stateData } from './state.ts'

type PathContext<Architecture> = Pick<StrategyContext<Architecture>, 'space' | 'init'>

/** The architecture that runs, until it is told another. */
export class SinglePath<Architecture> {
  readonly #context: PathContext<Architecture>
  #architecture: Architecture
  #weights: ArchitectureWeights

  constructor(context: PathContext<Architecture>, architecture: Architecture) {
    this.#context = context
    this.#architecture = architecture
    this.#weights = pathWeights(context, architecture)
  }

  get architecture(): Architecture {
    return this.#architecture
  }

  run(architecture: Architecture): void {
    this.#weights.dispose()
    this.#architecture = architecture
    this.#weights = pathWeights(this.#context, architecture)
  }

  archWeights(group: string): ArchWeights {
    return this.#weights.of(group)
  }

  dispose(): void {
    this.#weights.dispose()
  }
}

/** The weights of one architecture, which the caller disposes of. */
export function pathWeights<Architecture>(
  { space, init }: PathContext<Architecture>,
  architecture: Architecture,
): ArchitectureWeights {
  return new ArchitectureWeights(space.choices, space.encode(architecture), init.device)
}

const stateSchema = z.object({
  generator: z.array(z.number().int()),
  step: z.number(),
  current: z.unknown(),
})

/** Another architecture at each step, drawn with equal chances for every candidate of every row. */
export class UniformPaths<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #generator: Generator
  readonly #path: SinglePath<Architecture>
  #step = 0

  constructor(context: StrategyContext<Architecture>) {
    this.#context = context
    this.#generator = new Generator(context.seed, 'random architectures')
    this.#path = new SinglePath(context, drawArchitecture(context.space, this.#generator))
  }

  prepareStep(): void {
    this.#step += 1
    this.run(drawArchitecture(this.#context.space, this.#generator))
  }

  /** One that was picked, until the next step. */
  run(architecture: Architecture): void {
    this.#path.run(architecture)
  }

  archWeights(group: string): ArchWeights {
    return this.#path.archWeights(group)
  }

  /** Architectures to be compared after this step: by a stream of their own, so that the same are drawn again after a stop. */
  candidates(count: number): Architecture[] {
    const { space, seed } = this.#context
    const generator = new Generator(seed, `candidates ${this.#step}`)
    return Array.from({ length: count }, () => drawArchitecture(space, generator))
  }

  state(): z.infer<typeof stateSchema> {
    return {
      generator: [...this.#generator.state()],
      step: this.#step,
      current: this.#path.architecture,
    }
  }

  load(saved: StateDict): void {
    const { generator, step, current } = stateData(saved, stateSchema)
    this.#generator.load(generator)
    this.#step = step
    this.run(this.#context.space.parse(current, 'state.json'))
  }

  dispose(): void {
    this.#path.dispose()
  }
}
