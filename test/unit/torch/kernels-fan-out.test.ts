/**
 * One tensor with several readers, separable convolutions among them, and gradients that a reader leaves to the convolution
 * whose result it read: against ATen's operators in float64.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  add,
  batchNorm,
  conv2d,
  fanOut,
  type Generator,
  mix,
  mul,
  type NormStatistics,
  relu,
  reshape,
  type SeparableConvolution,
  separable,
  slice,
  Tensor,
  to,
} from '../../../src/torch/index.ts'
import { randomTensor } from '../spaces/numerical.ts'
import {
  checkMoments,
  coarse,
  compare,
  copies,
  forEachCase,
  type Operator,
  statistics,
  testOtherInstructions,
} from './kernel-cases.ts'

/** Size and dilation of each convolution; 0: a reader that takes x itself. */
const readers = [
  [
    [3, 1],
    [5, 2],
  ],
  [
    [0, 0],
    [5, 1],
    [3, 2],
    [0, 0],
    [3, 1],
  ],
] as const

const total = (terms: readonly Tensor[]) => terms.reduce((sum, term) => add(sum, term))

function composed(x: Tensor, { spatial, pointwise, stride, dilation }: SeparableConvolution): Tensor {
  const padding = ((spatial.shape[2] - 1) / 2) * dilation
  return conv2d(conv2d(relu(x), spatial, { stride, padding, dilation, groups: x.shape[1] }), pointwise)
}

test('a tensor fanned out is itself, and collects the gradients of all its readers, also where some give none', () => {
  forEachCase((shape, arrange, generator) => {
    for (const count of [1, 2, 5])
      for (const used of [count, Math.ceil(count / 2)]) {
        const x = arrange(coarse(shape, generator))
        // each reader scales differently
        const sum = (handles: Tensor[]) =>
          total(handles.slice(0, used).map((handle, i) => mul(handle, i + 1)))
        const own: Operator = (a) => sum(copies(a, count))
        const oracle: Operator = (a) => sum(Array.from({ length: count }, () => a))
        compare(own, oracle, [x], 1e-6, `${used} of ${count} readers of [${shape}]`)
      }
  })
})

for (const stride of [1, 2])
  test(`separable convolutions of one tensor and readers of it, stride ${stride}`, () => {
    forEachCase((shape, arrange, generator) => {
      const channels = shape[1]
      for (const kinds of readers)
        for (const used of [kinds.length, kinds.length - 1, 1]) {
          const x = arrange(coarse(shape, generator))
          const weights = kinds.flatMap(([size]) =>
            size === 0
              ? []
              : [coarse([channels, 1, size, size], generator), coarse([channels, channels, 1, 1], generator)],
          )
          /** The sum of the squares of what the first readers take, or of their first pixels where sizes differ. */
          const sum =
            (read: (x: Tensor, entries: (SeparableConvolution | undefined)[]) => Tensor[]): Operator =>
            (a, ...all) => {
              const left = all.values()
              const next = () => left.next().value ?? assert.fail('a weight is missing')
              const entries = kinds.map(([size, dilation]) =>
                size === 0 ? undefined : { spatial: next(), pointwise: next(), stride, dilation },
              )
              const squares = read(a, entries)
                .slice(0, used)
                .map((y, i) => mul(mul(y, y), i + 1))
              const corner = (y: Tensor) => slice(slice(y, 2, 0, 1), 3, 0, 1)
              return total(stride === 1 ? squares : squares.map(corner))
            }
          const own = sum((a, entries) => fanOut(a, entries).map((images) => images.x))
          const oracle = sum((a, entries) => entries.map((by) => (by ? composed(a, by) : a)))
          const inputs = [
            x,
            ...weights.slice(0, 2 * kinds.slice(0, used).filter(([size]) => size > 0).length),
          ]
          const rest = weights.slice(inputs.length - 1)
          const exact = rest.map((weight) => to(weight, { dtype: 'float64' }))
          const what = `${used} of ${kinds.length} readers of [${shape}]`
          compare(
            (...given) => own(...given, ...rest),
            (...given) => oracle(...given, ...exact),
            inputs,
            1e-5,
            what,
          )
        }
    })
  })

test('the results of convolutions of one tensor come with their moments, each alone and together the same', () => {
  forEachCase((shape, arrange, generator) => {
    const x = arrange(coarse(shape, generator))
    const entries = [3, 5].map((size) => ({
      spatial: coarse([shape[1], 1, size, size], generator),
      pointwise: coarse([7, shape[1], 1, 1], generator),
      stride: 1,
      dilation: 2,
    }))
    const together = fanOut(x, entries)
    for (const [i, { spatial, pointwise, ...shape }] of entries.entries()) {
      const alone = separable({ x }, spatial, pointwise, { ...shape, training: true })
      assert.deepEqual(together[i].x.bytes(), alone.x.bytes())
      assert.deepEqual(together[i].moments?.bytes(), alone.moments?.bytes())
      if (together[i].moments?.shape.length === 2) checkMoments(together[i], `${i}`)
    }
  })
})

/** A norm as the oracle computes it: by the batch, or by statistics that do not move. */
function normed(x: Tensor, norm: NormStatistics, affine: readonly Tensor[] = []): Tensor {
  const { running_mean: runningMean, running_var: runningVar } = norm
  const normal = batchNorm(x, { runningMean, runningVar, training: true })
  const [weight, bias] = affine.map((values) => reshape(values, [1, -1, 1, 1]))
  return weight === undefined ? normal : add(mul(normal, weight), bias)
}

/**
 * A separable convolution twice, a dilated one, and their sum after norms. `again`: what else reads their results.
 */
function nodeOf(shape: number[], generator: Generator, affine: boolean, again: boolean) {
  const [count, channels] = shape
  const norms = [0, 1, 2].map(() => statistics(channels, generator))
  const kept = Tensor.from(
    Float32Array.from({ length: 2 * count }, () => (generator.below(3) === 0 ? 0 : 1.25)),
    [2, count],
  )
  const how = { stride: 1, dilation: 1 } as const
  const withWeights = (k: number, [weight, bias]: readonly Tensor[]) =>
    affine && k > 0 ? { ...norms[k], weight, bias } : norms[k]
  const own: Operator = (x, mixing, s1, p1, s2, p2, s3, p3, ...affines) => {
    const [half, dilated] = fanOut(x, [
      { ...how, spatial: s1, pointwise: p1 },
      { spatial: s3, pointwise: p3, stride: 1, dilation: 2 },
    ])
    const twice = separable(half, s2, p2, { ...how, training: true, norm: norms[0] })
    const own = [withWeights(1, affines.slice(0, 2)), withWeights(2, affines.slice(2))]
    const y = mix([twice, dilated], mixing, own, { training: true, kept: affine ? kept : undefined })
    return again ? add(y, add(half.x, dilated.x)) : y
  }
  const oracle: Operator = (x, mixing, s1, p1, s2, p2, s3, p3, ...affines) => {
    const half = composed(x, { ...how, spatial: s1, pointwise: p1 })
    const dilated = composed(x, { spatial: s3, pointwise: p3, stride: 1, dilation: 2 })
    const twice = composed(normed(half, norms[0].exact), { ...how, spatial: s2, pointwise: p2 })
    const terms = [twice, dilated].map((term, k) => {
      const own = affine ? affines.slice(2 * k, 2 * k + 2) : []
      const whole = mul(normed(term, norms[k + 1].exact, own), slice(mixing, 0, k, k + 1))
      return affine ? mul(whole, reshape(slice(kept, 0, k, k + 1), [count, 1, 1, 1])) : whole
    })
    return total(again ? [...terms, half, dilated] : terms)
  }
  const weights = [3, 3, 5].flatMap((size) => [
    randomTensor([channels, 1, size, size], generator, 'float32'),
    randomTensor([channels, channels, 1, 1], generator, 'float32'),
  ])
  const affines = affine ? [0, 1, 2, 3].map(() => randomTensor([channels], generator, 'float32')) : []
  const inputs = [randomTensor([2], generator, 'float32'), ...weights, ...affines]
  return { own, oracle, inputs }
}

for (const affine of [false, true])
  for (const again of [false, true])
    test(`gradients left to the convolutions${affine ? ', affine norms and drop-path' : ''}${again ? ', with other readers' : ''}`, () => {
      forEachCase((shape, arrange, generator) => {
        // a norm takes back what one weight does: its gradient is zero, and nothing to compare a rounding with
        if (shape[1] === 1) return
        const { own, oracle, inputs } = nodeOf(shape, generator, affine, again)
        const x = arrange(randomTensor(shape, generator, 'float32'))
        compare(own, oracle, [x, ...inputs], 1e-4, `[${shape}]`)
      })
    })

testOtherInstructions(import.meta.url)
