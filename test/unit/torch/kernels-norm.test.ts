/** Batch norms inside our kernels, and their weighted sum, against ATen's operators in float64. */
import { test } from 'node:test'
import {
  add,
  batchNorm,
  conv2d,
  Generator,
  mix,
  mul,
  noGrad,
  relu,
  reshape,
  separable,
  slice,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertNear, randomTensor } from '../spaces/numerical.ts'
import {
  coarse,
  compare,
  forEachCase,
  imagesOf,
  momentsOf,
  type Norm,
  type Operator,
  statistics,
  testOtherInstructions,
} from './kernel-cases.ts'
import { assertRan, vectors } from './runs.ts'

for (const training of [true, false])
  test(`batch norm before a separable convolution, ${training ? 'training' : 'evaluation'}`, () => {
    forEachCase((shape, arrange, generator) => {
      for (const known of [true, false]) {
        const [channels, stride] = [shape[1], known ? 1 : 2]
        const x = arrange(
          add(randomTensor(shape, generator, 'float32'), Tensor.from(Float32Array.of(3), [1])),
        )
        const spatial = coarse([channels, 1, 3, 3], generator)
        const pointwise = coarse([channels, channels, 1, 1], generator)
        const norm = statistics(channels, generator)
        const { running_mean: runningMean, running_var: runningVar } = norm.exact
        const moments = known ? momentsOf(to(x, { dtype: 'float64' })) : undefined
        const options = { stride, dilation: 1, training, norm }
        const own: Operator = (a, s, p) => separable(imagesOf(a, moments), s, p, options).x
        const oracle: Operator = (a, s, p) => {
          const normal = batchNorm(a, { runningMean, runningVar, training })
          return conv2d(conv2d(relu(normal), s, { stride, padding: 1, groups: channels }), p)
        }
        compare(
          own,
          oracle,
          [x, spatial, pointwise],
          1e-4,
          `[${shape}], moments ${known ? 'given' : 'sought'}`,
          // on a GPU a norm in evaluation mode through which gradients go back is ATen's
          [training ? 'separable' : vectors('separable')],
        )
        for (const part of ['running_mean', 'running_var'] as const)
          assertNear(norm[part], norm.exact[part], 1e-5, `${part} of [${shape}]`, 1)
      }
    })
  })

/** The sum of batch norms by ATen's operators. */
function composed(
  xs: readonly Tensor[],
  weights: Tensor,
  norms: readonly (Norm | undefined)[],
  training: boolean,
) {
  return xs
    .map((x, k) => {
      const exact = norms[k]?.exact
      const own = { runningMean: exact?.running_mean ?? x, runningVar: exact?.running_var ?? x, training }
      return mul(exact ? batchNorm(x, own) : x, slice(weights, 0, k, k + 1))
    })
    .reduce((sum, term) => add(sum, term))
}

/** Every second term has a norm, from the first or the second on; the last term is the first once more. */
function mixCase(
  shape: number[],
  arrange: (x: Tensor) => Tensor,
  generator: Generator,
  training: boolean,
): void {
  for (const terms of [1, 2, 5])
    for (const offset of [0, 1]) {
      const moved = (x: Tensor, k: number) =>
        add(mul(x, 1 + k), Tensor.from(Float32Array.of(50 * (k - 1)), [1]))
      const xs = Array.from({ length: terms }, (_, k) =>
        arrange(moved(randomTensor(shape, generator, 'float32'), k)),
      )
      const weights = randomTensor([terms + 1], generator, 'float32')
      const norms = [...xs, xs[0]].map((_, k) =>
        k % 2 === offset ? statistics(shape[1], generator) : undefined,
      )
      const what = `[${shape}], ${terms} terms, ${training ? 'training' : 'evaluation'}`
      const own: Operator = (w, ...inputs) => {
        // some moments are known, some are to be sought
        const images = inputs.map((x, k) =>
          imagesOf(x, k % 3 === 1 ? momentsOf(to(x, { dtype: 'float64' })) : undefined),
        )
        return mix([...images, imagesOf(inputs[0])], w, norms, { training })
      }
      const oracle: Operator = (w, ...inputs) => composed([...inputs, inputs[0]], w, norms, training)
      // gradients in evaluation mode are ATen's
      compare(own, oracle, [weights, ...xs], 1e-4, what, [training ? 'mix' : 'mix/aten'])
      for (const norm of norms)
        for (const part of ['running_mean', 'running_var'] as const)
          if (norm) assertNear(norm[part], norm.exact[part], 1e-5, `${part} of ${what}`, 1)
    }
}

for (const training of [true, false])
  test(`the weighted sum of batch norms, ${training ? 'training' : 'evaluation'}`, () => {
    forEachCase((shape, arrange, generator) => mixCase(shape, arrange, generator, training))
  })

/** Affine norms and drop-path as a network's node has them: the first term has a norm, the second has none. */
function nodeCase(
  shape: number[],
  arrange: (x: Tensor) => Tensor,
  generator: Generator,
  weighed: boolean,
): void {
  const [count, channels] = shape
  const moved = (x: Tensor) => add(mul(x, 3), Tensor.from(Float32Array.of(40), [1]))
  const xs = [0, 1, 2].map(() => arrange(moved(randomTensor(shape, generator, 'float32'))))
  const affine = [0, 1, 2, 3].map(() => randomTensor([channels], generator, 'float32'))
  const kept = Tensor.from(
    Float32Array.from({ length: 3 * count }, () => (generator.below(3) === 0 ? 0 : 1.25)),
    [3, count],
  )
  const norms = [statistics(channels, generator), undefined, statistics(channels, generator)]
  const weights = weighed ? randomTensor([3], generator, 'float32') : null
  const own: Operator = (w1, b1, w2, b2, ...inputs) => {
    const parts = [{ weight: w1, bias: b1 }, undefined, { weight: w2, bias: b2 }]
    const whole = norms.map((norm, k) => norm && { ...norm, ...parts[k] })
    return mix(
      inputs.map((x) => ({ x })),
      weights,
      whole,
      { training: true, kept },
    )
  }
  const oracle: Operator = (w1, b1, w2, b2, ...inputs) => {
    const parts = [{ weight: w1, bias: b1 }, undefined, { weight: w2, bias: b2 }]
    return inputs
      .map((x, k) => {
        const exact = norms[k]?.exact
        const own = {
          runningMean: exact?.running_mean ?? x,
          runningVar: exact?.running_var ?? x,
          training: true,
        }
        const term = exact ? batchNorm(x, { ...own, ...parts[k] }) : x
        const mask = reshape(to(slice(kept, 0, k, k + 1), { dtype: 'float64' }), [count, 1, 1, 1])
        return mul(weights ? mul(term, slice(weights, 0, k, k + 1)) : term, mask)
      })
      .reduce((sum, term) => add(sum, term))
  }
  compare(own, oracle, [...affine, ...xs], 1e-4, `[${shape}], ${weighed ? 'weighed' : 'plain'}`, [
    vectors('mix'),
  ])
  for (const norm of norms)
    for (const part of ['running_mean', 'running_var'] as const)
      if (norm) assertNear(norm[part], norm.exact[part], 1e-5, `${part} of [${shape}]`, 1)
}

test('the sum of affine batch norms of which drop-path leaves out images', () => {
  forEachCase((shape, arrange, generator) => {
    for (const weighed of [false, true]) nodeCase(shape, arrange, generator, weighed)
  })
})

for (const training of [true, false])
  test(`an affine batch norm before a separable convolution, ${training ? 'training' : 'evaluation'}`, () => {
    forEachCase((shape, arrange, generator) => {
      const channels = shape[1]
      const x = arrange(add(randomTensor(shape, generator, 'float32'), Tensor.from(Float32Array.of(3), [1])))
      const [spatial, pointwise] = [
        coarse([channels, 1, 5, 5], generator),
        coarse([channels, channels, 1, 1], generator),
      ]
      // a weight of zero: its gradient is not zero
      const affine = [coarse([channels], generator), randomTensor([channels], generator, 'float32')]
      const norm = statistics(channels, generator)
      const { running_mean: runningMean, running_var: runningVar } = norm.exact
      const own: Operator = (a, s, p, weight, bias) =>
        separable({ x: a }, s, p, { stride: 1, dilation: 1, training, norm: { ...norm, weight, bias } }).x
      const oracle: Operator = (a, s, p, weight, bias) => {
        const normal = batchNorm(a, { runningMean, runningVar, training, weight, bias })
        return conv2d(conv2d(relu(normal), s, { padding: 2, groups: channels }), p)
      }
      compare(own, oracle, [x, spatial, pointwise, ...affine], 1e-4, `[${shape}]`, ['separable'])
    })
  })

test('a weighted sum for which no gradient is recorded is the same, in training and evaluation', () => {
  tidy(() => {
    const generator = new Generator(6)
    const [x, weights] = [
      randomTensor([2, 20, 3, 3], generator, 'float32'),
      randomTensor([1], generator, 'float32'),
    ]
    for (const training of [true, false]) {
      const norm = statistics(20, generator)
      const wanted = composed(
        [to(x, { dtype: 'float64' })],
        to(weights, { dtype: 'float64' }),
        [norm],
        training,
      )
      const own = assertRan(['mix'], 'a sum without gradients', () =>
        noGrad(() => mix([{ x }], weights, [norm], { training })),
      )
      assertNear(own, wanted, 1e-5, 'value')
    }
  })
})

testOtherInstructions(import.meta.url)
