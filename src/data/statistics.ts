/** Mean and standard deviation of each channel over all pixels of a data set, computed without rounding from counts. */

import { DdsasError, quoted } from '../errors.ts'
import { commandLine } from '../words.ts'
import type { ImageDataset } from './cifar.ts'
import { type ImageFolder, imagePath } from './folder.ts'
import type { SkippedImage } from './folder-images.ts'
import { forEachInFlight, tasksInFlight } from './folder-tasks.ts'
import { decodeWhole } from './image-decode.ts'

export interface ImageStatistics {
  /** Per channel (R, G, B), of pixels scaled to 0..1. */
  readonly mean: readonly number[]
  /** Of the whole population: divided by the number of pixels. */
  readonly std: readonly number[]
  readonly images: number
  /** Pixels of all images; each counts the same, so a large image counts more than a small one. */
  readonly pixels: number
}

const channels = 3

/** How often each value 0..255 occurs in each channel: all that mean and deviation depend on, exact up to 2^53 pixels. */
export class Histogram {
  readonly #counts = Array.from({ length: channels }, () => new Float64Array(256))

  /** Every `step`-th byte from `start`, of one channel. */
  add(channel: number, bytes: Uint8Array, start: number, end: number, step: number): void {
    const counts = this.#counts[channel]
    for (let at = start; at < end; at += step) counts[bytes[at]]++
  }

  /** Planes of R, G, B, image by image. */
  addPlanes(bytes: Uint8Array, plane: number): void {
    for (let start = 0; start < bytes.length; start += plane)
      this.add((start / plane) % channels, bytes, start, start + plane, 1)
  }

  statistics(images: number): ImageStatistics {
    const moments = this.#counts.map(momentsOf)
    return {
      mean: moments.map(({ mean }) => mean),
      std: moments.map(({ std }) => std),
      images,
      pixels: this.#counts[0].reduce((sum, count) => sum + count, 0),
    }
  }
}

/** In whole numbers of any size: n sum(v^2) - sum(v)^2 would lose its last digits in floating point. */
function momentsOf(counts: Float64Array): { mean: number; std: number } {
  let [n, sum, squares] = [0n, 0n, 0n]
  for (const [value, count] of counts.entries()) {
    n += BigInt(count)
    sum += BigInt(count) * BigInt(value)
    squares += BigInt(count) * BigInt(value) ** 2n
  }
  const pixels = Number(n)
  return {
    mean: Number(sum) / pixels / 255,
    std: Math.sqrt(Number(n * squares - sum * sum)) / pixels / 255,
  }
}

/**
 * Statistics of images in memory, uint8 [count, 3, size, size].
 * @throws DdsasError kind `data` where there are none
 */
export function datasetStatistics({ images, count, size, name }: ImageDataset): ImageStatistics {
  if (count === 0) throw new DdsasError('data', `${name} has no images to compute statistics of: add some`)
  const histogram = new Histogram()
  histogram.addPlanes(images, size * size)
  return histogram.statistics(count)
}

export interface FolderStatisticsOptions {
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/**
 * Statistics of the images of a folder in their own sizes; a few are in memory at a time. Files that cannot be decoded
 * are left out and listed.
 * @throws DdsasError kind `data` where no file can be decoded
 */
export async function folderStatistics(
  folder: ImageFolder,
  { onProgress }: FolderStatisticsOptions = {},
): Promise<ImageStatistics & { readonly skipped: readonly SkippedImage[] }> {
  const histogram = new Histogram()
  const skipped: SkippedImage[] = []
  let done = 0
  await forEachInFlight(folder.count, tasksInFlight, async (position) => {
    try {
      const { pixels } = await decodeWhole(imagePath(folder, position))
      for (let channel = 0; channel < channels; channel++)
        histogram.add(channel, pixels, channel, pixels.length, channels)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      skipped.push({ file: folder.files[position], reason })
    }
    done++
    onProgress?.(done, folder.count)
  })
  if (skipped.length === folder.count) {
    const problem = `no image of ${folder.split} in ${folder.directory} can be decoded`
    throw new DdsasError(
      'data',
      `${problem}: list them with \`${commandLine(`data check ${quoted(folder.directory)}`)}\``,
    )
  }
  return { ...histogram.statistics(folder.count - skipped.length), skipped }
}
