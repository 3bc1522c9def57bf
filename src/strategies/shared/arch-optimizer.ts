/** Adam on architecture parameters, and their gradients by a batch: what all gradient methods have in common. */
import { z } from 'zod'
import type { ArchWeightsOf, Batch, Network, Outcome } from '../../nn/index.ts'
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
