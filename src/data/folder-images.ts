/** The images of a folder as a stream or an evaluation reads them: sizes are remembered, corrupt files told of once. */
import { DdsasError } from '../errors.ts'
import { type ImageFolder, imagePath } from './folder.ts'
import { type DecodedImage, decodePlanned, planDecoding, readImageSize } from './image-decode.ts'
import type { Box, ImageSize } from './image-transform.ts'

/** An image file that could not be decoded. */
export interface SkippedImage {
  /** `CLASS/name.jpg`. */
  readonly file: string
  /** One line. */
  readonly reason: string
}

/** Called the first time that a file cannot be decoded, with how many there are so far. */
export type OnSkip = (skipped: SkippedImage, count: number) => void

/** How a part of an image is read: the box for its size, resized to `size`; see `planDecoding` for `margin`. */
export interface BoxReading {
  readonly size: number
  readonly margin: boolean
  boxOf(image: ImageSize): Box
}

/**
 * Width and height by position, 0 while unknown, shared by all that reads a folder: after the first pass over it no
 * header is read again.
 */
const knownSizes = new WeakMap<ImageFolder, Int32Array>()

function sizesOf(folder: ImageFolder): Int32Array {
  const sizes = knownSizes.get(folder) ?? new Int32Array(2 * folder.count)
  knownSizes.set(folder, sizes)
  return sizes
}

export class FolderImages {
  readonly #folder: ImageFolder
  readonly #onSkip: OnSkip | undefined
  readonly #sizes: Int32Array
  readonly #skipped = new Map<number, SkippedImage>()

  constructor(folder: ImageFolder, onSkip?: OnSkip) {
    this.#folder = folder
    this.#onSkip = onSkip
    this.#sizes = sizesOf(folder)
  }

  label(position: number): number {
    return this.#folder.labels[position]
  }

  /** Files that could not be decoded so far, in the order in which that was found. */
  skipped(): SkippedImage[] {
    return [...this.#skipped.values()]
  }

  /**
   * Decodes what `reading` needs of an image; undefined where the file cannot be decoded. One task of the thread pool,
   * and one before it for the size where that is not known. Whether a file was skipped before makes no difference, as
   * a resumed run would not know it.
   */
  async decode(position: number, { size, margin, boxOf }: BoxReading): Promise<DecodedImage | undefined> {
    try {
      const image = await this.#size(position)
      const plan = planDecoding(image, boxOf(image), size, margin)
      return await decodePlanned(imagePath(this.#folder, position), plan)
    } catch (error) {
      if (error instanceof DdsasError) throw error
      this.#skip(position, error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  #size(position: number): ImageSize | Promise<ImageSize> {
    const [width, height] = this.#sizes.subarray(2 * position)
    return width > 0 ? { width, height } : this.#readSize(position)
  }

  async #readSize(position: number): Promise<ImageSize> {
    const size = await readImageSize(imagePath(this.#folder, position))
    this.#sizes.set([size.width, size.height], 2 * position)
    return size
  }

  #skip(position: number, reason: string): void {
    if (this.#skipped.has(position)) return
    const skipped = { file: this.#folder.files[position], reason }
    this.#skipped.set(position, skipped)
    this.#onSkip?.(skipped, this.#skipped.size)
  }
}
