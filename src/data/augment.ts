/** Random crop, flip and cutout of a batch: drawn here, applied to all images in one native call (ddsas::augment). */
import { adopt, call, callLater, type Generator, keep, Tensor, tidy, to } from '../torch/index.ts'

export interface Augmentation {
  /** Pixels of zeros added on each side before a crop of the image's own size; 0: no crop. */
  readonly padding: number
  /** Mirror half of the images. */
  readonly flip: boolean
  /** Side of the square set to zero after normalising; 0: none. */
  readonly cutout: number
}

/** No change but the normalisation: for evaluation. */
export const plain: Augmentation = { padding: 0, flip: false, cutout: 0 }

/** Images as a data set holds them, and how they are normalised. Batches go where the labels are; images may be mapped on the CPU. */
export interface ImageTensors {
  /** uint8 [count, 3, size, size]. */
  readonly images: Tensor
  /** int64 [count]. */
  readonly labels: Tensor
  readonly size: number
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/** What is drawn for a batch: five int32 an image (top, left, flip, centre y and x of the cutout or -1). */
export function drawAugmentation(
  count: number,
  size: number,
  how: Augmentation,
  generator: Generator,
): Int32Array {
  const draws = new Int32Array(5 * count)
  for (let i = 0; i < draws.length; i += 5) {
    if (how.padding > 0) draws[i] = generator.below(2 * how.padding + 1)
    if (how.padding > 0) draws[i + 1] = generator.below(2 * how.padding + 1)
    if (how.flip) draws[i + 2] = generator.below(2)
    draws[i + 3] = how.cutout > 0 ? generator.below(size) : -1
    draws[i + 4] = how.cutout > 0 ? generator.below(size) : -1
  }
  return draws
}

/**
 * Starts preparing the images of `indices`, int64 on the CPU: on a thread of its own, or on the GPU that holds the data set.
 * `finish` gives float32 [indices, 3, size, size], channels last.
 */
export function prepareImages(
  data: ImageTensors,
  indices: Tensor,
  draws: Int32Array,
  how: Augmentation,
): { finish(): Tensor } {
  const { device } = data.images
  const settings = [data.mean, data.std, how.padding, how.cutout] as const
  const drawn = Tensor.from(draws, [draws.length / 5, 5])
  if (device === 'cpu') return callLater('ddsas::augment', data.images, indices, drawn, ...settings)
  const images = tidy(() => {
    const there = [to(indices, { device }), to(drawn, { device })] as const
    return keep(call('ddsas::augment', data.images, ...there, ...settings))
  })
  return { finish: () => adopt(images) }
}
