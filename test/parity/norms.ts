/** How the golden gradients of compared methods are held, and in which ways networks compute for it. */
import assert from 'node:assert/strict'
import { channelsLast, type Tensor, withoutKernels } from '../../src/torch/index.ts'

export type Layout = (x: Tensor) => Tensor

export const manners: Readonly<Record<string, (body: (layout: Layout) => void) => void>> = {
  'NCHW, ATen': (body) => withoutKernels(() => body((x) => x)),
  'channels last, kernels': (body) => body(channelsLast),
}

/** 2-norm of the difference against that of the golden values; what is smaller than 1e-6 counts as zero. */
export function assertNorm(
  actual: Tensor | null | undefined,
  golden: Tensor,
  bound: number,
  what: string,
): void {
  assert.ok(actual, `${what} is missing`)
  const [got, wanted] = [actual.floats(), golden.floats()]
  const distance = Math.hypot(...[...got].map((value, index) => value - wanted[index]))
  const norm = Math.hypot(...wanted)
  assert.ok(distance <= bound * Math.max(norm, 1e-6), `${what}: ${distance} away of ${norm}`)
}
