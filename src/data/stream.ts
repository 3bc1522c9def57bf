/** Batches of a part of a data set in random order, without end; the next one is prepared while one is computed with. */
import { adopt, type Generator, indexSelect, keep, onDevice, Tensor, tidy } from '../torch/index.ts'
import { type Augmentation, drawAugmentation, type ImageTensors, plain, prepareImages } from './augment.ts'
import {
  type ImageBatch,
  type ImageSource,
  type PlaceInBatch,
  placeInBatch,
  type Share,
  type StreamState,
} from './source.ts'

export type { ImageBatch, ImageSource, StreamState } from './source.ts'

export interface StreamOptions {
  /** Positions in the data set. */
  readonly part: readonly number[]
  readonly batch: number
  readonly augmentation: Augmentation
  /** Gives this part of each batch alone; what is drawn, and the state, are those of the whole. */
  readonly share?: Share | undefined
}

interface Pending {
  readonly work: { finish(): Tensor }
  readonly labels: Tensor
  readonly place: PlaceInBatch | undefined
  /** Where the stream stood before this batch was drawn. */
  readonly before: StreamState
}

function indexTensor(positions: readonly number[]): Tensor {
  return Tensor.from(BigInt64Array.from(positions, BigInt), [positions.length])
}

function labelsOf({ labels }: ImageTensors, index: Tensor): Tensor {
  return tidy(() => indexSelect(labels, 0, onDevice(index, labels.device)))
}

/** Images on the device of their labels. */
function placed(work: { finish(): Tensor }, labels: Tensor): Tensor {
  return tidy(() => onDevice(work.finish(), labels.device))
}

export class BatchStream implements ImageSource {
  readonly #data: ImageTensors
  readonly #options: StreamOptions
  readonly #generator: Generator
  #batch: number
  #order: readonly number[] = []
  #used = 0
  #pending: Pending | undefined

  constructor(data: ImageTensors, options: StreamOptions, generator: Generator) {
    this.#data = data
    this.#options = options
    this.#batch = options.batch
    this.#generator = generator
  }

  /** Batches in one pass over the part; the last may be smaller. */
  get batchesPerPass(): number {
    return Math.ceil(this.#options.part.length / this.#batch)
  }

  /** The next batch. Its tensors belong to the current `tidy` scope. */
  next(): ImageBatch {
    const { work, labels, place } = this.#pending ?? this.#prepare()
    this.#pending = undefined
    // first, so that they go where there is no memory for the images
    adopt(labels)
    const images = placed(work, labels)
    this.#pending = this.#prepare()
    return { images, labels, ...(place ? { place } : {}) }
  }

  /** Draws the next batch and starts making it. */
  #prepare(): Pending {
    const before = this.#position()
    const { part, augmentation, share } = this.#options
    if (this.#used >= this.#order.length) {
      this.#order = this.#generator.permutation(part.length).map((index) => part[index])
      this.#used = 0
    }
    const positions = this.#order.slice(this.#used, this.#used + this.#batch)
    this.#used += positions.length
    const draws = drawAugmentation(positions.length, this.#data.size, augmentation, this.#generator)
    return tidy(() => {
      const own = share && placeInBatch(positions.length, share)
      const [from, to] = own ? [own.start, own.start + Math.max(own.images, 1)] : [0, positions.length]
      const index = indexTensor(positions.slice(from, to))
      // before the work, which would go on where there is no memory for them
      const labels = labelsOf(this.#data, index)
      const work = prepareImages(this.#data, index, draws.subarray(5 * from, 5 * to), augmentation)
      return { work, labels: keep(labels), place: own, before }
    })
  }

  resize(batch: number): void {
    if (batch === this.#batch) return
    this.load(this.state())
    this.#batch = batch
  }

  #position(): StreamState {
    return { order: this.#order, used: this.#used, generator: this.#generator.state() }
  }

  /** Where the stream stands, a batch prepared but not given out not counted. */
  state(): StreamState {
    return this.#pending?.before ?? this.#position()
  }

  load(state: StreamState): void {
    this.dispose()
    this.#order = state.order
    this.#used = state.used
    this.#generator.load(state.generator)
  }

  /** Drops the batch under preparation. */
  dispose(): void {
    const pending = this.#pending
    this.#pending = undefined
    pending?.labels.dispose()
    try {
      pending?.work.finish().dispose()
    } catch {
      // there was no memory for images that nobody wants now
    }
  }
}

/** The images at `positions` in order and unchanged but for the normalisation, in batches; each lives in the scope of `use`. */
export function forEachPlainBatch(
  data: ImageTensors,
  positions: readonly number[],
  batch: number,
  use: (batch: ImageBatch) => void,
): void {
  for (let start = 0; start < positions.length; start += batch)
    tidy(() => {
      const part = positions.slice(start, start + batch)
      const index = indexTensor(part)
      const draws = Int32Array.from(part.flatMap(() => [0, 0, 0, -1, -1]))
      const labels = labelsOf(data, index)
      use({ images: placed(prepareImages(data, index, draws, plain), labels), labels })
    })
}
