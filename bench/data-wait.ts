/** How long the search waits for its data: two batches a step, prepared while the step before computes. */
import { type Augmentation, BatchStream, type ImageTensors } from '../src/data/index.ts'
import { searchPresets } from '../src/search/presets.ts'
import { Generator, keep, Tensor, tidy } from '../src/torch/index.ts'
import type { Contestant } from './measure.ts'

const images = 5000

function randomImages(): ImageTensors {
  const generator = new Generator(2)
  const pixels = Uint8Array.from({ length: images * 3 * 32 * 32 }, () => generator.below(256))
  const labels = BigInt64Array.from({ length: images }, () => BigInt(generator.below(10)))
  return {
    images: keep(Tensor.from(pixels, [images, 3, 32, 32])),
    labels: keep(Tensor.from(labels, [images])),
    size: 32,
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  }
}

/** Two streams over the same random images, as a search has one for each half. */
export function randomStreams(batch: number, augmentation: Augmentation): BatchStream[] {
  const part = Array.from({ length: images }, (_, index) => index)
  const options = { part, batch, augmentation }
  const data = randomImages()
  return [3, 4].map((seed) => new BatchStream(data, options, new Generator(seed)))
}

export interface WithData extends Contestant {
  /** Seconds that a step waits for its batches: the mean of some steps run for it. */
  secondsWaited(steps: number): number
}

/** A step that also takes its two batches from streams, as a search does. */
export function withData(contestant: Contestant, batch: number): WithData {
  const streams = randomStreams(batch, searchPresets.cifar10.data)
  let waited = 0
  const step = () =>
    tidy(() => {
      const began = performance.now()
      for (const stream of streams) stream.next()
      waited += (performance.now() - began) / 1000
      contestant.step()
    })
  return {
    name: contestant.name,
    step,
    secondsWaited(steps) {
      waited = 0
      for (let count = 0; count < steps; count++) step()
      return waited / steps
    },
  }
}
