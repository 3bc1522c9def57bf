/** The weight step: one SGD update of the supernet's weights on a batch of the training half; alpha and zeta constant. */
import type { ImageBatch } from '../data/source.ts'
import { sgdStep, type WeightOutcome, type WeightStepOptions } from '../loop/weight-step.ts'
import type { Sgd } from '../nn/index.ts'
import type { Supernet } from '../spaces/darts/supernet.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { crossEntropy } from '../torch/index.ts'

/** Weights need gradients during this step alone: the architecture step records nothing for them. */
export function weightStep(
  supernet: Supernet,
  strategy: Pick<Strategy, 'mixing'>,
  batch: ImageBatch,
  optimizer: Sgd,
  options: WeightStepOptions,
): WeightOutcome {
  return sgdStep(batch.labels, optimizer, options, () => {
    const logits = supernet.forward(batch.images, (cell) => strategy.mixing(cell), true)
    return { logits, loss: crossEntropy(logits, batch.labels) }
  })
}
