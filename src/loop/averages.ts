/** Running averages over an epoch; plain numbers, so that a checkpoint can hold them. */

export interface Average {
  readonly loss: number
  readonly correct: number
  readonly images: number
}

export const emptyAverage: Average = { loss: 0, correct: 0, images: 0 }

/** The average with a batch more: `loss` is the batch's mean. */
export function include(average: Average, batch: { loss: number; correct: number; images: number }): Average {
  return {
    loss: average.loss + batch.loss * batch.images,
    correct: average.correct + batch.correct,
    images: average.images + batch.images,
  }
}

/** Mean loss and accuracy (0 … 1) of all images so far. */
export function means({ loss, correct, images }: Average): { loss: number; accuracy: number } {
  return { loss: loss / images, accuracy: correct / images }
}
