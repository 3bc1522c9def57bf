/** The type of numbers that images have between layers; weights, their gradients and statistics are float32 in any case. */
import { type Tensor, to } from '../torch/index.ts'

export const precisions = ['float32', 'bfloat16'] as const
export type Precision = (typeof precisions)[number]

/** Images in a precision: layers compute in the type of what they are given. */
export function inPrecision(images: Tensor, precision: Precision | undefined): Tensor {
  return precision === 'bfloat16' ? to(images, { dtype: precision }) : images
}
