/** The weight step: one SGD update on a batch, with gradients clipped by their joint norm. */
import {
  type Batch,
  batchGradients,
  clipTogether,
  type Gradients,
  type Outcome,
  type Passed,
  type Sgd,
} from '../nn/index.ts'
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

/** Parameters whose gradients are taken by the same loss, and that stay where they are. */
export interface Beside {
  readonly parameters: readonly Tensor[]
  /** Whether their gradients count in the norm that those of the weights are clipped by. */
  readonly clip: boolean
}

/** One clipped SGD update of what the optimizer moves, on the loss that `forward` computes; none where a gradient is not finite. */
export function sgdStep(
  batch: Batch,
  optimizer: Sgd,
  { lr, gradClip, microBatch = 0 }: WeightStepOptions,
  forward: (part: Batch) => Passed,
  { parameters, clip }: Beside = { parameters: [], clip: false },
): WeightOutcome & { readonly beside: Gradients } {
  const weights = [...optimizer.parameters.values()]
  return tidy(() => {
    const { gradients, outcome } = batchGradients([...weights, ...parameters], batch, microBatch, forward)
    const own = gradients.slice(0, weights.length)
    const beside = gradients.slice(weights.length)
    if (!clip) return { ...outcome, gradNorm: optimizer.step(own, lr, gradClip), beside }
    const clipped = clipTogether(own, beside, gradClip)
    optimizer.step(clipped.gradients, lr)
    return { ...outcome, gradNorm: clipped.norm, beside }
  })
}
