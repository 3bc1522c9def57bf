/** Gradients: `grad` mirrors torch.autograd.grad, `noGrad` mirrors torch.no_grad. */
import { native } from './native.ts'
import { guard, Tensor } from './tensor.ts'

/**
 * d output / d input of a scalar for each of `inputs`; null where the output does not depend on it. Frees the graph.
 * Only what lies between the output and these inputs is computed.
 */
export function grad(output: Tensor, inputs: readonly Tensor[]): (Tensor | null)[] {
  const slots = guard(() =>
    native().grad(
      output.slot,
      inputs.map((input) => input.slot),
    ),
  )
  return slots.map((slot) => (slot === null ? null : new Tensor(slot)))
}

/** Marks leaf tensors as needing a gradient or not. */
export function setRequiresGrad(tensors: readonly Tensor[], flag: boolean): void {
  guard(() =>
    native().setRequiresGrad(
      tensors.map((tensor) => tensor.slot),
      flag,
    ),
  )
}

/** Runs `body` without recording what a backward pass would need. */
export function noGrad<Result>(body: () => Result): Result {
  const before = native().setGradMode(false)
  try {
    return body()
  } finally {
    native().setGradMode(before)
  }
}
