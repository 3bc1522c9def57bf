/** The weight step: one SGD update of the supernet's weights on a batch of the training half; alpha and zeta constant. */
import type { Sgd } from '../nn/index.ts'
import type { Supernet } from '../spaces/supernet.ts'
import type { Batch, Outcome, Strategy } from '../strategies/strategy.ts'
import {
  countCorrect,
  crossEntropy,
  detach,
  grad,
  setRequiresGrad,
  type Tensor,
  tidy,
} from '../torch/index.ts'

export interface WeightStepOptions {
  readonly rate: number
  /** Largest joint 2-norm of the gradients. */
  readonly clip: number
}

export interface WeightOutcome extends Outcome {
  /** Joint 2-norm of the gradients before clipping, a scalar. */
  readonly gradNorm: Tensor
}

/** Weights need gradients during this step alone: the architecture step records nothing for them. */
export function weightStep(
  supernet: Supernet,
  strategy: Pick<Strategy, 'mixing'>,
  batch: Batch,
  optimizer: Sgd,
  options: WeightStepOptions,
): WeightOutcome {
  return sgdStep(batch.labels, optimizer, options, () => {
    const logits = supernet.forward(batch.images, (cell) => strategy.mixing(cell), true)
    return { logits, loss: crossEntropy(logits, batch.labels) }
  })
}

/** One clipped SGD update of what the optimizer moves, on the loss that `forward` computes; none where a gradient is not finite. */
export function sgdStep(
  labels: Tensor,
  optimizer: Sgd,
  options: WeightStepOptions,
  forward: () => { readonly logits: Tensor; readonly loss: Tensor },
): WeightOutcome {
  const weights = [...optimizer.parameters.values()]
  return tidy(() => {
    setRequiresGrad(weights, true)
    const { logits, loss } = forward()
    const gradients = grad(loss, weights)
    setRequiresGrad(weights, false)
    const gradNorm = optimizer.step(gradients, options.rate, options.clip)
    return { loss: detach(loss), correct: countCorrect(logits, labels), gradNorm }
  })
}
