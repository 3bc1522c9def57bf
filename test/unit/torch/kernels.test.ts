/** Our own kernels against compositions of ATen's operators in float64, for each instruction set this processor has. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  add,
  avgPool2d,
  avgPool3,
  batchNorm,
  call,
  cat,
  channelsLast,
  conv2d,
  dtypes,
  fanOut,
  Generator,
  grad,
  type Images,
  maxPool2d,
  maxPool3,
  mix,
  mul,
  type NormStatistics,
  relu,
  reluPointwise,
  separable,
  setRequiresGrad,
  setThreads,
  slice,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { assertNear, randomTensor, weighed } from '../spaces/numerical.ts'

// threads that wait should not keep others from computing; read when the engine is loaded
process.env.GOMP_SPINCOUNT ??= '0'

type Operator = (...inputs: Tensor[]) => Tensor

/** Batch, channels, height, width: channels that fit vector registers of any width and that do not. */
const shapes = [
  [2, 16, 8, 8],
  [3, 32, 4, 6],
  [1, 64, 5, 5],
  [2, 21, 7, 3],
  [3, 8, 1, 6],
  [4, 3, 2, 1],
  [5, 1, 3, 3],
]

/** The ways in which a tensor can lie in memory. */
const layouts: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  NCHW: (x) => x,
  'channels last': channelsLast,
  'part of a larger one': (x) => slice(call('aten::cat', [x, x], 1), 1, 0, x.shape[1]),
}

/** Multiples of a quarter in float32: products are exact, and equal values and zeros are common. */
function coarse(shape: readonly number[], generator: Generator): Tensor {
  const count = shape.reduce((product, length) => product * length, 1)
  return Tensor.from(
    Float32Array.from({ length: count }, () => (generator.below(9) - 4) / 4),
    shape,
  )
}

/** Compares value and gradients of `own` in float32 with those of `oracle` in float64. */
function compare(own: Operator, oracle: Operator, inputs: Tensor[], tolerance: number, what: string): void {
  tidy(() => {
    const twins = inputs.map((x) => to(x, { dtype: 'float64' }))
    setRequiresGrad([...inputs, ...twins], true)
    const [y, wanted] = [own(...inputs), oracle(...twins)]
    const close = (actual: Tensor | null, expected: Tensor | null, part: string, share: number) => {
      assert.ok(expected)
      assertNear(actual && to(actual, { dtype: 'float64' }), expected, share, `${part} of ${what}`)
    }
    close(y, wanted, 'value', tolerance)
    const upstream = coarse(y.shape, new Generator(1))
    const gradients = grad(weighed(y, upstream), inputs)
    const expected = grad(weighed(wanted, to(upstream, { dtype: 'float64' })), twins)
    for (const [i, gradient] of gradients.entries())
      close(gradient, expected[i], `gradient of input ${i}`, 4 * tolerance)
  })
}

function forEachCase(
  body: (shape: number[], arrange: (x: Tensor) => Tensor, generator: Generator) => void,
): void {
  for (const shape of shapes)
    for (const arrange of Object.values(layouts))
      tidy(() => body(shape, arrange, new Generator(2, `${shape}`)))
}

/** The same images with moments, as a kernel that found them would hand them on, or without. */
const imagesOf = (x: Tensor, moments?: Tensor): Images => (moments ? { x, moments } : { x })

/** Mean and variance of each channel [2, c]. */
function momentsOf(x: Tensor): Tensor {
  const [mean, variance] = [call('aten::mean.dim', x, [0, 2, 3]), call('aten::var.dim', x, [0, 2, 3], false)]
  return call('aten::to.dtype', call('aten::stack', [mean, variance]), dtypes.float32)
}

function checkMoments(images: Images, what: string): void {
  assert.ok(images.moments, `no moments of ${what}`)
  assertNear(images.moments, momentsOf(to(images.x, { dtype: 'float64' })), 1e-5, `moments of ${what}`, 1)
}

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
          compare(own, oracle, [x, spatial, pointwise], 1e-6, what)
        }
    })
  })

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
        )
        for (const part of ['running_mean', 'running_var'] as const)
          assertNear(norm[part], norm.exact[part], 1e-5, `${part} of [${shape}]`, 1)
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
      compare(own, oracle, [weight, ...parts], 1e-6, `${count} parts of [${shape}]`)
    }
  })
})

test('a tensor fanned out is itself, and collects the gradients of all its readers, also where some give none', () => {
  forEachCase((shape, arrange, generator) => {
    for (const count of [1, 2, 5])
      for (const used of [count, Math.ceil(count / 2)]) {
        const x = arrange(coarse(shape, generator))
        // each reader scales differently
        const sum = (handles: Tensor[]) =>
          handles
            .slice(0, used)
            .map((handle, i) => mul(handle, i + 1))
            .reduce((all, term) => add(all, term))
        const own: Operator = (a) => sum(fanOut(a, count))
        const oracle: Operator = (a) => sum(Array.from({ length: count }, () => a))
        compare(own, oracle, [x], 1e-6, `${used} of ${count} readers of [${shape}]`)
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
      )
      compare(
        (a) => avgPool3(a, stride),
        (a) => avgPool2d(a, 3, stride, 1),
        [x],
        1e-6,
        `average ${what}`,
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
    assert.deepEqual([...maxPool3(x, 2).floats()], [-1, -2, -4, -5])
    const broken = Tensor.from(
      Float32Array.from({ length: 25 }, (_, i) => (i === 6 ? Number.NaN : i)),
      [1, 1, 5, 5],
    )
    for (const y of [maxPool3(broken, 1), avgPool3(broken, 1)]) {
      const rows = [0, 1, 2, 3, 4].map((row) => [...y.floats()].slice(5 * row, 5 * row + 5).map(Number.isNaN))
      for (const [row, values] of rows.entries())
        assert.deepEqual(values, row < 3 ? [true, true, true, false, false] : Array(5).fill(false))
    }
  })
})

interface Norm extends NormStatistics {
  readonly exact: NormStatistics
}

function statistics(channels: number, generator: Generator): Norm {
  const running_mean = randomTensor([channels], generator, 'float32')
  const running_var = call('aten::exp', randomTensor([channels], generator, 'float32'))
  const precise = (x: Tensor) => to(x, { dtype: 'float64' })
  return {
    running_mean,
    running_var,
    exact: { running_mean: precise(running_mean), running_var: precise(running_var) },
  }
}

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
        return mix([...images, imagesOf(inputs[0])], w, norms, training)
      }
      const oracle: Operator = (w, ...inputs) => composed([...inputs, inputs[0]], w, norms, training)
      compare(own, oracle, [weights, ...xs], 1e-4, what)
      for (const norm of norms)
        for (const part of ['running_mean', 'running_var'] as const)
          if (norm) assertNear(norm[part], norm.exact[part], 1e-5, `${part} of ${what}`, 1)
    }
}

for (const training of [true, false])
  test(`the weighted sum of batch norms, ${training ? 'training' : 'evaluation'}`, () => {
    forEachCase((shape, arrange, generator) => mixCase(shape, arrange, generator, training))
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
      assertNear(mix([{ x }], weights, [norm], training), wanted, 1e-5, 'value')
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

test('results do not depend on the number of threads, to the bit', () => {
  const results = [1, 2].map((threads) => {
    setThreads(threads)
    return tidy(() => {
      const generator = new Generator(8)
      const x = randomTensor([5, 24, 6, 6], generator, 'float32')
      const spatial = randomTensor([24, 1, 3, 3], generator, 'float32')
      const pointwise = randomTensor([24, 24, 1, 1], generator, 'float32')
      const weights = randomTensor([4], generator, 'float32')
      const leaves = [x, spatial, pointwise, weights]
      setRequiresGrad(leaves, true)
      const [first, second, third, fourth] = fanOut(x, 4)
      const norm = statistics(24, generator)
      const options = { stride: 1, dilation: 2, training: true, norm }
      const terms = [separable({ x: first }, spatial, pointwise, options), { x: maxPool3(second, 1) }]
      terms.push({ x: avgPool3(third, 1) }, reluPointwise([fourth], pointwise))
      const norms = terms.map(() => statistics(24, generator))
      const y = mix(terms, weights, norms, true)
      const gradients = grad(weighed(y, randomTensor(y.shape, generator, 'float32')), leaves)
      return [y, ...gradients, ...norms.map((norm) => norm.running_var)].map((tensor) => tensor?.bytes())
    })
  })
  assert.deepEqual(results[0], results[1])
})

test('inputs that do not fit are refused, naming the operator', () => {
  tidy(() => {
    const zeros = (...shape: number[]) =>
      Tensor.from(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
    const x = zeros(2, 4, 1, 1)
    const [spatial, pointwise] = [zeros(4, 1, 3, 3), zeros(4, 4, 1, 1)]
    const options = { stride: 1, dilation: 1, training: true }
    const refused: [RegExp, () => unknown][] = [
      [/ddsas::mix/, () => mix([{ x }, { x }], zeros(1), [undefined, undefined], true)],
      [/ddsas::mix/, () => mix([{ x }], zeros(1), [], true)],
      [/ddsas::mix/, () => mix([], zeros(0), [], true)],
      [/ddsas::separable/, () => separable({ x }, zeros(5, 1, 3, 3), pointwise, options)],
      [/ddsas::separable/, () => separable({ x }, spatial, zeros(4, 5, 1, 1), options)],
      [/ddsas::relu_pointwise/, () => reluPointwise([x, x], pointwise)],
      [/ddsas::relu_pointwise/, () => reluPointwise([], pointwise)],
      [/ddsas::max_pool3/, () => maxPool3(zeros(4), 1)],
    ]
    for (const [pattern, use] of refused) assertRefuses(use, 'torch', pattern)
  })
})

test('a weighted sum of images of different sizes is refused', () => {
  tidy(() => {
    const [x, small] = [
      [2, 4, 2, 2],
      [2, 4, 1, 1],
    ].map((shape) => coarse(shape, new Generator(9)))
    const use = () =>
      mix([{ x }, { x: small }], Tensor.from(new Float32Array(2), [2]), [undefined, undefined], true)
    assertRefuses(use, 'torch', /ddsas::mix/)
  })
})

const chosen = process.env.DDSAS_SIMD

for (const instructions of chosen === undefined ? ['portable', 'avx2'] : [])
  test(`the same with the kernels for ${instructions}`, () => {
    const env: NodeJS.ProcessEnv = { ...process.env, DDSAS_SIMD: instructions }
    // or the runner inside would report to the one around
    delete env.NODE_TEST_CONTEXT
    const file = fileURLToPath(import.meta.url)
    const { status, stdout } = spawnSync(process.execPath, ['--import', 'tsx', file], {
      env,
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout)
    assert.match(stdout, /^# pass [1-9]\d/m)
  })
