/** Batches of an image folder in order and without chance, for evaluation; the next ones are decoded while one is used. */
import { Tensor, tidy, to } from '../torch/index.ts'
import type { ImageFolder } from './folder.ts'
import { FolderImages, type OnSkip, type SkippedImage } from './folder-images.ts'
import { takeResults } from './folder-tasks.ts'
import { augmentImages, type DrawnImage } from './image-augment.ts'
import { centreBox, type EvaluationTransform, type ImageSize, noDraw } from './image-transform.ts'
import type { ImageBatch } from './source.ts'

export interface FolderEvaluationOptions {
  /** Positions in the folder's list of files. */
  readonly positions: readonly number[]
  readonly batch: number
  readonly transform: EvaluationTransform
  readonly device: string
  /** Told of each file that cannot be decoded. */
  readonly onSkip?: OnSkip | undefined
}

/** How many batches are prepared while one is used. */
const batchesAhead = 2

interface DecodedBatch {
  readonly images: readonly DrawnImage[]
  readonly labels: readonly number[]
}

interface ComingBatch {
  /** All files are read, so that their decoding is with the thread pool. */
  readonly reading: Promise<unknown>
  readonly decoded: Promise<DecodedBatch>
}

/**
 * Gives the images at `positions` to `use`, in order, in batches float32 [n, 3, size, size], channels last, that live in
 * the scope of `use`. Files that cannot be decoded are left out, so a batch may be smaller, or not come at all.
 * @returns the files left out
 * @throws DdsasError kind `input` where the transform's `resize` is below its `size`
 */
export async function forEachFolderBatch(
  folder: ImageFolder,
  { positions, batch, transform, device, onSkip }: FolderEvaluationOptions,
  use: (batch: ImageBatch) => void,
): Promise<SkippedImage[]> {
  const images = new FolderImages(folder, onSkip)
  const prepare = (start: number) => prepareBatch(images, positions.slice(start, start + batch), transform)
  const starts = Array.from({ length: Math.ceil(positions.length / batch) }, (_, index) => index * batch)
  const coming = starts.slice(0, batchesAhead).map(prepare)
  for (const start of starts) {
    coming.push(prepare(start + batchesAhead * batch))
    const decoded = await coming.shift()?.decoded
    // `use` computes on this thread: what is not with the pool by then waits until it ends
    await Promise.all(coming.map(({ reading }) => reading))
    await takeResults()
    if (decoded && decoded.images.length > 0) useBatch(decoded, transform, device, use)
  }
  return images.skipped()
}

function prepareBatch(
  images: FolderImages,
  positions: readonly number[],
  transform: EvaluationTransform,
): ComingBatch {
  const reading = Promise.all(positions.map((position) => images.read(position)))
  const decoded = reading.then((files) => decodeBatch(images, positions, files, transform))
  // a failure is met when the batch is waited for, not before
  decoded.catch(() => {})
  return { reading, decoded }
}

async function decodeBatch(
  images: FolderImages,
  positions: readonly number[],
  files: readonly (Uint8Array | undefined)[],
  transform: EvaluationTransform,
): Promise<DecodedBatch> {
  const boxOf = (image: ImageSize) => centreBox(image, transform)
  const how = { size: transform.size, margin: true, boxOf }
  const decoded = await Promise.all(
    positions.map(async (position, index) => {
      const file = files[index]
      const image = file && (await images.decode(position, file, how))
      return image ? [{ image, label: images.label(position) }] : []
    }),
  )
  const sound = decoded.flat()
  return {
    images: sound.map(({ image }) => ({ image, draw: noDraw })),
    labels: sound.map(({ label }) => label),
  }
}

function useBatch(
  decoded: DecodedBatch,
  transform: EvaluationTransform,
  device: string,
  use: (batch: ImageBatch) => void,
): void {
  tidy(() => {
    const images = augmentImages(decoded.images, transform).finish()
    const labels = Tensor.from(BigInt64Array.from(decoded.labels, BigInt), [decoded.labels.length])
    use(
      device === 'cpu'
        ? { images, labels }
        : { images: to(images, { device }), labels: to(labels, { device }) },
    )
  })
}
