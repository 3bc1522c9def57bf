/** A search that nobody keeps: real steps on images of noise, in subspaces of any size, for their memory and their time. */
import { cifarLayouts } from '../data/cifar-layout.ts'
import { BatchStream, type ImageDataset, type ImageTensors } from '../data/index.ts'
import { toTensors } from '../data/training-images.ts'
import { type ArchWeightsOf, namedParameters } from '../nn/index.ts'
import type { Picks } from '../spaces/space.ts'
import type { Batch, Strategy } from '../strategies/strategy.ts'
import { Generator, resetPeakMemory, tensorMemory, tidy, zerosLike } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import { evaluateSupernet } from './evaluate.ts'
import { overTensors } from './images.ts'
import { datasetBytes } from './images-shape.ts'
import { runsOf } from './runs.ts'
import { bothUpdates } from './search.ts'
import { beginStage, createSession, disposeSession, type Session } from './session.ts'
import { type SearchStage, sameSize } from './stages.ts'
import { stepOptions } from './weight-step.ts'

/** What was seen of a step or of an evaluation. */
export interface Seen {
  /** Most bytes of tensors, with velocities of all weights and without the images of the data set. */
  readonly peak: number
  readonly seconds: number
}

export class DryRun {
  readonly #session: Session
  readonly #parts: SearchParts
  readonly #stage: SearchStage
  /** Noise; the session disposes of it. */
  readonly #data: ImageTensors
  #strategy: Strategy

  /** `largest`: the most images of a batch to come; `classes`: of all images; `stage`: the first unless given. */
  constructor(
    config: SearchConfig,
    parts: SearchParts,
    device: string,
    largest: number,
    classes: number,
    stage?: SearchStage,
  ) {
    const noise = makeNoise(2 * largest, config.data.imageSize, classes)
    this.#data = toTensors(noise, device)
    const part = Array.from({ length: noise.count }, (_, index) => index)
    const batches = overTensors(this.#data, { train: part, valid: part }, config)
    const images = { classes: noise.classes, ...batches }
    const session = createSession(byOperations(config, parts), images, device, parts)
    this.#session = session
    this.#parts = parts
    this.#strategy = session.strategy
    this.#stage = stage ?? session.stages[0]
    if (!sameSize(this.#stage.size, session.size)) beginStage(session, { ...this.#stage, keeps: 'nothing' })
    this.#reachStage()
    const parameters = [...namedParameters(session.supernet)]
    tidy(() => session.optimizer.load(new Map(parameters.map(([name, x]) => [name, zerosLike(x)]))))
  }

  /** Begins anew with a strategy that has sampled nothing; `subspace`: L, where it has one; `seed` of what it samples. */
  begin(subspace?: number, seed = 0): void {
    const { config, device } = this.#session
    const { space, strategy } = this.#parts
    const settings = subspace === undefined ? config : (strategy.subspace?.with(config, subspace) ?? config)
    const init = { device, generator: new Generator(seed, 'dry run') }
    if (this.#strategy !== this.#session.strategy) this.#strategy.dispose()
    this.#strategy = strategy.create({ space, init, seed: 0, epochs: config.epochs }, settings)
    this.#reachStage()
  }

  /** Whether the candidates that are left are those of the alpha that was drawn where it began. */
  get isLaterStage(): boolean {
    return this.#stage.from > 0
  }

  /** Candidates are those of the stage, as alpha is that was drawn. */
  #reachStage(): void {
    for (const { from } of this.#session.stages)
      if (from > 0 && from <= this.#stage.from) this.#strategy.beginEpoch?.(from)
  }

  /** Lets the strategy sample, other candidates each time; as in the last epoch, since in the first ones alpha may rest. */
  sample(): void {
    this.#strategy.prepareStep({ epoch: this.#stage.to - 1, step: 0, globalStep: 0 })
  }

  /** What runs now of the groups that candidates are sampled of. */
  get runs(): Picks {
    return runsOf(this.#parts.space, this.#strategy)
  }

  /**
   * Takes a step on batches of this many images: `times` times, the last of which is timed. `microBatch`: how many are
   * computed at a time, by the configuration unless given.
   */
  step(batch: number, times: number, microBatch = this.#session.config.data.microBatch): Seen {
    const { config, supernet, optimizer, replay } = this.#session
    const data = this.#data
    const strategy = this.#strategy
    const part = Array.from({ length: data.labels.size }, (_, index) => index)
    // one to compute with and one that waits: what a thread prepared meanwhile would count at one time and not at another
    const twoBatches = () => {
      const stream = new BatchStream(
        data,
        { part, batch, augmentation: config.data },
        new Generator(0, 'noise'),
      )
      const [first] = [stream.next(), stream.next()]
      stream.dispose()
      return first
    }
    // at a rate of zero no weight moves, however often
    const options = { ...stepOptions(config, 0), microBatch }
    const compute = (batches: readonly Batch[]) =>
      bothUpdates({ supernet, strategy, optimizer }, batches, options)
    return tidy(() => {
      const batches = [twoBatches(), twoBatches()]
      const { graphKey } = strategy
      const key = `dry ${graphKey} ${microBatch}`
      return this.#see(times, () =>
        tidy(() => {
          const values = graphKey === undefined ? compute(batches) : replay.run(key, batches, compute)
          values.floats()
        }),
      )
    })
  }

  /** Measures accuracy on a batch of this many images. */
  evaluate(batch: number, times: number): Seen {
    const { supernet, device } = this.#session
    const archWeights: ArchWeightsOf = (group) => this.#strategy.archWeights(group, 'eval')
    const part = Array.from({ length: batch }, (_, index) => index)
    return this.#see(times, () =>
      evaluateSupernet(supernet, archWeights, this.#data, part, { batch, device }),
    )
  }

  #see(times: number, part: () => void): Seen {
    const { device } = this.#session
    const noise = datasetBytes(this.#data.labels.size, this.#data.size)
    resetPeakMemory(device)
    for (let i = 1; i < times; i++) part()
    const began = performance.now()
    part()
    const seconds = (performance.now() - began) / 1000
    return { peak: tensorMemory(device).peak - noise, seconds }
  }

  dispose(): void {
    if (this.#strategy !== this.#session.strategy) this.#strategy.dispose()
    disposeSession(this.#session)
  }
}

/** A dry run says itself which L it wants. */
function byOperations(config: SearchConfig, { strategy: { subspace } }: SearchParts): SearchConfig {
  return subspace ? { ...config, ...subspace.with(config, subspace.of(config)) } : config
}

function makeNoise(count: number, size: number, classes: number): ImageDataset {
  // a hash of the position: drawing a million numbers would take longer than a step
  const images = new Uint8Array(count * 3 * size * size)
  for (let index = 0; index < images.length; index++) images[index] = Math.imul(index + 1, 0x9e3779b1) >>> 24
  return {
    name: 'noise',
    split: 'train',
    images,
    labels: Int32Array.from({ length: count }, (_, index) => index % classes),
    count,
    size,
    classes: Array.from({ length: classes }, (_, label) => `${label}`),
    // any will do
    mean: cifarLayouts.cifar10.mean,
    std: cifarLayouts.cifar10.std,
    fingerprint: '',
  }
}
