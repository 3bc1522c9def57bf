/** Architecture parameters with Adam on them, and their gradients by a batch: what all gradient methods have in common. */
import { z } from 'zod'
import {
  Adam,
  type ArchWeightsOf,
  type Batch,
  type BatchGradients,
  batchGradients,
  clipTogether,
  loadTensors,
  type Network,
} from '../../nn/index.ts'
import type { Gradients } from '../../nn/optim.ts'
import { crossEntropy, type Tensor, tidy } from '../../torch/index.ts'
import type { StepContext } from '../strategy.ts'

const part = z.number().min(0).lt(1)

/** By their places in a configuration. */
export const archOptimizerSettings = {
  archOptimizer: z
    .strictObject({
      lr: z
        .number()
        .nonnegative()
        .meta({ unit: '-', description: 'learning rate of the architecture parameters' }),
      betas: z
        .tuple([part, part])
        .meta({ unit: '-', description: 'how much the running means of gradient and square keep at a step' }),
      weightDecay: z
        .number()
        .nonnegative()
        .meta({ unit: '-', description: 'L2 penalty, added to the gradient' }),
      // older runs do not say, and neither need programs
      gradClip: z.number().positive().nullable().default(null).optional().meta({
        unit: '-',
        description:
          'largest joint 2-norm of the gradients of alpha, and of those of zeta: more is scaled down to it; null: no limit',
      }),
    })
    .describe('Adam on the architecture parameters'),
}

const schema = z.object(archOptimizerSettings)
export type ArchOptimizerSettings = z.infer<typeof schema>

/** As DARTS has it, and most methods after it. */
export const usualArchOptimizer: ArchOptimizerSettings = {
  archOptimizer: { lr: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 },
}

const adamPrefix = 'adam.'

/** Architecture parameters and Adam on them; the parameters stay their owner's. */
export class ArchOptimizer {
  /** By name. */
  readonly parameters: Map<string, Tensor>
  readonly #adam: Adam
  readonly #clip: number | undefined

  /** `eps`: of Adam, where that is not the usual one. */
  constructor(parameters: Map<string, Tensor>, { archOptimizer }: ArchOptimizerSettings, eps?: number) {
    this.parameters = parameters
    this.#adam = new Adam(parameters, { ...archOptimizer, ...(eps === undefined ? {} : { eps }) })
    this.#clip = archOptimizer.gradClip ?? undefined
  }

  /** One step, by gradients in the order of the parameters; those of one kind, as of alpha, are clipped together. */
  step(gradients: Gradients): void {
    const clip = this.#clip
    if (clip === undefined) this.#adam.step(gradients)
    else tidy(() => this.#adam.step(this.#clipped(gradients, clip)))
  }

  #clipped(gradients: Gradients, clip: number): Gradients {
    const kinds = [...this.parameters.keys()].map((name) => name.split('.')[0])
    const clipped = new Map<number, Tensor | null>()
    for (const kind of new Set(kinds)) {
      const places = [...kinds.keys()].filter((index) => kinds[index] === kind)
      const own = clipTogether(
        places.map((index) => gradients[index]),
        [],
        clip,
      ).gradients
      for (const [at, index] of places.entries()) clipped.set(index, own[at])
    }
    return gradients.map((gradient, index) => clipped.get(index) ?? gradient)
  }

  /** How many there were; waits for the device. */
  get steps(): number {
    return this.#adam.steps
  }

  /** The parameters, and Adam's running means of each. */
  tensors(): Map<string, Tensor> {
    const means = [...this.#adam.state()].map(([name, tensor]) => [`${adamPrefix}${name}`, tensor] as const)
    return new Map([...this.parameters, ...means])
  }

  /** Takes over what `tensors` and `steps` gave. Throws DdsasError 'checkpoint' where those are of other parameters. */
  load(tensors: ReadonlyMap<string, Tensor>, steps: number): void {
    const isMean = ([name]: readonly [string, Tensor]) => name.startsWith(adamPrefix)
    const means = [...tensors].filter(isMean)
    const parameters = [...tensors].filter((entry) => !isMean(entry))
    loadTensors(this.parameters, new Map(parameters), 'the state of the strategy')
    this.#adam.load(new Map(means.map(([name, tensor]) => [name.slice(adamPrefix.length), tensor])), steps)
  }

  dispose(): void {
    this.#adam.dispose()
  }
}

/**
 * d loss / d parameters of a supernet in training mode on a batch, and of the penalty of a `StepContext`; everything else takes part
 * as a constant. `microBatch` and `dropout`: as there.
 */
export function lossGradients(
  supernet: Network,
  parameters: readonly Tensor[],
  archWeights: ArchWeightsOf,
  batch: Batch,
  { microBatch = 0, penalty, dropout }: Pick<StepContext, 'microBatch' | 'penalty' | 'dropout'> = {},
): BatchGradients {
  return batchGradients(parameters, batch, microBatch, ({ images, labels, part }) => {
    const { logits } = supernet.forward(images, { training: true, archWeights, part, dropout })
    return {
      logits,
      loss: crossEntropy(logits, labels),
      ...(penalty ? { penalty: penalty(archWeights) } : {}),
    }
  })
}
