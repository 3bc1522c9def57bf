/**
 * REINFORCE on ENAS's controller: the gradient of the mean reward is that of -advantage ln p, averaged over samples; the advantage is
 * the reward less a running mean of the rewards before.
 */
import { z } from 'zod'
import { call, grad, mul, setRequiresGrad, Tensor, tidy } from '../../torch/index.ts'
import { ArchOptimizer, type ArchOptimizerSettings } from '../shared/arch-optimizer.ts'
import { stateData } from '../shared/state.ts'
import type { StateDict } from '../strategy.ts'
import type { Controller, Sampled } from './controller.ts'
import { checkDecided, type Decided, type Decision } from './decisions.ts'

/** A sampled sequence, and how much better it was than others. */
export interface Experience {
  readonly decided: Decided
  readonly advantage: number
}

/** The mean of -advantage ln p, a scalar that autograd follows. */
export function reinforceLoss(controller: Controller, experiences: readonly Experience[]): Tensor {
  const logs = controller.logProbability(experiences.map(({ decided }) => decided))
  const data = experiences.map(({ advantage }) => -advantage / experiences.length)
  const factors = logs.dtype === 'float64' ? Float64Array.from(data) : Float32Array.from(data)
  return call('aten::sum', mul(logs, Tensor.from(factors, [data.length])))
}

export interface ReinforceOptions {
  /** Samples of a step of Adam. */
  readonly updateSamples: number
  /** What the entropy of a sample counts in its reward. */
  readonly entropy: number
  /** How much the running mean keeps. */
  readonly baseline: number
}

/** Of Adam, as published: small gradients make small steps. */
const adamEpsilon = 1e-3

const stateSchema = z.object({
  adamSteps: z.number(),
  // none before the first reward
  baseline: z.number().nullable(),
  experiences: z.array(z.object({ decided: z.array(z.number().int()), advantage: z.number() })),
})

/** The controller stays its owner's. */
export class Reinforce {
  readonly #controller: Controller
  readonly #options: ReinforceOptions
  readonly #optimizer: ArchOptimizer
  #baseline: number | null = null
  /** Those that the next step waits for. */
  #experiences: readonly Experience[] = []

  constructor(controller: Controller, options: ReinforceOptions, settings: ArchOptimizerSettings) {
    this.#controller = controller
    this.#options = options
    this.#optimizer = new ArchOptimizer(new Map(controller.parameters), settings, adamEpsilon)
  }

  /**
   * Takes over the accuracy, 0 … 1, of a sample; every so many make a step of Adam. As published, the first reward is the first mean, and
   * each is compared with the mean that it counts in.
   */
  learn({ decided, entropy }: Sampled, accuracy: number): void {
    const { updateSamples, baseline: kept } = this.#options
    // a number like the accuracy: no gradient goes through it
    const reward = accuracy + this.#options.entropy * entropy
    const before = this.#baseline ?? reward
    const baseline = before - (1 - kept) * (before - reward)
    this.#baseline = baseline
    this.#experiences = [...this.#experiences, { decided, advantage: reward - baseline }]
    if (this.#experiences.length < updateSamples) return
    this.#update()
    this.#experiences = []
  }

  #update(): void {
    const parameters = [...this.#controller.parameters.values()]
    tidy(() => {
      setRequiresGrad(parameters, true)
      try {
        this.#optimizer.step(grad(reinforceLoss(this.#controller, this.#experiences), parameters))
      } finally {
        setRequiresGrad(parameters, false)
      }
    })
  }

  state(): StateDict {
    const data: z.infer<typeof stateSchema> = {
      adamSteps: this.#optimizer.steps,
      baseline: this.#baseline,
      experiences: this.#experiences.map(({ decided, advantage }) => ({ decided: [...decided], advantage })),
    }
    return { tensors: this.#optimizer.tensors(), data }
  }

  /** Throws DdsasError 'checkpoint' where the state is of another controller. */
  load(saved: StateDict, decisions: readonly Decision[]): void {
    const { adamSteps, baseline, experiences } = stateData(saved, stateSchema)
    for (const { decided } of experiences) checkDecided(decided, decisions)
    this.#optimizer.load(saved.tensors, adamSteps)
    this.#baseline = baseline
    this.#experiences = experiences
  }

  dispose(): void {
    this.#optimizer.dispose()
  }
}
