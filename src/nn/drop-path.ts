/** Drop-path: whole operations left out of a training pass for single images, at random (Larsson et al., FractalNet). */

import { type Generator, slice, Tensor, to } from '../torch/index.ts'
import type { BatchPart } from './step.ts'

export interface DropPath {
  /** How likely an operation is left out for an image, 0 <= rate < 1. */
  readonly rate: number
  readonly generator: Generator
  /** Where the images are but a part of a batch, which others have too: all of it is drawn. */
  readonly place?: Pick<BatchPart, 'start' | 'total'> | undefined
}

/** What is left of the next `count` edges in each image: float32 [count, n], zero where one is left out. */
export type Drop = (count: number) => Tensor

/**
 * Draws a whole forward pass: for each edge that may be left out, and each image, whether it is kept; what is kept is
 * scaled by 1 / (1 - rate), so that the expected output stays the same (bfloat16 rounds that by 0.2 % at most). The masks
 * go to the device in one transfer.
 */
export function drawDrops(
  { rate, generator, place }: DropPath,
  droppable: readonly boolean[],
  images: Tensor,
): Drop {
  const [count] = images.shape
  const kept = 1 - rate
  const draw = (drops: boolean) => (!drops ? 1 : generator.uniform() < kept ? 1 / kept : 0)
  const { start, total } = place ?? { start: 0, total: count }
  const draws = droppable.flatMap((drops) =>
    Array.from({ length: total }, () => draw(drops)).slice(start, start + count),
  )
  const masks = to(Tensor.from(Float32Array.from(draws), [droppable.length, count]), {
    device: images.device,
  })
  let used = 0
  return (edges) => {
    used += edges
    return slice(masks, 0, used - edges, used)
  }
}
