/** Makes a batch of decoded images in one native call: resize, flip, jitter, normalise (native/kernels/image_augment.cc). */
import { callLater, Tensor, tidy } from '../torch/index.ts'
import type { DecodedImage } from './image-decode.ts'
import type { ImageDraw, Normalisation } from './image-transform.ts'

/** A decoded image and what was drawn for it. */
export interface DrawnImage {
  readonly image: DecodedImage
  readonly draw: ImageDraw
}

/**
 * Starts making the batch on a thread of its own; `finish` gives float32 [images, 3, size, size], channels last. The
 * pixels are copied before this returns.
 */
export function augmentImages(
  images: readonly DrawnImage[],
  { size, mean, std }: Normalisation & { readonly size: number },
): { finish(): Tensor } {
  const rows = images.length
  const boxes = images.flatMap(({ image: { box } }) => [box.left, box.top, box.width, box.height])
  const draws = images.flatMap(({ draw }) => [draw.flip ? 1 : 0, ...draw.order])
  const factors = images.flatMap(({ draw }) => draw.factors)
  return tidy(() =>
    callLater(
      'ddsas::image_augment',
      images.map(({ image }) => Tensor.from(image.pixels, [image.height, image.width, 3])),
      Tensor.from(Float64Array.from(boxes), [rows, 4]),
      Tensor.from(Int32Array.from(draws), [rows, 5]),
      Tensor.from(Float32Array.from(factors), [rows, 4]),
      mean,
      std,
      size,
    ),
  )
}
