/** Accuracy of a part of the supernet, by the statistics of each batch and on images as they are. */
import { forEachPlainBatch, type ImageBatch, type ImageTensors } from '../data/index.ts'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import { ReplayedStep } from '../loop/replay.ts'
import { type ArchWeightsOf, loadTensors, type Network, namedBuffers } from '../nn/index.ts'
import type { Score } from '../strategies/strategy.ts'
import {
  clone,
  countCorrect,
  crossEntropy,
  keep,
  noGrad,
  slice,
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
  /** Whether the halves of a batch are measured one after the other where there is no memory for all of it. */
  readonly halves?: boolean
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
  readonly #halves: boolean
  /** Loss, correct predictions and images of each batch; zeros where another process measures it. */
  readonly #sums: number[] = []

  constructor(
    supernet: Network,
    archWeights: ArchWeightsOf,
    { device, pause, ranks = oneProcess, halves = false }: Omit<EvaluationOptions, 'batch'>,
  ) {
    this.#supernet = supernet
    this.#archWeights = archWeights
    this.#pause = pause
    this.#ranks = ranks
    this.#halves = halves
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
    this.#sums.push(...this.#seen(given), given.labels.size)
  }

  /** Loss and correct predictions of all images. */
  #seen(given: ImageBatch): readonly [loss: number, correct: number] {
    const { size } = given.labels
    try {
      const [mean, correct] = this.#compute(given).floats()
      return [mean * size, correct]
    } catch (error) {
      const isMemory = error instanceof DdsasError && error.kind === 'memory'
      if (!this.#halves || !isMemory || size === 1) throw error
    }
    const middle = Math.ceil(size / 2)
    const partOf = (start: number, end: number) =>
      tidy(() =>
        this.#seen({
          images: slice(given.images, 0, start, end),
          labels: slice(given.labels, 0, start, end),
        }),
      )
    const [first, second] = [partOf(0, middle), partOf(middle, size)]
    return [first[0] + second[0], first[1] + second[1]]
  }

  /** Mean loss and correct predictions. */
  #compute(given: ImageBatch): Tensor {
    return noGrad(() =>
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
