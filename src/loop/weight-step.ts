/** The weight step: one SGD update on a batch, with gradients clipped by their joint norm. */
import { type Batch, batchGradients, clipTogether, type Outcome, type Passed, type Sgd } from '../nn/index.ts'
import { type Tensor, tidy } from '../torch/index.ts'

export interface WeightStepOptions {
  readonly lr: number
  /** Largest joint 2-norm of the gradients. */
  readonly gradClip: number
  /** The most images that are computed at a time; all where it is 0, or not said. */
  readonly microBatch?: number
}

export interface WeightOutcome extends Outcome {
  /** Joint 2-norm of the gradients before clipping, a scalar. */
  readonly gradNorm: Tensor
}

/**
 * One clipped SGD update of what the optimizer moves, on the loss that `forward` computes; none where a gradient is not finite.
 * `beside`: parameters that stay where they are, and whose gradients count in the norm.
 */
export function sgdStep(
  batch: Batch,
  optimizer: Sgd,
  { lr, gradClip, microBatch = 0 }: WeightStepOptions,
  forward: (part: Batch) => Passed,
  beside: readonly Tensor[] = [],
): WeightOutcome {
  const weights = [...optimizer.parameters.values()]
  return tidy(() => {
    const { gradients, outcome } = batchGradients([...weights, ...beside], batch, microBatch, forward)
    const own = gradients.slice(0, weights.length)
    if (beside.length === 0) return { ...outcome, gradNorm: optimizer.step(own, lr, gradClip) }
    const clipped = clipTogether(own, gradients.slice(weights.length), gradClip)
    optimizer.step(clipped.gradients, lr)
    return { ...outcome, gradNorm: clipped.norm }
  })
}
