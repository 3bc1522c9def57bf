/**
 * SNAS: every candidate runs, weighted by a sample of the concrete distribution (softmax of alpha with Gumbel noise at a temperature
 * that falls from epoch to epoch, Eq. 7 and 8 of its paper); alpha follows the training loss, in the same pass as the weights.
 * All cells of a kind share a sample. The other half of the images trains nothing: accuracy is measured on it.
 */
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import type { ArchWeights, Gradients } from '../nn/index.ts'
import {
  add,
  call,
  copy,
  Generator,
  keep,
  mul,
  softmax,
  type Tensor,
  tidy,
  zerosLike,
} from '../torch/index.ts'
import { Alphas } from './shared/alphas.ts'
import { archOptimizerSettings, usualArchOptimizer } from './shared/arch-optimizer.ts'
import { gumbelNoise } from './shared/gumbel.ts'
import { matrixTensor } from './shared/matrix.ts'
import { stateData } from './shared/state.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import type {
  ArchScores,
  Progress,
  StateDict,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from './strategy.ts'

const temperature = z.number().positive()

const snasSettings = {
  snas: z
    .strictObject({
      tau: temperature.meta({ unit: '-', description: 'temperature of the softmax before the first epoch' }),
      minTau: temperature.meta({ unit: '-', description: 'temperature in the last epoch' }),
    })
    .describe('the search by SNAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(snasSettings)
export type SnasSettings = z.infer<typeof settingsSchema>

/**
 * Temperature of an epoch, from 0: linear, a step early as published, so that the last epoch has `minTau`. The published code counts
 * 150 epochs whatever it runs.
 */
export function snasTemperature(
  { tau, minTau }: SnasSettings['snas'],
  epoch: number,
  epochs: number,
): number {
  return Math.max((1 - (epoch + 1) / epochs) * (tau - minTau) + minTau, minTau)
}

/** softmax((ln softmax(alpha) + noise) / tau) of each row; without noise, what is most likely. */
export function concreteWeights(alpha: Tensor, noise: Tensor | undefined, tau: number): Tensor {
  const logits = call('aten::log_softmax.int', alpha, 1)
  return softmax(mul(noise ? add(logits, noise) : logits, 1 / tau), 1)
}

const stateSchema = z.object({ generator: z.array(z.number().int()), tau: temperature })

class Snas<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #settings: SnasSettings['snas']
  readonly #alphas: Alphas
  readonly #generator: Generator
  /** By group, [rows, candidates]: tensors that stay, so that a recorded step reads the noise of the next. */
  readonly #noise: ReadonlyMap<string, Tensor>
  #tau: number

  constructor(context: StrategyContext<Architecture>, settings: SnasSettings) {
    this.#context = context
    this.#settings = settings.snas
    this.#alphas = new Alphas(context.space.choices, context.init, settings)
    this.#generator = new Generator(context.seed, 'gumbel noise')
    this.#noise = new Map(
      context.space.choices.map(({ name }) => [name, keep(zerosLike(this.#alphas.group(name).alpha))]),
    )
    this.#tau = settings.snas.tau
  }

  prepareStep({ epoch }: Progress): void {
    this.#tau = snasTemperature(this.#settings, epoch, this.#context.epochs)
    tidy(() => {
      for (const group of this.#context.space.choices) {
        const noise = this.#noise.get(group.name)
        if (noise) copy(noise, matrixTensor(gumbelNoise(group, this.#generator), noise.device))
      }
    })
  }

  archStep(): undefined {
    return undefined
  }

  stepWithWeights(gradients: Gradients): void {
    this.#alphas.step(gradients)
  }

  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string, mode: 'train' | 'eval'): ArchWeights {
    const group = this.#alphas.group(name)
    if (group.choices.run === 'all') return group.archWeights()
    const noise = mode === 'train' ? this.#noise.get(name) : undefined
    return group.archWeights(concreteWeights(group.alpha, noise, this.#tau))
  }

  derive(): Architecture {
    return this.#context.space.decode(this.#alphas.scores())
  }

  scores(): ArchScores {
    return { values: this.#alphas.scores() }
  }

  get graphKey(): string {
    return `snas ${this.#tau}`
  }

  state(): StateDict {
    const { tensors, data } = this.#alphas.state()
    return { tensors, data: { ...data, generator: [...this.#generator.state()], tau: this.#tau } }
  }

  load(state: StateDict): void {
    const { generator, tau } = stateData(state, stateSchema)
    this.#alphas.load(state)
    this.#generator.load(generator)
    this.#tau = tau
  }

  dispose(): void {
    this.#alphas.dispose()
    for (const noise of this.#noise.values()) noise.dispose()
  }
}

/** SNAS for the registry. */
export const snas: StrategyDefinition<SnasSettings> = {
  name: 'snas',
  settings: snasSettings,
  defaults: () => ({ snas: { tau: 1, minTau: 0.03 }, ...usualArchOptimizer }),
  published: (space): Readonly<Record<string, number>> =>
    space.name === 'darts' ? { epochs: 150, 'data.batch': 64, 'snas.tau': 1, 'snas.minTau': 0.03 } : {},
  weightRecipe: nasbench201Weights,
  check: ({ snas: { tau, minTau } }) => {
    if (minTau > tau)
      throw new DdsasError(
        'input',
        `the temperature of 'snas' falls, but snas.minTau ${minTau} is above snas.tau ${tau}: set a smaller snas.minTau`,
      )
  },
  describe: ({ snas: { tau, minTau } }) => `temperature ${tau} to ${minTau}`,
  create: (context, settings) => new Snas(context, settings),
}
