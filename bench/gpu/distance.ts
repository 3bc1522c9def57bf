/** How far two tensors are apart, wherever and in whatever type they are. */
import { add, mul, sum, type Tensor, tidy, to } from '../../src/torch/index.ts'

export const double = (x: Tensor) => to(x, { device: 'cpu', dtype: 'float64' })

/** |own - wanted| / |wanted|, Euclidean; not a number where one is missing. */
export function distance(own: Tensor | null | undefined, wanted: Tensor | null | undefined): number {
  if (!own || !wanted) return Number.NaN
  return tidy(() => {
    const [a, b] = [double(own), double(wanted)]
    const square = (x: Tensor) => sum(mul(x, x)).item()
    return Math.sqrt(square(add(a, mul(b, -1))) / square(b))
  })
}
