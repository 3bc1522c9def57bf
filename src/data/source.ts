/** What a training loop asks of its data: batches without end, whose place in the order can be saved and taken up again. */
import type { GeneratorState, Tensor } from '../torch/index.ts'

/** Which of several processes a source gives its part of each batch to. */
export interface Share {
  readonly rank: number
  readonly world: number
}

/** Which images of a batch those of one process are. */
export interface PlaceInBatch {
  readonly start: number
  /** How many of them are its own; one more stands in where it has none. */
  readonly images: number
  readonly total: number
}

/** The place of a part in a batch of `total` images: parts differ by one image at most, in the order of ranks. */
export function placeInBatch(total: number, { rank, world }: Share): PlaceInBatch {
  const start = Math.floor((total * rank) / world)
  const images = Math.floor((total * (rank + 1)) / world) - start
  // what stands in must be there
  return { start: images > 0 ? start : Math.min(start, total - 1), images, total }
}

/** Images float32 [n, 3, size, size], channels last, and int64 labels [n], on the device of their source. */
export interface ImageBatch {
  readonly images: Tensor
  readonly labels: Tensor
  /** Where these are but a part of the batch. */
  readonly place?: PlaceInBatch | undefined
  /** How many of its files could not be decoded, so that others took their places; absent for images in memory. */
  readonly skipped?: number
}

/** Where a source stands: enough to give the same batches again from there. */
export interface StreamState {
  /** The current pass over the part, as positions in the data set. */
  readonly order: readonly number[]
  /** How many of them were given out. */
  readonly used: number
  readonly generator: GeneratorState
}

/**
 * Batches in random order, without end: `BatchStream` over images in memory, `FolderStream` over image files.
 *
 * A loop that serves both awaits `next()` outside of any `tidy` scope and then adopts the two tensors in the scope of
 * its step: `const batch = await source.next(); tidy(() => { adopt(batch.images); adopt(batch.labels); … })`. Inside a
 * scope, tensors that are returned at once belong to it; those of a promise belong to whoever awaits it.
 */
export interface ImageSource {
  /** Batches in one pass over the part; the last may be smaller. */
  readonly batchesPerPass: number
  /** Batches are of so many images from the next one on; those under preparation are drawn anew. */
  resize(batch: number): void
  /** The next batch; one call at a time. */
  next(): ImageBatch | Promise<ImageBatch>
  /** Where the source stands; batches prepared but not given out do not count. */
  state(): StreamState
  /** Continues from a state, with exactly the batches that followed it. */
  load(state: StreamState): void
  /** Drops the batches under preparation. */
  dispose(): void
}
