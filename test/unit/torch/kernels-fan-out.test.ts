/**
 * One tensor with several readers, separable convolutions and poolings among them, and gradients that a reader leaves to the
 * operator whose result it read: against ATen's operators in float64.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  add,
  avgPool2d,
  batchNorm,
  cat,
  conv2d,
  type Entry,
  factorizedReduce,
  fanOut,
  type Generator,
  maxPool2d,
  mix,
  mul,
  type NormStatistics,
  relu,
  reluPointwise,
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
import { onGrid, vectors } from './runs.ts'

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
        // one reader takes the tensor as it is
        const kernels = count > 1 ? ['fan_out'] : []
        compare(own, oracle, [x], 1e-6, `${used} of ${count} readers of [${shape}]`, kernels)
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
            ['fan_out', 'separable'],
          )
        }
    })
  })

/** What computes these readers. */
const kernelsOf = (entries: readonly Entry[]) =>
  entries.flatMap((by) => {
    if (by === undefined) return []
    return 'spatial' in by ? ['separable'] : [`${by.pool}_pool3`]
  })

/** What a reader takes, by ATen. */
function taken(x: Tensor, by: Entry): Tensor {
  if (by === undefined) return x
  if ('spatial' in by) return composed(x, by)
  return (by.pool === 'max' ? maxPool2d : avgPool2d)(x, 3, by.stride, 1)
}

for (const stride of [1, 2])
  test(`poolings of one tensor, of which some are the same, and other readers, stride ${stride}`, () => {
    forEachCase((shape, arrange, generator) => {
      const [, channels] = shape
      const x = arrange(coarse(shape, generator))
      const [spatial, pointwise] = [
        coarse([channels, 1, 5, 5], generator),
        coarse([channels, channels, 1, 1], generator),
      ]
      const max = { pool: 'max', stride } as const
      const avg = { pool: 'avg', stride } as const
      const conv = (weights: readonly Tensor[]) => ({
        spatial: weights[0],
        pointwise: weights[1],
        stride,
        dilation: 1,
      })
      const corner = (y: Tensor) => slice(slice(y, 2, 0, 1), 3, 0, 1)
      /** `used`: how many of the readers give a gradient. */
      const cases: readonly [used: number, entries: (weights: readonly Tensor[]) => Entry[]][] = [
        [6, (weights) => [max, conv(weights), undefined, avg, max, avg]],
        [3, (weights) => [conv(weights), avg, max, max, undefined]],
        [4, () => [avg, max, { pool: 'max', stride: 3 - stride }, max]],
        [2, () => [max, undefined]],
        [2, (weights) => [conv(weights), { ...conv(weights), stride: 3 - stride }]],
        [1, () => [avg, avg, max]],
      ]
      for (const [used, entries] of cases) {
        const sum =
          (read: (a: Tensor, by: Entry[]) => Tensor[]): Operator =>
          (a, ...weights) =>
            total(
              read(a, entries(weights))
                .slice(0, used)
                .map((y, i) => corner(mul(mul(y, y), i + 1))),
            )
        const weights = entries([spatial, pointwise]).some((by) => by && 'spatial' in by)
        compare(
          sum((a, by) => fanOut(a, by).map((images) => images.x)),
          sum((a, by) => by.map((entry) => taken(a, entry))),
          [x, ...(weights ? [spatial, pointwise] : [])],
          1e-5,
          `${used} of ${entries([spatial, pointwise]).length} readers of [${shape}]`,
          ['fan_out', ...kernelsOf(entries([spatial, pointwise]))],
        )
      }
    })
  })

test('the results of poolings come with their moments, each reader of the same pooling with the same', () => {
  forEachCase((shape, arrange, generator) => {
    const x = arrange(coarse(shape, generator))
    const readers = (['max', 'avg', 'max'] as const).map((pool) => ({ pool, stride: 2 }))
    const [first, average, again] = fanOut(x, readers)
    assert.deepEqual(first.x.bytes(), again.x.bytes())
    assert.deepEqual(first.moments?.bytes(), again.moments?.bytes())
    // on a GPU the tail of a node finds them
    if (!onGrid) for (const images of [first, average]) checkMoments(images, `[${shape}]`)
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
      checkMoments(together[i], `${i}`)
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

/** What the terms of the node below begin with, besides a convolution twice and a dilated one. */
const simple = [
  { pool: 'max', stride: 1 },
  { pool: 'avg', stride: 1 },
  undefined,
  { pool: 'max', stride: 1 },
] as const

/**
 * A separable convolution twice, a dilated one, two maxima, an average and a skip: their sum, after norms of all but the
 * skip. `again`: what else reads their results.
 */
function nodeOf(shape: number[], generator: Generator, affine: boolean, again: boolean) {
  const [count, channels] = shape
  const terms = 2 + simple.length
  const skip = 2 + simple.indexOf(undefined)
  // the first is that between the two halves of the convolution
  const norms = Array.from({ length: terms + 1 }, () => statistics(channels, generator))
  const kept = Tensor.from(
    Float32Array.from({ length: terms * count }, () => (generator.below(3) === 0 ? 0 : 1.25)),
    [terms, count],
  )
  const how = { stride: 1, dilation: 1 } as const
  /** Weight and bias of a term's norm, where it has them. */
  const affineOf = (k: number, affines: readonly Tensor[]) =>
    affine && k < 2 ? affines.slice(2 * k, 2 * k + 2) : []
  const normOf = (k: number, affines: readonly Tensor[]) => {
    const [weight, bias] = affineOf(k, affines)
    if (k === skip) return undefined
    return weight === undefined ? norms[k + 1] : { ...norms[k + 1], weight, bias }
  }
  const own: Operator = (x, mixing, s1, p1, s2, p2, s3, p3, ...affines) => {
    const [half, dilated, ...others] = fanOut(x, [
      { ...how, spatial: s1, pointwise: p1 },
      { spatial: s3, pointwise: p3, stride: 1, dilation: 2 },
      ...simple,
    ])
    const twice = separable(half, s2, p2, { ...how, training: true, norm: norms[0] })
    const own = Array.from({ length: terms }, (_, k) => normOf(k, affines))
    const y = mix([twice, dilated, ...others], mixing, own, {
      training: true,
      kept: affine ? kept : undefined,
    })
    return again ? total([y, half.x, dilated.x, ...others.map((images) => images.x)]) : y
  }
  const oracle: Operator = (x, mixing, s1, p1, s2, p2, s3, p3, ...affines) => {
    const half = composed(x, { ...how, spatial: s1, pointwise: p1 })
    const dilated = composed(x, { spatial: s3, pointwise: p3, stride: 1, dilation: 2 })
    const twice = composed(normed(half, norms[0].exact), { ...how, spatial: s2, pointwise: p2 })
    const others = simple.map((by) => taken(x, by))
    const weighted = [twice, dilated, ...others].map((term, k) => {
      const value = k === skip ? term : normed(term, norms[k + 1].exact, affineOf(k, affines))
      const whole = mul(value, slice(mixing, 0, k, k + 1))
      return affine ? mul(whole, reshape(slice(kept, 0, k, k + 1), [count, 1, 1, 1])) : whole
    })
    return total(again ? [...weighted, half, dilated, ...others] : weighted)
  }
  const weights = [3, 3, 5].flatMap((size) => [
    randomTensor([channels, 1, size, size], generator, 'float32'),
    randomTensor([channels, channels, 1, 1], generator, 'float32'),
  ])
  const affines = affine ? [0, 1, 2, 3].map(() => randomTensor([channels], generator, 'float32')) : []
  const inputs = [randomTensor([terms], generator, 'float32'), ...weights, ...affines]
  return { own, oracle, inputs }
}

for (const affine of [false, true])
  for (const again of [false, true])
    test(`gradients left to what made the terms${affine ? ', affine norms and drop-path' : ''}${again ? ', with other readers' : ''}`, () => {
      forEachCase((shape, arrange, generator) => {
        // a norm takes back what one weight does: its gradient is zero, and nothing to compare a rounding with
        if (shape[1] === 1) return
        const { own, oracle, inputs } = nodeOf(shape, generator, affine, again)
        const x = arrange(randomTensor(shape, generator, 'float32'))
        const kernels = ['fan_out', 'separable', 'max_pool3', 'avg_pool3', affine ? vectors('mix') : 'mix']
        compare(
          own,
          oracle,
          [x, ...inputs],
          1e-4,
          `[${shape}]`,
          onGrid ? kernels : [...kernels, 'left_gradient'],
        )
      })
    })

for (const again of [false, true])
  test(`gradients left to 1x1 convolutions of parts${again ? ', with other readers' : ''}`, () => {
    forEachCase((shape, arrange, generator) => {
      const [count, channels, height, width] = shape
      const parts = [shape, [count, 3, height, width]].map((part) =>
        arrange(randomTensor(part, generator, 'float32')),
      )
      const weights = [5, 4].map((outputs) =>
        randomTensor([outputs, channels + 3, 1, 1], generator, 'float32'),
      )
      const even = height % 2 === 0 && width % 2 === 0
      for (const halved of even ? [false, true] : [false]) {
        const norm = statistics(halved ? 9 : 5, generator)
        const own: Operator = (a, b, first, second) => {
          const images = halved ? factorizedReduce([a, b], first, second) : reluPointwise([a, b], first)
          const y = mix([images], null, [norm], { training: true })
          return again ? add(mul(y, y), images.x) : mul(y, y)
        }
        const oracle: Operator = (a, b, first, second) => {
          const x = relu(cat([a, b], 1))
          const every = (from: number) => slice(slice(x, 2, from, height, 2), 3, from, width, 2)
          const product = halved
            ? cat([conv2d(every(0), first), conv2d(every(1), second)], 1)
            : conv2d(x, first)
          const y = normed(product, norm.exact)
          return again ? add(mul(y, y), product) : mul(y, y)
        }
        const inputs = [...parts, ...(halved ? weights : weights.slice(0, 1))]
        const kernels = [halved ? 'factorized_reduce' : 'relu_pointwise', 'mix']
        // with other readers it is not the gradient of the whole
        const left = onGrid || again ? [] : ['left_gradient']
        compare(own, oracle, inputs, 1e-4, `[${shape}]${halved ? ', halved' : ''}`, [...kernels, ...left])
      }
    })
  })

testOtherInstructions(import.meta.url)
