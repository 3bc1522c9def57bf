/** The training images as tensors, and their two halves: one for the weights, one for the architecture. */
import type { ImageDataset, ImageTensors } from '../data/index.ts'
import { DdsasError } from '../errors.ts'
import { Generator, keep, onDevice, Tensor, tidy } from '../torch/index.ts'
import { counted } from '../words.ts'
import type { SearchConfig } from './config.ts'

/** Kept tensors of a data set, on a device: a GPU gets the bytes once and changes the images itself. */
export function toTensors(dataset: ImageDataset, device: string): ImageTensors {
  const { images, labels, count, size, mean, std } = dataset
  const place = (x: Tensor) => keep(onDevice(x, device))
  return tidy(() => ({
    images: place(Tensor.from(images, [count, 3, size, size])),
    labels: place(Tensor.from(BigInt64Array.from(labels, BigInt), [count])),
    size,
    mean,
    std,
  }))
}

export interface Halves {
  /** Positions of the images that train the weights. */
  readonly weights: readonly number[]
  /** Positions of the images that train alpha and zeta, and measure accuracy. */
  readonly architecture: readonly number[]
}

/**
 * Splits the training set in its first and second half, as DARTS does; with `data.images` a random subset of it. Throws
 * DdsasError 'input' when there are fewer images than asked for, or too few for two batches.
 */
export function splitInHalves(count: number, { data, seed }: SearchConfig): Halves {
  checkEnough(count, data)
  const used =
    data.images === 0 ? Array.from({ length: count }, (_, i) => i) : subset(count, data.images, seed)
  if (used.length < 2)
    throw new DdsasError('input', `${counted(used.length, 'image')} cannot be split in two halves`)
  const half = Math.floor(used.length / 2)
  return { weights: used.slice(0, half), architecture: used.slice(half) }
}

function subset(count: number, size: number, seed: number): number[] {
  return new Generator(seed, 'subset').permutation(count).slice(0, size)
}

/** Throws DdsasError 'input' when a search asks for more images than there are: in all, or in a batch. */
export function checkCounts(count: number, { data }: Pick<SearchConfig, 'data'>): void {
  checkEnough(count, data)
  const used = data.images || count
  if (data.batch > used)
    throw new DdsasError(
      'input',
      `data.batch = ${data.batch}, there are ${used} images; ask for at most that`,
    )
}

/** Throws DdsasError 'input' when there are fewer training images than asked for. */
export function checkEnough(count: number, { images }: { readonly images: number }): void {
  if (images <= count) return
  throw new DdsasError(
    'input',
    `data.images = ${images}, the training set has ${count}; ask for at most that`,
  )
}
