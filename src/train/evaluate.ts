/** Accuracy of the supernet under its current mixing, by running statistics and on images as they are. */
import { forEachPlainBatch, type ImageTensors } from '../data/index.ts'
import type { Supernet } from '../spaces/supernet.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { countCorrect, crossEntropy, noGrad } from '../torch/index.ts'

export interface Evaluation {
  /** Mean cross entropy. */
  readonly loss: number
  /** Part of the predictions that are right, 0 … 1. */
  readonly accuracy: number
}

export interface EvaluationOptions {
  readonly batch: number
  readonly device: string
  /** Called between batches; what it throws ends the evaluation. */
  readonly pause?: () => void
}

/** Evaluates on the images at `positions` of a data set. */
export function evaluateSupernet(
  supernet: Supernet,
  strategy: Pick<Strategy, 'mixing'>,
  data: ImageTensors,
  positions: readonly number[],
  { batch, device, pause }: EvaluationOptions,
): Evaluation {
  let loss = 0
  let correct = 0
  noGrad(() =>
    forEachPlainBatch(data, positions, batch, device, ({ images, labels }) => {
      pause?.()
      const logits = supernet.forward(images, (cell) => strategy.mixing(cell), false)
      loss += crossEntropy(logits, labels).item() * labels.size
      correct += countCorrect(logits, labels).item()
    }),
  )
  return { loss: loss / positions.length, accuracy: correct / positions.length }
}
