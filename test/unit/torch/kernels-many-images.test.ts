/**
 * Batches of more images than have parts of gradients at once: the gradients of weights are those of the images, each by itself,
 * added up in order to the bit, and what is kept for them does not grow with the batch.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  channelsLast,
  factorizedReduce,
  Generator,
  grad,
  reluPointwise,
  resetPeakMemory,
  separable,
  setRequiresGrad,
  setThreads,
  slice,
  type Tensor,
  tensorMemory,
  tidy,
} from '../../../src/torch/index.ts'
import { randomTensor, weighed } from '../spaces/numerical.ts'

/** A kernel, and its weights for so many channels. */
interface Case {
  readonly shapes: (channels: number) => readonly (readonly number[])[]
  readonly of: (x: Tensor, weights: readonly Tensor[]) => Tensor
}

const square = (channels: number) => [channels, channels, 1, 1]
const kernels: Readonly<Record<string, Case>> = {
  separable: {
    shapes: (channels) => [[channels, 1, 5, 5], square(channels)],
    of: (x, [spatial, across]) =>
      separable({ x }, spatial, across, { stride: 1, dilation: 1, training: true }).x,
  },
  relu_pointwise: {
    shapes: (channels) => [square(channels)],
    of: (x, [weight]) => reluPointwise([x], weight).x,
  },
  factorized_reduce: {
    shapes: (channels) => [square(channels), square(channels)],
    of: (x, [first, second]) => factorizedReduce([x], first, second).x,
  },
}

/** Images, upstream gradient and weights, drawn once. */
function inputs({ shapes, of }: Case, images: number, channels: number, side: number) {
  const generator = new Generator(3)
  const x = channelsLast(randomTensor([images, channels, side, side], generator, 'float32'))
  const weights = shapes(channels).map((shape) => randomTensor(shape, generator, 'float32'))
  const upstream = randomTensor(of(x, weights).shape, generator, 'float32')
  return { x, weights, upstream }
}

/** Gradients of the weights by the images from `begin` to `end`. */
function gradients(
  { of }: Case,
  { x, weights, upstream }: ReturnType<typeof inputs>,
  begin: number,
  end: number,
): number[][] {
  return tidy(() => {
    setRequiresGrad(weights, true)
    const y = of(slice(x, 0, begin, end), weights)
    const found = grad(weighed(y, slice(upstream, 0, begin, end)), weights)
    setRequiresGrad(weights, false)
    return found.map((gradient) => [...(gradient?.floats() ?? [])])
  })
}

for (const [name, kernel] of Object.entries(kernels)) {
  test(`${name}: the parts of 150 images are added up in their order`, () =>
    tidy(() => {
      const count = 150
      const given = inputs(kernel, count, 8, 4)
      const each = Array.from({ length: count }, (_, image) => gradients(kernel, given, image, image + 1))
      const wanted = each.reduce((sums, parts) =>
        sums.map((sum, k) => sum.map((value, i) => Math.fround(value + parts[k][i]))),
      )
      for (const threads of [1, 2, 3]) {
        setThreads(threads)
        assert.deepEqual(gradients(kernel, given, 0, count), wanted, `${threads} threads`)
      }
      setThreads(1)
    }))

  test(`${name}: what is kept for the gradients of weights does not grow with the batch`, () =>
    tidy(() => {
      const channels = 96
      const given = inputs(kernel, 256, channels, 2)
      const peak = (count: number) => {
        resetPeakMemory()
        const before = tensorMemory().live
        gradients(kernel, given, 0, count)
        return tensorMemory().peak - before
      }
      peak(64)
      const ofAnImage = (peak(256) - peak(128)) / 128
      const part = 4 * channels * channels
      assert.ok(ofAnImage < part / 2, `${ofAnImage} bytes an image; a part of the weights has ${part}`)
    }))
}
