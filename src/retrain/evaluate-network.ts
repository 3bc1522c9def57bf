/** How well a network does on images as they are: loss, top-1 and top-5 error, and which classes it takes for which. */
import type { ImageBatch } from '../data/source.ts'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import type { Network } from '../nn/index.ts'
import { callMany, crossEntropy, noGrad, type Tensor } from '../torch/index.ts'

export interface NetworkScore {
  /** Mean cross entropy, without smoothing. */
  readonly loss: number
  /** Part of the images, 0 … 1, whose class is not the first guess. */
  readonly top1Error: number
  /** Part of the images whose class is not among the first five guesses. */
  readonly top5Error: number
  readonly images: number
  /** Images that could not be decoded, and count nowhere else. */
  readonly skipped: number
}

export interface NetworkEvaluation extends NetworkScore {
  /** [class][guess]: how many images of a class were taken for which. */
  readonly confusion: readonly Int32Array[]
}

/** Gives batches to `use`, one after the other; returns how many images could not be decoded. */
export type EachBatch = (use: (batch: ImageBatch) => void) => Promise<number>

/**
 * Evaluates by running statistics; of several processes each takes some of the batches. `pause` is called between batches; what it throws ends the evaluation.
 * @throws {DdsasError} `data` where there is not one image.
 */
export async function evaluateNetwork(
  network: Network,
  classes: number,
  eachBatch: EachBatch,
  pause: () => void = () => {},
  ranks: Ranks = oneProcess,
): Promise<NetworkEvaluation> {
  const losses: number[] = []
  const pairs = new Float64Array(classes * classes)
  let [images, first, five] = [0, 0, 0]
  const skipped = await eachBatch(({ images: x, labels }) => {
    pause()
    const mine = losses.length % ranks.world === ranks.rank
    losses.push(0)
    if (!mine) return
    const logits = noGrad(() => network.forward(x, { training: false }).logits)
    const count = labels.size
    const guesses = topGuesses(logits, Math.min(5, classes))
    losses[losses.length - 1] = crossEntropy(logits, labels).item() * count
    images += count
    wholeNumbers(labels).forEach((label, row) => {
      const [guess] = guesses[row]
      pairs[classes * label + guess] += 1
      if (guess === label) first += 1
      if (guesses[row].includes(label)) five += 1
    })
  })
  // losses in the order of the batches, however many processes there are
  const [allImages, allFirst, allFive, ...rest] = ranks.total([images, first, five, ...losses, ...pairs])
  checkSome(allImages, skipped)
  const confusion = Array.from({ length: classes }, (_, label) =>
    Int32Array.from(rest.slice(losses.length + classes * label, losses.length + classes * (label + 1))),
  )
  return {
    loss: rest.slice(0, losses.length).reduce((sum, loss) => sum + loss, 0) / allImages,
    top1Error: 1 - allFirst / allImages,
    top5Error: 1 - allFive / allImages,
    images: allImages,
    skipped,
    confusion,
  }
}

function checkSome(images: number, skipped: number): void {
  if (images === 0) {
    const problem =
      skipped > 0
        ? `none of the ${skipped} images to evaluate on can be decoded`
        : 'there is no image to evaluate on'
    throw new DdsasError('data', `${problem}: name a folder with images`)
  }
}

/** Without the confusion matrix: what a report keeps. */
export function scoreOf({ loss, top1Error, top5Error, images, skipped }: NetworkScore): NetworkScore {
  return { loss, top1Error, top5Error, images, skipped }
}

/** The most likely classes of each row, best first: logits [n, classes] -> n lists of `count`. */
function topGuesses(logits: Tensor, count: number): number[][] {
  const [, indices] = callMany('aten::topk', logits, count, 1, true, true)
  if (!indices) throw new DdsasError('torch', 'topk gave no indices')
  const flat = wholeNumbers(indices)
  return Array.from({ length: logits.shape[0] }, (_, row) => flat.slice(row * count, (row + 1) * count))
}

/** The elements of an int64 tensor. */
function wholeNumbers(x: Tensor): number[] {
  return Array.from(new BigInt64Array(x.bytes().buffer), Number)
}
