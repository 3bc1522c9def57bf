/** Accuracy of a part of the supernet, by the statistics of each batch and on images as they are. */
import { forEachPlainBatch, type ImageBatch, type ImageTensors } from '../data/index.ts'
import { ReplayedStep } from '../loop/replay.ts'
import { type ArchWeightsOf, loadTensors, type Network, namedBuffers } from '../nn/index.ts'
import type { Score } from '../strategies/strategy.ts'
import { clone, countCorrect, crossEntropy, noGrad, stackScalars, tidy } from '../torch/index.ts'

export interface EvaluationOptions {
  readonly batch: number
  readonly device: string
  /** Called between batches; what it throws ends the evaluation. */
  readonly pause?: () => void
}

/** Runs `body` and puts the running statistics back as they were. */
function keepingStatistics<Result>(supernet: Network, body: () => Result): Result {
  return tidy(() => {
    const buffers = namedBuffers(supernet)
    const before = new Map([...buffers].map(([name, tensor]) => [name, clone(tensor)]))
    try {
      return body()
    } finally {
      loadTensors(buffers, before, 'the running statistics')
    }
  })
}

/**
 * Evaluates on the images at `positions` of a data set; changes nothing. Batch norms go by the batch: an epoch may end
 * just after a subspace was sampled, and operations that ran a step or two have no running statistics to go by.
 */
export function evaluateSupernet(
  supernet: Network,
  archWeights: ArchWeightsOf,
  data: ImageTensors,
  positions: readonly number[],
  { batch, device, pause }: EvaluationOptions,
): Score {
  let loss = 0
  let correct = 0
  const replay = ReplayedStep.on(device)
  const measure = (given: ImageBatch) => {
    pause?.()
    const found = replay.run('evaluation', [given], ([{ images, labels }]) =>
      tidy(() => {
        const { logits } = supernet.forward(images, { training: true, archWeights })
        return stackScalars([crossEntropy(logits, labels), countCorrect(logits, labels)])
      }),
    )
    const [mean, right] = found.floats()
    loss += mean * given.labels.size
    correct += right
  }
  try {
    noGrad(() => keepingStatistics(supernet, () => forEachPlainBatch(data, positions, batch, measure)))
  } finally {
    replay.dispose()
  }
  return { loss: loss / positions.length, accuracy: correct / positions.length }
}
