/** The two halves of the training images: one for the weights, one for the architecture. */
import { checkEnough } from '../data/training-images.ts'
import { DdsasError } from '../errors.ts'
import { Generator } from '../torch/index.ts'
import { counted } from '../words.ts'
import type { SearchConfig } from './config.ts'

export interface Split {
  /** Positions of the images that train the weights. */
  readonly train: readonly number[]
  /** Positions of the images that train alpha and zeta, and measure accuracy. */
  readonly valid: readonly number[]
}

/**
 * Splits the training set in its first and second half, as DARTS does; with `data.images` a random subset of it. Throws
 * DdsasError 'input' when there are fewer images than asked for, or too few for two batches.
 */
export function splitTrainVal(count: number, { data, seed }: SearchConfig): Split {
  checkEnough(count, data)
  const used =
    data.images === 0 ? Array.from({ length: count }, (_, i) => i) : subset(count, data.images, seed)
  if (used.length < 2)
    throw new DdsasError('input', `${counted(used.length, 'image')} cannot be split in two halves`)
  const half = Math.floor(used.length / 2)
  return { train: used.slice(0, half), valid: used.slice(half) }
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
