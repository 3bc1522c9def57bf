/** Convolutions, pooling and fan-out of our own against ATen's operators in float64, for each instruction set. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  avgPool2d,
  avgPool3,
  cat,
  conv2d,
  factorizedReduce,
  Generator,
  grad,
  maxPool2d,
  maxPool3,
  relu,
  reluPointwise,
  separable,
  setRequiresGrad,
  slice,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { randomTensor, weighed } from '../spaces/numerical.ts'
import {
  checkMoments,
  coarse,
  compare,
  forEachCase,
  type Operator,
  statistics,
  testOtherInstructions,
} from './kernel-cases.ts'
import { assertRan } from './runs.ts'

for (const kernel of [3, 5])
  test(`relu, depthwise ${kernel}x${kernel} and pointwise convolution, and the moments of the result`, () => {
    forEachCase((shape, arrange, generator) => {
      for (const stride of [1, 2])
        for (const dilation of [1, 2]) {
          const [channels, outputs] = [shape[1], stride === 1 ? shape[1] : 9]
          const how = { stride, padding: ((kernel - 1) / 2) * dilation, dilation, groups: channels }
          const x = arrange(coarse(shape, generator))
          const spatial = coarse([channels, 1, kernel, kernel], generator)
          const pointwise = coarse([outputs, channels, 1, 1], generator)
          const what = `[${shape}], stride ${stride}, dilation ${dilation}`
          const options = { stride, dilation, training: true }
          checkMoments(separable({ x }, spatial, pointwise, options), what)
          const own: Operator = (a, s, p) => separable({ x: a }, s, p, options).x
          const oracle: Operator = (a, s, p) => conv2d(conv2d(relu(a), s, how), p)
          compare(own, oracle, [x, spatial, pointwise], 1e-6, what, ['separable'])
        }
    })
  })

test('relu and pointwise convolution of parts that do not lie together, and the moments of the result', () => {
  forEachCase((shape, arrange, generator) => {
    for (const count of [1, 3]) {
      const parts = Array.from({ length: count }, (_, i) =>
        arrange(coarse(shape.with(1, shape[1] + i), generator)),
      )
      const channels = parts.reduce((sum, part) => sum + part.shape[1], 0)
      const weight = coarse([shape[1], channels, 1, 1], generator)
      checkMoments(reluPointwise(parts, weight), `[${shape}]`)
      const own: Operator = (w, ...xs) => reluPointwise(xs, w).x
      const oracle: Operator = (w, ...xs) => conv2d(relu(cat(xs, 1)), w)
      compare(own, oracle, [weight, ...parts], 1e-6, `${count} parts of [${shape}]`, ['relu_pointwise'])
    }
  })
})

test('factorized reduce: two pointwise convolutions of every second pixel, of parts, and the moments', () => {
  forEachCase(([images, channels, height, width], arrange, generator) => {
    for (const count of [1, 3])
      for (const outputs of [
        [channels, channels],
        [1, 2],
      ]) {
        const parts = Array.from({ length: count }, (_, i) =>
          arrange(coarse([images, channels + i, 2 * height, 2 * width], generator)),
        )
        const inputs = parts.reduce((sum, part) => sum + part.shape[1], 0)
        const weights = outputs.map((own) => coarse([own, inputs, 1, 1], generator))
        const what = `${count} parts of [${images},${channels},${2 * height},${2 * width}]`
        checkMoments(factorizedReduce(parts, weights[0], weights[1]), what)
        const own: Operator = (a, b, ...xs) => factorizedReduce(xs, a, b).x
        const oracle: Operator = (a, b, ...xs) => {
          const y = relu(cat(xs, 1))
          const every = (first: number) => slice(slice(y, 2, first, 2 * height, 2), 3, first, 2 * width, 2)
          return cat([conv2d(every(0), a), conv2d(every(1), b)], 1)
        }
        compare(own, oracle, [...weights, ...parts], 1e-6, what, ['factorized_reduce'])
      }
  })
})

test('3x3 pooling: of equal maxima the first gets the gradient, padding counts in neither', () => {
  forEachCase((shape, arrange, generator) => {
    for (const stride of [1, 2]) {
      const x = arrange(coarse(shape, generator))
      const what = `[${shape}], stride ${stride}`
      compare(
        (a) => maxPool3(a, stride),
        (a) => maxPool2d(a, 3, stride, 1),
        [x],
        1e-7,
        `maximum ${what}`,
        ['max_pool3'],
      )
      compare(
        (a) => avgPool3(a, stride),
        (a) => avgPool2d(a, 3, stride, 1),
        [x],
        1e-6,
        `average ${what}`,
        ['avg_pool3'],
      )
    }
  })
})

test('a maximum of negative numbers is negative also at the border, and NaN is not lost', () => {
  tidy(() => {
    const x = Tensor.from(
      Float32Array.from({ length: 9 }, (_, i) => -1 - i),
      [1, 1, 3, 3],
    )
    const largest = assertRan(['max_pool3'], 'negative numbers', () => maxPool3(x, 2))
    assert.deepEqual([...largest.floats()], [-1, -2, -4, -5])
    const broken = Tensor.from(
      Float32Array.from({ length: 25 }, (_, i) => (i === 6 ? Number.NaN : i)),
      [1, 1, 5, 5],
    )
    const pooled = assertRan(['max_pool3', 'avg_pool3'], 'NaN', () => [
      maxPool3(broken, 1),
      avgPool3(broken, 1),
    ])
    for (const y of pooled) {
      const rows = [0, 1, 2, 3, 4].map((row) => [...y.floats()].slice(5 * row, 5 * row + 5).map(Number.isNaN))
      for (const [row, values] of rows.entries())
        assert.deepEqual(values, row < 3 ? [true, true, true, false, false] : Array(5).fill(false))
    }
  })
})

test('gradients asked for one at a time are those asked for together', () => {
  tidy(() => {
    const generator = new Generator(7)
    const shapesOfInputs = [
      [2, 16, 4, 4],
      [16, 1, 3, 3],
      [16, 16, 1, 1],
    ]
    const inputs = shapesOfInputs.map((shape) => randomTensor(shape, generator, 'float32'))
    const [x, spatial, pointwise] = inputs
    const upstream = randomTensor([2, 16, 4, 4], generator, 'float32')
    const norm = statistics(16, generator)
    const gradients = (wanted: readonly Tensor[]) => {
      setRequiresGrad(wanted, true)
      const y = separable({ x }, spatial, pointwise, { stride: 1, dilation: 1, training: true, norm }).x
      const found = grad(weighed(y, upstream), wanted)
      setRequiresGrad(wanted, false)
      return found.map((gradient) => gradient?.bytes())
    }
    const together = gradients(inputs)
    for (const [i, input] of inputs.entries()) assert.deepEqual(gradients([input]), [together[i]])
  })
})

testOtherInstructions(import.meta.url)
