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

/** While one is used: the pixels of the next, the sizes of the one after. */
const batchesAhead = 2

interface DecodedBatch {
  readonly images: readonly DrawnImage[]
  readonly labels: readonly number[]
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
  const decode = (start: number) => {
    const decoded = decodeBatch(images, positions.slice(start, start + batch), transform)
    // a failure is met when the batch is waited for, not before
    decoded.catch(() => {})
    return decoded
  }
  const starts = Array.from({ length: Math.ceil(positions.length / batch) }, (_, index) => index * batch)
  const coming = starts.slice(0, batchesAhead).map(decode)
  for (const start of starts) {
    coming.push(decode(start + batchesAhead * batch))
    const decoded = await coming.shift()
    await takeResults()
    if (decoded && decoded.images.length > 0) useBatch(decoded, transform, device, use)
  }
  return images.skipped()
}

async function decodeBatch(
  images: FolderImages,
  positions: readonly number[],
  transform: EvaluationTransform,
): Promise<DecodedBatch> {
  const boxOf = (image: ImageSize) => centreBox(image, transform)
  const reading = { size: transform.size, margin: true, boxOf }
  const decoded = await Promise.all(
    positions.map(async (position) => ({ position, image: await images.decode(position, reading) })),
  )
  const sound = decoded.flatMap(({ position, image }) => (image ? [{ position, image }] : []))
  return {
    images: sound.map(({ image }) => ({ image, draw: noDraw })),
    labels: sound.map(({ position }) => images.label(position)),
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
