/** What of its images decides on the memory and the time of a search: how many, of how many classes, how large. */
import type { SearchConfig } from './config.ts'

export interface ImagesShape {
  /** Images that train the weights. */
  readonly train: number
  /** Images that train the architecture, and measure accuracy. */
  readonly valid: number
  readonly classes: number
  /** Images whose bytes are tensors as long as the search runs; none of a file that is mapped, or of files that are streamed. */
  readonly kept: number
}

/** Of a data set of CIFAR's kind with so many images. */
export function shapeOfDataset(
  count: number,
  classes: number,
  { data }: Pick<SearchConfig, 'data'>,
): ImagesShape {
  const used = Math.min(data.images || count, count)
  return { train: Math.floor(used / 2), valid: Math.ceil(used / 2), classes, kept: count }
}

/** Bytes of the tensors of so many images of `size` pixels, and their labels. */
export function datasetBytes(count: number, size: number): number {
  return count * (3 * size * size + 8)
}

/** Bytes of a batch as a network takes it. */
export function batchBytes(count: number, size: number): number {
  return count * (4 * 3 * size * size + 8)
}
