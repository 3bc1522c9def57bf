/** Architecture parameters with Adam on them, and their gradients by a batch: what all gradient methods have in common. */
import { z } from 'zod'
import {
  Adam,
  type ArchWeightsOf,
  type Batch,
  loadTensors,
  type Network,
  type Outcome,
} from '../../nn/index.ts'
import type { Gradients } from '../../nn/optim.ts'
import { countCorrect, crossEntropy, detach, grad, setRequiresGrad, type Tensor } from '../../torch/index.ts'

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

  constructor(parameters: Map<string, Tensor>, { archOptimizer }: ArchOptimizerSettings) {
    this.parameters = parameters
    this.#adam = new Adam(parameters, archOptimizer)
  }

  /** One step, by gradients in the order of the parameters. */
  step(gradients: Gradients): void {
    this.#adam.step(gradients)
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

/** d loss / d parameters of a supernet in training mode on a batch; everything else takes part as a constant. */
export function lossGradients(
  supernet: Network,
  parameters: readonly Tensor[],
  archWeights: ArchWeightsOf,
  batch: Batch,
): { readonly gradients: (Tensor | null)[]; readonly outcome: Outcome } {
  setRequiresGrad(parameters, true)
  try {
    const { logits } = supernet.forward(batch.images, { training: true, archWeights })
    const loss = crossEntropy(logits, batch.labels)
    const gradients = grad(loss, parameters)
    return { gradients, outcome: { loss: detach(loss), correct: countCorrect(logits, batch.labels) } }
  } finally {
    setRequiresGrad(parameters, false)
  }
}
