/** How long the search waits for its data: two batches a step, prepared while the step before computes. */
import { type Augmentation, BatchStream, type ImageTensors } from '../src/data/index.ts'
import { searchPresets } from '../src/search/presets.ts'
import { Generator, keep, Tensor, tidy } from '../src/torch/index.ts'
import type { Contestant } from './measure.ts'
import { benchSpaces, type ImageKind } from './spaces.ts'
import type { StepShape } from './step.ts'

type Batches = Pick<StepShape, 'space' | 'batch'>

function randomImages(images: number, { classes, side }: ImageKind): ImageTensors {
  const generator = new Generator(2)
  const pixels = Uint8Array.from({ length: images * 3 * side * side }, () => generator.below(256))
  const labels = BigInt64Array.from({ length: images }, () => BigInt(generator.below(classes)))
  return {
    images: keep(Tensor.from(pixels, [images, 3, side, side])),
    labels: keep(Tensor.from(labels, [images])),
    size: side,
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  }
}

/** Two streams over the same random images, as a search has one for each half; as many bytes of large as of small ones. */
export function randomStreams({ space, batch }: Batches, augmentation: Augmentation): BatchStream[] {
  const kind = benchSpaces[space].images
  const images = Math.max(batch, Math.round(5000 * (32 / kind.side) ** 2))
  const part = Array.from({ length: images }, (_, index) => index)
  const options = { part, batch, augmentation }
  const data = randomImages(images, kind)
  return [3, 4].map((seed) => new BatchStream(data, options, new Generator(seed)))
}

export interface WithData extends Contestant {
  /** Seconds that a step waits for its batches: the mean of some steps run for it. */
  secondsWaited(steps: number): number
}

/** A step that also takes its two batches from streams, as a search does. */
export function withData(contestant: Contestant, shape: Batches): WithData {
  const streams = randomStreams(shape, searchPresets.cifar10.data)
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
