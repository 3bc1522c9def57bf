/** Batches of an image folder in random order, without end; files are decoded ahead of use in Node's thread pool. */

import { DdsasError, quoted } from '../errors.ts'
import { type Generator, Tensor, tidy, to } from '../torch/index.ts'
import { commandLine } from '../words.ts'
import type { ImageFolder } from './folder.ts'
import { FolderImages, type OnSkip, type SkippedImage } from './folder-images.ts'
import { takeResults } from './folder-tasks.ts'
import { augmentImages, type DrawnImage } from './image-augment.ts'
import {
  drawImage,
  type ImageDraw,
  type ImageSize,
  randomBox,
  type TrainingTransform,
} from './image-transform.ts'
import {
  type ImageBatch,
  type ImageSource,
  type PlaceInBatch,
  placeInBatch,
  type Share,
  type StreamState,
} from './source.ts'

export interface FolderStreamOptions {
  /** Positions in the folder's list of files. */
  readonly part: readonly number[]
  readonly batch: number
  readonly transform: TrainingTransform
  readonly device: string
  /** Batches under preparation besides the one that is asked for; at least 1, by default 2. */
  readonly ahead?: number | undefined
  /** Gives this part of each batch alone; what is drawn, and the state, are those of the whole. */
  readonly share?: Share | undefined
  /** Told of each file that cannot be decoded; see {@link FolderStream.next}. */
  readonly onSkip?: OnSkip | undefined
}

/** A batch on its way: files are read, pixels decoded, then `work` makes it on a thread of its own. */
interface Pending {
  readonly before: StreamState
  readonly place: PlaceInBatch | undefined
  readonly labels: BigInt64Array
  /** All files are read, so that their decoding is with the thread pool. */
  readonly reading: Promise<unknown>
  /** How many of its own files could not be decoded. */
  skipped: number
  ready: Promise<void>
  work?: { finish(): Tensor }
  dropped: boolean
}

/** What a batch is made from: places from `start` in the order of the pass, a draw and a file for each. */
interface Drawn {
  readonly order: readonly number[]
  readonly start: number
  readonly draws: readonly ImageDraw[]
  readonly files: Promise<readonly (Uint8Array | undefined)[]>
}

/** How many files in a row may be corrupt before that is an error. */
const maxReplacements = 100

export class FolderStream implements ImageSource {
  readonly #folder: ImageFolder
  readonly #images: FolderImages
  readonly #options: FolderStreamOptions
  readonly #generator: Generator
  #batch: number
  #order: readonly number[] = []
  #used = 0
  #pending: Pending[] = []

  constructor(folder: ImageFolder, options: FolderStreamOptions, generator: Generator) {
    this.#folder = folder
    this.#images = new FolderImages(folder, options.onSkip)
    this.#options = options
    this.#batch = options.batch
    this.#generator = generator
  }

  /** Batches in one pass over the part; the last may be smaller. */
  get batchesPerPass(): number {
    return Math.ceil(this.#options.part.length / this.#batch)
  }

  /** Files that could not be decoded so far. */
  skipped(): SkippedImage[] {
    return this.#images.skipped()
  }

  /**
   * The next batch, float32 [n, 3, size, size], channels last; its tensors belong to the caller. A file that cannot be
   * decoded is replaced by the one that follows it in the order of the pass, so that batches keep their size.
   * @throws DdsasError kind `data` when 100 files in a row cannot be decoded
   */
  async next(): Promise<ImageBatch> {
    const batch = this.#pending.shift() ?? this.#prepare()
    const { ahead = 2 } = this.#options
    while (this.#pending.length < ahead) this.#pending.push(this.#prepare())
    await batch.ready
    // A loop that computes on this thread would leave files half read until the next call, and the pool idle.
    await Promise.all(this.#pending.map(({ reading }) => reading))
    await takeResults()
    return this.#finish(batch)
  }

  #finish({ work, labels, skipped, place }: Pending): ImageBatch {
    const { device } = this.#options
    return tidy(() => {
      if (!work) throw new DdsasError('data', 'the stream was disposed of while a batch was asked for')
      const images = work.finish()
      const batch = { images, labels: Tensor.from(labels, [labels.length]), skipped, place }
      return device === 'cpu'
        ? batch
        : { images: to(images, { device }), labels: to(batch.labels, { device }), skipped, place }
    })
  }

  /** Draws the next batch and starts making it. All draws are made here, so nothing depends on what is decoded first. */
  #prepare(): Pending {
    const before = this.#position()
    const { part, transform, share } = this.#options
    if (this.#used >= this.#order.length) {
      this.#order = this.#generator.permutation(part.length).map((index) => part[index])
      this.#used = 0
    }
    const order = this.#order
    const first = this.#used
    this.#used = Math.min(first + this.#batch, order.length)
    const all = Array.from({ length: this.#used - first }, () => drawImage(transform, this.#generator))
    const place = share && placeInBatch(all.length, share)
    const draws = place ? all.slice(place.start, place.start + Math.max(place.images, 1)) : all
    const start = first + (place?.start ?? 0)
    const files = Promise.all(
      order.slice(start, start + draws.length).map((position) => this.#images.read(position)),
    )
    const labels = new BigInt64Array(draws.length)
    const ready = Promise.resolve()
    const pending: Pending = { before, place, labels, reading: files, skipped: 0, ready, dropped: false }
    pending.ready = this.#make(pending, { order, start, draws, files })
    // it may fail long before anyone waits for it
    pending.ready.catch(() => {})
    return pending
  }

  async #make(pending: Pending, { order, start, draws, files }: Drawn): Promise<void> {
    // Decoding begins when all are read: in the pool's queue, the short tasks of reading would wait behind it.
    const first = await files
    const images = await Promise.all(
      draws.map(async (draw, row): Promise<DrawnImage> => {
        const { image, label, own } = await this.#decode(order, start + row, draw, first[row])
        pending.labels[row] = BigInt(label)
        if (!own) pending.skipped += 1
        return { image, draw }
      }),
    )
    if (!pending.dropped) pending.work = augmentImages(images, this.#options.transform)
  }

  /** The image at a place of the order, or the first after it that can be decoded. */
  async #decode(order: readonly number[], place: number, draw: ImageDraw, first: Uint8Array | undefined) {
    const { transform } = this.#options
    const boxOf = (image: ImageSize) => randomBox(image, draw, transform)
    const reading = { size: transform.size, margin: false, boxOf }
    for (let tries = 0; tries < Math.min(order.length, maxReplacements); tries++) {
      const position = order[(place + tries) % order.length]
      const file = tries === 0 ? first : await this.#images.read(position)
      const image = file && (await this.#images.decode(position, file, reading))
      if (image) return { image, label: this.#images.label(position), own: tries === 0 }
    }
    throw this.#allCorrupt()
  }

  #allCorrupt(): DdsasError {
    const [first] = this.#images.skipped()
    const { directory, split } = this.#folder
    const problem = `too many files of ${split} in ${directory} cannot be decoded, first ${first.file} (${first.reason})`
    return new DdsasError(
      'data',
      `${problem}: list them with \`${commandLine(`data check ${quoted(directory)}`)}\``,
    )
  }

  resize(batch: number): void {
    if (batch === this.#batch) return
    this.load(this.state())
    this.#batch = batch
  }

  #position(): StreamState {
    return { order: this.#order, used: this.#used, generator: this.#generator.state() }
  }

  /** Where the stream stands, batches prepared but not asked for not counted. */
  state(): StreamState {
    return this.#pending[0]?.before ?? this.#position()
  }

  load(state: StreamState): void {
    this.dispose()
    this.#order = state.order
    this.#used = state.used
    this.#generator.load(state.generator)
  }

  /** Drops the batches under preparation; what is being decoded ends unused. */
  dispose(): void {
    for (const pending of this.#pending) {
      pending.dropped = true
      pending.work?.finish().dispose()
    }
    this.#pending = []
  }
}
