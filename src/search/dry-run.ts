/** A search that nobody keeps: real steps on images of noise, in subspaces of one's choice, for their memory and their time. */
import { type CifarName, cifarLayouts, imageBytes, imageSize } from '../data/cifar-layout.ts'
import { BatchStream, type ImageDataset } from '../data/index.ts'
import { namedParameters } from '../nn/index.ts'
import { emptyMemory } from '../strategies/ddsas/saliency.ts'
import { Generator, resetPeakMemory, tensorMemory, tidy, zerosLike } from '../torch/index.ts'
import type { SearchConfig } from './config.ts'
import { evaluateSupernet } from './evaluate.ts'
import { searchStep } from './search.ts'
import { createSession, disposeSession, type Session } from './session.ts'
import type { Subspaces } from './subspaces.ts'

/** What was seen of a step or of an evaluation. */
export interface Seen {
  /** Most bytes of tensors, with velocities of all weights and without the images of the data set. */
  readonly peak: number
  readonly seconds: number
}

/** Bytes of the tensors of so many images and labels. */
export function datasetBytes(count: number): number {
  return count * (imageBytes + 8)
}

/** Bytes of a batch as a network takes it. */
export function batchBytes(count: number): number {
  return count * (4 * imageBytes + 8)
}

export class DryRun {
  readonly #session: Session

  /** `largest`: the most images of a batch to come. */
  constructor(config: SearchConfig, device: string, largest: number) {
    // windows that never end by themselves: steps are taken at the second place of one
    const ddsas = { ...config.ddsas, window: 2 }
    const data = { ...config.data, images: 0 }
    const session = createSession({ ...config, data, ddsas }, makeNoise(config.dataset, 2 * largest), device)
    this.#session = session
    const parameters = [...namedParameters(session.supernet)]
    tidy(() => session.optimizer.load(new Map(parameters.map(([name, x]) => [name, zerosLike(x)]))))
  }

  /** Puts the strategy into a window with these subspaces. */
  enter(subspaces: Subspaces): void {
    const { strategy } = this.#session
    const memory = (mask: Subspaces['normal']) => ({ ...emptyMemory(mask.length, mask[0].length, 0), mask })
    const { normal, reduce } = subspaces
    const { tensors, data } = strategy.state()
    const state = { ...data, memory: { normal: memory(normal), reduce: memory(reduce) } }
    tidy(() => strategy.load({ tensors, data: state }))
  }

  /** Takes a step on batches of this many images: `times` times, the last of which is timed. */
  step(batch: number, times: number): Seen {
    const { data, config } = this.#session
    const part = Array.from({ length: data.labels.size }, (_, index) => index)
    const stream = () =>
      new BatchStream(data, { part, batch, augmentation: config.data }, new Generator(0, 'noise'))
    const streams = { weights: stream(), architecture: stream() }
    try {
      return this.#see(times, () => {
        const progress = { ...this.#session.progress, step: 1, total: 1 }
        // at a rate of zero no weight moves, however often
        searchStep({ ...this.#session, streams, progress }, 0)
      })
    } finally {
      streams.weights.dispose()
      streams.architecture.dispose()
    }
  }

  /** Measures accuracy on a batch of this many images. */
  evaluate(batch: number, times: number): Seen {
    const { supernet, strategy, data, device } = this.#session
    const part = Array.from({ length: batch }, (_, index) => index)
    return this.#see(times, () => evaluateSupernet(supernet, strategy, data, part, { batch, device }))
  }

  #see(times: number, part: () => void): Seen {
    const { device, data } = this.#session
    resetPeakMemory(device)
    for (let i = 1; i < times; i++) part()
    const began = performance.now()
    part()
    const seconds = (performance.now() - began) / 1000
    return { peak: tensorMemory(device).peak - datasetBytes(data.labels.size), seconds }
  }

  dispose(): void {
    disposeSession(this.#session)
  }
}

function makeNoise(name: CifarName, count: number): ImageDataset {
  const { classes, mean, std } = cifarLayouts[name]
  // a hash of the position: drawing a million numbers would take longer than a step
  const pixel = (index: number) => Math.imul(index + 1, 0x9e3779b1) >>> 24
  return {
    name: 'noise',
    split: 'train',
    images: Uint8Array.from({ length: count * imageBytes }, (_, index) => pixel(index)),
    labels: Uint8Array.from({ length: count }, (_, index) => index % classes.length),
    count,
    size: imageSize,
    classes,
    mean,
    std,
    fingerprint: '',
  }
}
