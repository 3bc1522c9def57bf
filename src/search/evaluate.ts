/** Accuracy of a part of the supernet, by the statistics of each batch and on images as they are. */
import { forEachPlainBatch, type ImageBatch, type ImageTensors } from '../data/index.ts'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { ReplayedStep } from '../loop/replay.ts'
import { type ArchWeightsOf, loadTensors, type Network, namedBuffers } from '../nn/index.ts'
import type { Score } from '../strategies/strategy.ts'
import {
  clone,
  countCorrect,
  crossEntropy,
  keep,
  noGrad,
  stackScalars,
  type Tensor,
  tidy,
} from '../torch/index.ts'

export interface EvaluationOptions {
  readonly batch: number
  readonly device: string
  /** Called between batches; what it throws ends the evaluation. */
  readonly pause?: () => void
  /** Each of them takes some of the batches. */
  readonly ranks?: Ranks | undefined
}

/**
 * An evaluation under way; changes nothing that stays. Batch norms go by the batch: an epoch may end just after a subspace was
 * sampled, and operations that ran a step or two have no running statistics to go by.
 */
class Evaluation {
  readonly #supernet: Network
  readonly #archWeights: ArchWeightsOf
  readonly #pause: (() => void) | undefined
  readonly #replay: ReplayedStep
  /** Running statistics as they were. */
  readonly #before: ReadonlyMap<string, Tensor>
  readonly #ranks: Ranks
  /** Loss, correct predictions and images of each batch; zeros where another process measures it. */
  readonly #sums: number[] = []

  constructor(
    supernet: Network,
    archWeights: ArchWeightsOf,
    { device, pause, ranks = oneProcess }: Omit<EvaluationOptions, 'batch'>,
  ) {
    this.#supernet = supernet
    this.#archWeights = archWeights
    this.#pause = pause
    this.#ranks = ranks
    this.#replay = ReplayedStep.on(device)
    const copies = tidy(() =>
      [...namedBuffers(supernet)].map(([name, tensor]) => [name, clone(tensor)] as const),
    )
    this.#before = new Map(copies.map(([name, tensor]) => [name, keep(tensor)]))
  }

  measure(given: ImageBatch): void {
    this.#pause?.()
    const { rank, world } = this.#ranks
    if ((this.#sums.length / 3) % world !== rank) {
      this.#sums.push(0, 0, 0)
      return
    }
    const found = noGrad(() =>
      this.#replay.run('evaluation', [given], ([{ images, labels }]) =>
        tidy(() => {
          const { logits } = this.#supernet.forward(images, {
            training: true,
            archWeights: this.#archWeights,
          })
          return stackScalars([crossEntropy(logits, labels), countCorrect(logits, labels)])
        }),
      ),
    )
    const [mean, right] = found.floats()
    this.#sums.push(mean * given.labels.size, right, given.labels.size)
  }

  score(): Score {
    const all = [0, 0, 0]
    // added up in the order of the batches, however many processes there are
    for (const [index, value] of this.#ranks.total(this.#sums).entries()) all[index % 3] += value
    const [loss, correct, images] = all
    return { loss: loss / images, accuracy: correct / images }
  }

  /** Puts the running statistics back. */
  dispose(): void {
    this.#replay.dispose()
    noGrad(() => loadTensors(namedBuffers(this.#supernet), this.#before, 'the running statistics'))
    for (const tensor of this.#before.values()) tensor.dispose()
  }
}

/** Evaluates on the images at `positions` of a data set. */
export function evaluateSupernet(
  supernet: Network,
  archWeights: ArchWeightsOf,
  data: ImageTensors,
  positions: readonly number[],
  { batch, ...options }: EvaluationOptions,
): Score {
  const evaluation = new Evaluation(supernet, archWeights, options)
  try {
    forEachPlainBatch(data, positions, batch, (given) => evaluation.measure(given))
    return evaluation.score()
  } finally {
    evaluation.dispose()
  }
}

/** The same on images that may have to be waited for: `each` gives their batches to what it is told. */
export async function evaluateOnImages(
  supernet: Network,
  archWeights: ArchWeightsOf,
  each: (use: (batch: ImageBatch) => void) => Promise<unknown>,
  options: Omit<EvaluationOptions, 'batch'>,
): Promise<Score> {
  const evaluation = new Evaluation(supernet, archWeights, options)
  try {
    await each((given) => evaluation.measure(given))
    return evaluation.score()
  } finally {
    evaluation.dispose()
  }
}
