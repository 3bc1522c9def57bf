/** The weight step: one SGD update on a batch, with gradients clipped by their joint norm. */
import type { Outcome, Sgd } from '../nn/index.ts'
import { countCorrect, detach, grad, setRequiresGrad, type Tensor, tidy } from '../torch/index.ts'

export interface WeightStepOptions {
  readonly lr: number
  /** Largest joint 2-norm of the gradients. */
  readonly gradClip: number
}

export interface WeightOutcome extends Outcome {
  /** Joint 2-norm of the gradients before clipping, a scalar. */
  readonly gradNorm: Tensor
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
    const gradNorm = optimizer.step(gradients, options.lr, options.gradClip)
    return { loss: detach(loss), correct: countCorrect(logits, labels), gradNorm }
  })
}
