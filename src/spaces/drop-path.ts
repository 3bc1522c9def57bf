/** Drop-path: whole operations left out of a training pass for single images, at random (Larsson et al., FractalNet). */
import { type Generator, mul, slice, Tensor, to } from '../torch/index.ts'

export interface DropPath {
  /** How likely an operation is left out for an image, 0 <= rate < 1. */
  readonly rate: number
  readonly generator: Generator
}

/** Applied to the output of each operation in turn: [n, c, h, w] -> the same, zero for the images it is left out for. */
export type Drop = (x: Tensor) => Tensor

/**
 * Draws a whole forward pass: for each of `operations`, and each image, whether it is kept; what is kept is scaled by 1 /
 * (1 - rate), so that the expected output stays the same (bfloat16 rounds that by 0.2 % at most). The masks go to the device in one transfer.
 */
export function drawDrops({ rate, generator }: DropPath, operations: number, images: Tensor): Drop {
  const [count] = images.shape
  const kept = 1 - rate
  const draws = Float32Array.from({ length: operations * count }, () =>
    generator.uniform() < kept ? 1 / kept : 0,
  )
  const masks = to(Tensor.from(draws, [draws.length, 1, 1, 1]), {
    device: images.device,
    dtype: images.dtype,
  })
  let used = 0
  return (x) => {
    const mask = slice(masks, 0, used, used + count)
    used += count
    return mul(x, mask)
  }
}
