/** How much memory the tensors of a search will take: measured in a few of its steps, on smaller batches where those will do. */
import type { SearchConfig, SearchParts } from './config.ts'
import type { DryRun } from './dry-run.ts'
import { batchBytes, datasetBytes, type ImagesShape } from './images-shape.ts'

/** Bytes of tensors at the peak of a search in subspaces of one size. */
export interface Footprint {
  /** Mean over subspaces. */
  readonly typical: number
  /** Their standard deviation. */
  readonly spread: number
}

/**
 * The largest peak that a search is likely to meet. It samples hundreds of subspaces, and of so many the largest lies three
 * standard deviations above the mean.
 */
export function likelyPeak({ typical, spread }: Pick<Footprint, 'typical' | 'spread'>): number {
  return typical + 3 * spread
}

/** Subspaces that stand for all of a size. */
const subspacesOfSize = 4

/** Images of the largest batches of a search on `images`: of a step, and of an evaluation. */
export function batchesOf(
  { data, evaluation }: SearchConfig,
  { train, valid }: ImagesShape,
): Record<'batch' | 'evaluated', number> {
  return {
    batch: Math.min(Math.max(train, valid), data.batch),
    evaluated: Math.min(valid, evaluation.batch, evaluation.images || valid),
  }
}

/** The most images of a batch. */
export function largestBatch(config: SearchConfig, images: ImagesShape): number {
  return Math.max(...Object.values(batchesOf(config, images)))
}

/** A peak that grows with the images of a batch, along a line whose constant all subspaces share. */
class Growth {
  readonly #batch: number
  readonly #measure: (batch: number) => number
  readonly #small: number
  readonly #large: number
  #constant: number | undefined

  /** `large`: of the two sizes that are measured; the line leads to `batch`. */
  constructor(batch: number, large: number, measure: (batch: number) => number) {
    this.#batch = batch
    this.#measure = measure
    this.#large = large
    this.#small = large < batch ? Math.ceil(large / 2) : batch
  }

  /** In the subspaces that run now. */
  peak(): number {
    const [small, large] = [this.#small, this.#large]
    const seen = this.#measure(small)
    if (small === this.#batch) return seen
    this.#constant ??= seen - (small * (this.#measure(large) - seen)) / (large - small)
    return this.#constant + ((seen - this.#constant) * this.#batch) / small
  }
}

/**
 * Measures peaks in subspaces of a dry run. Memory grows along a line with the images of a batch, but for the fewest, where
 * gradients of the weights take more than what is kept of images; so small batches will do on the CPU. On a GPU blocks of the
 * allocator are not so fine, and whole batches take no time.
 */
export class FootprintMeter {
  readonly #dry: DryRun
  readonly #config: SearchConfig
  readonly #searched: SearchParts
  readonly #parts: readonly { readonly growth: Growth; readonly besides: number }[]

  /** `few`: images of the step that is measured, a quarter of a batch where that is more. */
  constructor(
    dry: DryRun,
    config: SearchConfig,
    searched: SearchParts,
    device: string,
    images: ImagesShape,
    few = 16,
  ) {
    const { batch, evaluated } = batchesOf(config, images)
    // the second time a GPU records the step
    const times = device === 'cpu' ? 1 : 2
    const large = (whole: number, part: number) => (device === 'cpu' ? Math.min(whole, part) : whole)
    const { microBatch, imageSize, load } = config.data
    const computed = microBatch > 0 ? Math.min(batch, microBatch) : batch
    const inParts = computed < batch
    const step = new Growth(
      computed,
      large(computed, Math.max(few, Math.ceil(computed / 4))),
      // two parts: the gradients of the first are there while the second is computed
      (count) => dry.step(inParts ? 2 * count : count, times, count).peak,
    )
    // of two halves, the batch that is computed and the next one
    const uncomputed = inParts ? 4 * batchBytes(batch - 2 * computed, imageSize) : 0
    const evaluation = new Growth(evaluated, large(evaluated, 4), (count) => dry.evaluate(count, times).peak)
    this.#dry = dry
    this.#config = config
    this.#searched = searched
    const batches = 2 * batchBytes(batch, imageSize)
    // decoded pixels of the batches under preparation: of larger images than they become
    const kept = datasetBytes(images.kept, imageSize) + (load === 'stream' ? batches : 0)
    this.#parts = [
      { growth: step, besides: kept + uncomputed },
      // while accuracy is measured the next batches of both halves wait
      { growth: evaluation, besides: kept + batches },
    ]
  }

  /** Bytes of tensors at the peak of a search in what the strategy samples next. */
  peak(): number {
    return Math.max(...this.peaks())
  }

  /** The same of a step and of an evaluation. */
  peaks(): number[] {
    this.#dry.sample()
    return this.#parts.map(({ growth, besides }) => growth.peak() + besides)
  }

  /** Of subspaces of L operations, where the strategy has an L: of what it samples one after the other. */
  footprint(subspace?: number): Footprint {
    const { space, strategy } = this.#searched
    const whole = strategy.subspace?.whole(this.#config, space) ?? Number.POSITIVE_INFINITY
    const count = subspace === undefined || subspace < whole ? subspacesOfSize : 1
    this.#dry.begin(subspace)
    const peaks = Array.from({ length: count }, (_, draw) => {
      if (draw > 0 && this.#dry.isLaterStage) this.#dry.begin(subspace, draw)
      return this.peak()
    })
    const typical = peaks.reduce((sum, peak) => sum + peak, 0) / count
    const squares = peaks.reduce((sum, peak) => sum + (peak - typical) ** 2, 0)
    return { typical, spread: Math.sqrt(squares / Math.max(1, count - 1)) }
  }
}
