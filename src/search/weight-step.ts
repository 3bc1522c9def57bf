/** The weight step: one SGD update of the supernet's weights on a batch of the training half; alpha and zeta constant. */
import { sgdStep, type WeightOutcome, type WeightStepOptions } from '../loop/weight-step.ts'
import type { ArchWeightsOf, Batch, Network, Sgd } from '../nn/index.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { crossEntropy } from '../torch/index.ts'

/** Weights need gradients during this step alone: the architecture step records nothing for them. */
export function weightStep(
  supernet: Network,
  strategy: Pick<Strategy, 'archWeights'>,
  batch: Batch,
  optimizer: Sgd,
  options: WeightStepOptions,
): WeightOutcome {
  return sgdStep(batch.labels, optimizer, options, () => {
    const archWeights: ArchWeightsOf = (group) => strategy.archWeights(group, 'train')
    const { logits } = supernet.forward(batch.images, { training: true, archWeights })
    return { logits, loss: crossEntropy(logits, batch.labels) }
  })
}
