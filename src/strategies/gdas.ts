/**
 * GDAS: one candidate runs on each edge, drawn by Gumbel noise added to alpha and weighted straight-through, at a temperature that
 * falls in a line from epoch to epoch (Eq. 3 to 6 of its paper).
 */
import { z } from 'zod'
import type { ArchWeights, ArchWeightsOf } from '../nn/index.ts'
import { add, call, Generator, mul, softmax, sum, type Tensor } from '../torch/index.ts'
import { Alphas } from './shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from './shared/arch-optimizer.ts'
import { gumbelNoise } from './shared/gumbel.ts'
import { type Matrix, matrixTensor } from './shared/matrix.ts'
import { stateData } from './shared/state.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  Progress,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from './strategy.ts'

const temperature = z.number().positive()

const gdasSettings = {
  gdas: z
    .strictObject({
      tau: temperature.meta({ unit: '-', description: 'temperature of the softmax in the first epoch' }),
      minTau: temperature.meta({ unit: '-', description: 'temperature in the last epoch' }),
    })
    .describe('the search by GDAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(gdasSettings)
export type GdasSettings = z.infer<typeof settingsSchema>

/** Temperature of an epoch, from 0: linear, both ends included. */
export function gdasTemperature(
  { tau, minTau }: GdasSettings['gdas'],
  epoch: number,
  epochs: number,
): number {
  return epochs < 2 ? tau : tau + ((minTau - tau) * epoch) / (epochs - 1)
}

/** The candidate of each row that alpha and noise draw; the softmax has its largest element there at any temperature. */
export function drawnCandidates(alpha: Matrix, noise: Matrix): number[] {
  return alpha.map((row, index) => {
    const values = row.map((value, k) => value + noise[index][k])
    return values.indexOf(Math.max(...values))
  })
}

/**
 * The softmax of (ln softmax(alpha) + noise) / tau, in which all candidates run: of groups that are not sampled, as published with
 * NAS-Bench-1Shot1 for what blocks and outputs read.
 */
export function relaxed(alpha: Tensor, noise: Matrix, tau: number): Tensor {
  const logits = add(call('aten::log_softmax.int', alpha, 1), matrixTensor(noise, alpha.device))
  return softmax(mul(logits, 1 / tau), 1)
}

/**
 * Straight-through weights of one draw: 1 for the candidate that runs and 0 for the others, with the gradient of the softmax of
 * (ln softmax(alpha) + noise) / tau. As published, the others enter the sum as numbers: zero, but alpha has a gradient through them.
 */
export function straightThrough(
  alpha: Tensor,
  noise: Matrix,
  tau: number,
): ArchWeights & { readonly added: Tensor } {
  const { device } = alpha
  const picked = drawnCandidates(alpha.matrix(), noise)
  const oneHot = matrixTensor(
    noise.map((row, index) => row.map((_, k) => (k === picked[index] ? 1 : 0))),
    device,
  )
  const soft = relaxed(alpha, noise, tau)
  const weights = add(call('aten::sub.Tensor', oneHot, call('aten::detach', soft)), soft)
  const others = mul(weights, call('aten::rsub.Scalar', oneHot, 1))
  return {
    weights,
    sampledOps: picked.map((column) => [column]),
    added: sum(others, [1]),
    // what the architecture is picked by, without noise
    strengths: () => softmax(alpha, 1),
  }
}

/** Noise of every group for the architecture step, and for the weight step. */
type Noise = Readonly<Record<'arch' | 'weights', ReadonlyMap<string, Matrix>>>

const stateSchema = z.object({ generator: z.array(z.number().int()) })

class Gdas<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: GdasSettings['gdas']
  readonly #alphas: Alphas
  readonly #generator: Generator
  #noise: Noise
  #tau: number

  constructor(context: StrategyContext<Architecture>, settings: GdasSettings) {
    this.#context = context
    this.#settings = settings.gdas
    this.#alphas = new Alphas(context.space.choices, context.init, settings)
    this.#generator = new Generator(context.seed, 'gumbel noise')
    this.#noise = this.#draw()
    this.#tau = settings.gdas.tau
  }

  #draw(): Noise {
    const draw = () =>
      new Map(this.#context.space.choices.map((group) => [group.name, gumbelNoise(group, this.#generator)]))
    return { arch: draw(), weights: draw() }
  }

  prepareStep({ epoch }: Progress): void {
    this.#tau = gdasTemperature(this.#settings, epoch, this.#context.epochs)
    this.#noise = this.#draw()
  }

  archStep(context: StepContext, _train: Batch, valid: Batch): Outcome {
    const archWeights: ArchWeightsOf = (name) => {
      const { alpha, choices } = this.#alphas.group(name)
      const noise = this.#noiseOf(name, 'arch')
      return choices.run === 'all' ? this.#relaxed(name, noise) : straightThrough(alpha, noise, this.#tau)
    }
    return this.#alphas.follow(context, archWeights, valid)
  }

  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  #noiseOf(name: string, step: keyof Noise): Matrix {
    return this.#noise[step].get(name) ?? []
  }

  /** All candidates of a group that is not sampled. */
  #relaxed(name: string, noise: Matrix): ArchWeights {
    const group = this.#alphas.group(name)
    return {
      ...group.archWeights(),
      weights: relaxed(group.alpha, noise, this.#tau),
      strengths: () => softmax(group.alpha, 1),
    }
  }

  /**
   * Alpha is constant here: what runs weighs 1. To measure accuracy that is the architecture that would be picked now; of a group
   * that is not sampled all runs, without noise.
   */
  archWeights(name: string, mode: 'train' | 'eval'): ArchWeights {
    const group = this.#alphas.group(name)
    const { alpha, choices } = group
    if (choices.run === 'all')
      return mode === 'eval' ? group.archWeights() : this.#relaxed(name, this.#noiseOf(name, 'weights'))
    const sampledOps =
      mode === 'eval'
        ? (this.#context.space.encode(this.derive()).get(name) ?? [])
        : drawnCandidates(alpha.matrix(), this.#noiseOf(name, 'weights')).map((column) => [column])
    return { weights: call('aten::ones_like', alpha), sampledOps }
  }

  derive(): Architecture {
    return this.#context.space.decode(this.#alphas.scores())
  }

  scores(): ArchScores {
    return { values: this.#alphas.scores() }
  }

  state(): StateDict {
    const { tensors, data } = this.#alphas.state()
    return { tensors, data: { ...data, generator: [...this.#generator.state()] } }
  }

  load(state: StateDict): void {
    const { generator } = stateData(state, stateSchema)
    this.#alphas.load(state)
    this.#generator.load(generator)
  }

  dispose(): void {
    this.#alphas.dispose()
  }
}

/** GDAS for the registry. */
export const gdas: StrategyDefinition<GdasSettings> = {
  name: 'gdas',
  settings: gdasSettings,
  defaults: () => ({ gdas: { tau: 10, minTau: 0.1 }, ...usualArchOptimizer }),
  weightRecipe: nasbench201Weights,
  describe: ({ gdas: { tau, minTau } }) => `temperature ${tau} to ${minTau}`,
  create: (context, settings) => new Gdas(context, settings),
}
