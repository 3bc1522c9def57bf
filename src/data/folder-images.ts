/** The images of a folder as a stream or an evaluation reads them; files that cannot be decoded are told of once. */
import { join } from 'node:path'
import { DdsasError } from '../errors.ts'
import { type ImageFolder, imagePath } from './folder.ts'
import { filesOpen, limiter } from './folder-tasks.ts'
import { type DecodedImage, decodePlanned, imageSize, planDecoding, readImageFile } from './image-decode.ts'
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

/** A skipped file, and where it is. */
export interface SkippedFile extends SkippedImage {
  readonly path: string
}

/** Told once of each such file, with how many there are so far. */
export type OnSkippedFile = (skipped: SkippedFile, count: number) => void

/** Tells of each file once, though it is met in every epoch, and by streams as well as by evaluations. */
export function tellOnce(onSkip: OnSkippedFile | undefined): (folder: ImageFolder) => OnSkip {
  const told = new Set<string>()
  return ({ directory, split }) =>
    (skipped) => {
      const path = join(directory, split, skipped.file)
      if (told.has(path)) return
      told.add(path)
      onSkip?.({ ...skipped, path }, told.size)
    }
}

/** How a part of an image is read: the box for its size, resized to `size`; see `planDecoding` for `margin`. */
export interface BoxReading {
  readonly size: number
  readonly margin: boolean
  boxOf(image: ImageSize): Box
}

export class FolderImages {
  readonly #folder: ImageFolder
  readonly #onSkip: OnSkip | undefined
  readonly #skipped = new Map<number, SkippedImage>()
  readonly #limited = limiter(filesOpen)

  constructor(folder: ImageFolder, onSkip?: OnSkip) {
    this.#folder = folder
    this.#onSkip = onSkip
  }

  label(position: number): number {
    return this.#folder.labels[position]
  }

  /** Files that could not be decoded so far, in the order in which that was found. */
  skipped(): SkippedImage[] {
    return [...this.#skipped.values()]
  }

  /** The bytes of a file; undefined where it cannot be read. A few at a time, as a process may open only so many. */
  read(position: number): Promise<Uint8Array | undefined> {
    const path = imagePath(this.#folder, position)
    return this.#limited(() => this.#orSkip(position, () => readImageFile(path)))
  }

  /**
   * Decodes what `reading` needs of a file, in one task of the thread pool; undefined where that cannot be done. Whether
   * the file was skipped before makes no difference, as a resumed run would not know it.
   */
  decode(
    position: number,
    file: Uint8Array,
    { size, margin, boxOf }: BoxReading,
  ): Promise<DecodedImage | undefined> {
    return this.#orSkip(position, () => {
      const image = imageSize(file)
      return decodePlanned(file, planDecoding(image, boxOf(image), size, margin))
    })
  }

  async #orSkip<Result>(position: number, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof DdsasError) throw error
      this.#skip(position, error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  #skip(position: number, reason: string): void {
    if (this.#skipped.has(position)) return
    const skipped = { file: this.#folder.files[position], reason }
    this.#skipped.set(position, skipped)
    this.#onSkip?.(skipped, this.#skipped.size)
  }
}
