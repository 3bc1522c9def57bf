/** Architecture parameters alpha of all decisions, and Adam on them: the state of DARTS and of methods that sample by alpha. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import {
  type ArchWeights,
  type ArchWeightsOf,
  drawn,
  type InitContext,
  sampledIndex,
} from '../../nn/index.ts'
import type { Gradients } from '../../nn/optim.ts'
import type { ChoiceGroup, Scores } from '../../spaces/space.ts'
import { keep, softmax, type Tensor, tidy } from '../../torch/index.ts'
import type { Batch, Outcome, StateDict, StepContext } from '../strategy.ts'
import { ArchOptimizer, type ArchOptimizerSettings, lossGradients } from './arch-optimizer.ts'
import { stateData } from './state.ts'

/** ~ 1e-3 N(0, 1), float32 [rows, candidates]. */
export function smallNormal({ rows, candidates }: ChoiceGroup, init: InitContext): Tensor {
  return drawn([rows, candidates.length], () => 1e-3 * init.generator.normal(), init)
}

/** One group of decisions of which every candidate can run, weighted by a softmax of alpha. */
export class AlphaGroup {
  readonly choices: ChoiceGroup
  readonly alpha: Tensor
  readonly #index: Tensor
  readonly #sampledOps: ArchWeights['sampledOps']

  constructor(choices: ChoiceGroup, init: InitContext) {
    const { rows, candidates } = choices
    this.choices = choices
    this.alpha = smallNormal(choices, init)
    this.#sampledOps = Array.from({ length: rows }, () => candidates.map((_, column) => column))
    this.#index = keep(sampledIndex(this.#sampledOps, candidates.length, init.device))
  }

  get parameters(): readonly (readonly [name: string, tensor: Tensor])[] {
    return [[`alpha.${this.choices.name}`, this.alpha]]
  }

  /** All candidates at once, weighted by a softmax of alpha unless said otherwise. */
  archWeights(weights = softmax(this.alpha, 1)): ArchWeights {
    return { weights, sampledOps: this.#sampledOps, index: this.#index }
  }

  /** The softmax of alpha; waits for the device. */
  get scores(): number[][] {
    return tidy(() => softmax(this.alpha, 1).matrix())
  }

  dispose(): void {
    this.alpha.dispose()
    this.#index.dispose()
  }
}

const stateSchema = z.object({ adamSteps: z.number() })

export class Alphas {
  readonly #groups: ReadonlyMap<string, AlphaGroup>
  readonly #optimizer: ArchOptimizer

  /** `others`: what the same Adam moves besides; they stay their owner's. */
  constructor(
    choices: readonly ChoiceGroup[],
    init: InitContext,
    settings: ArchOptimizerSettings,
    others: ReadonlyMap<string, Tensor> = new Map(),
  ) {
    this.#groups = new Map(choices.map((group) => [group.name, new AlphaGroup(group, init)]))
    const own = [...this.#groups.values()].flatMap((group) => group.parameters)
    this.#optimizer = new ArchOptimizer(new Map([...own, ...others]), settings)
  }

  /** `alpha.<group>`, each float32 [rows, candidates], and the others. */
  get parameters(): Map<string, Tensor> {
    return this.#optimizer.parameters
  }

  /** Throws DdsasError 'input' where the space has no such group. */
  group(name: string): AlphaGroup {
    const group = this.#groups.get(name)
    if (group !== undefined) return group
    throw new DdsasError('input', `the space has no group of decisions '${name}'`)
  }

  /** One step of Adam, by gradients in the order of the parameters. */
  step(gradients: Gradients): void {
    this.#optimizer.step(gradients)
  }

  /** One step of Adam by the loss that these weights give on a batch; says how the batch fared. */
  follow(context: StepContext, archWeights: ArchWeightsOf, batch: Batch): Outcome {
    return tidy(() => {
      const parameters = [...this.parameters.values()]
      const { gradients, outcome } = lossGradients(context.supernet, parameters, archWeights, batch, context)
      this.step(gradients)
      return outcome
    })
  }

  scores(): Scores {
    return new Map([...this.#groups].map(([name, { scores }]) => [name, scores]))
  }

  state(): StateDict {
    return { tensors: this.#optimizer.tensors(), data: { adamSteps: this.#optimizer.steps } }
  }

  /** Throws DdsasError 'checkpoint' where the state is none of these parameters. */
  load(state: StateDict): void {
    this.#optimizer.load(state.tensors, stateData(state, stateSchema).adamSteps)
  }

  dispose(): void {
    for (const group of this.#groups.values()) group.dispose()
    this.#optimizer.dispose()
  }
}
