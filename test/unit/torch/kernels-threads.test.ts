/**
 * Values and gradients are equal to the bit for 1, 2 and 4 threads, for as many images, fewer and more than threads: each
 * image is computed by one thread in one order, and sums over images are taken after, in their order. What ATen computes
 * of a supernet (the stem) is equal to a millionth.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { namedParameters } from '../../../src/nn/index.ts'
import {
  add,
  avgPool3,
  call,
  crossEntropy,
  factorizedReduce,
  fanOut,
  Generator,
  grad,
  type Images,
  instructionSets,
  kernelRuns,
  maxPool3,
  memoryFormats,
  mix,
  mul,
  noGrad,
  reluPointwise,
  run,
  separable,
  setRequiresGrad,
  setThreads,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { randomTensor, weighed } from '../spaces/numerical.ts'
import { makeBatch, supernetLogits, type Tiny, withTiny } from '../strategies/tiny.ts'
import { copies, statistics, testOtherInstructions } from './kernel-cases.ts'

const channels = 24
const counts = [1, 3, 7]
/** Weights of each kernel, in the order it takes them after x. */
const shapes = {
  spatial: [channels, 1, 5, 5],
  across: [channels, channels, 1, 1],
  parts: [channels, 2 * channels, 1, 1],
  three: [3],
}
type Kind = keyof typeof shapes

/** What an operator finds of the images x and its weights: value, moments, running statistics. */
type Compute = (x: Tensor, weights: readonly Tensor[], generator: Generator) => (Tensor | undefined)[]

const found = ({ x, moments }: Images, ...others: Tensor[]) => [x, moments, ...others]

const kernels: Readonly<Record<string, readonly [Kind[], Compute]>> = {
  'separable, stride 1': [
    ['spatial', 'across'],
    (x, [spatial, across]) =>
      found(separable({ x }, spatial, across, { stride: 1, dilation: 2, training: true })),
  ],
  'separable after a norm, stride 2': [
    ['spatial', 'across'],
    (x, [spatial, across], generator) => {
      const norm = statistics(channels, generator)
      const options = { stride: 2, dilation: 1, training: true, norm }
      return found(separable({ x }, spatial, across, options), norm.running_mean, norm.running_var)
    },
  ],
  relu_pointwise: [['parts'], (x, [weight]) => found(reluPointwise([x, mul(x, -1)], weight))],
  factorized_reduce: [
    ['across', 'across'],
    (x, [first, second]) => found(factorizedReduce([x], first, second)),
  ],
  mix: [
    ['three'],
    (x, [weights], generator) => {
      const norms = [statistics(channels, generator), undefined, statistics(channels, generator)]
      const y = mix([{ x }, { x: mul(x, 2) }, { x: mul(x, x) }], weights, norms, { training: true })
      return [y, ...norms.map((norm) => norm?.running_var)]
    },
  ],
  fan_out: [[], (x) => [copies(x, 3).reduce((product, handle) => mul(product, handle))]],
  'fan_out of convolutions': [
    ['spatial', 'across', 'spatial', 'across'],
    (x, [first, second, third, fourth]) => {
      const [a, b, c] = fanOut(x, [
        { spatial: first, pointwise: second, stride: 1, dilation: 2 },
        undefined,
        { spatial: third, pointwise: fourth, stride: 1, dilation: 1 },
      ])
      return [add(mul(a.x, c.x), b.x), a.moments, c.moments]
    },
  ],
  'max_pool3, stride 1': [[], (x) => [maxPool3(x, 1)]],
  'max_pool3, stride 2': [[], (x) => [maxPool3(x, 2)]],
  'avg_pool3, stride 1': [[], (x) => [avgPool3(x, 1)]],
  'avg_pool3, stride 2': [[], (x) => [avgPool3(x, 2)]],
}

/** Digests of tensors: what differs shows in a line. */
const digests = (tensors: readonly (Tensor | null | undefined)[]) =>
  tensors.map((tensor) => tensor && createHash('sha256').update(tensor.bytes()).digest('hex'))

/** Digests of everything that a kernel finds, gradients included. */
function digestsOf(count: number, kinds: readonly Kind[], compute: Compute) {
  return tidy(() => {
    const generator = new Generator(8, `${count}`)
    const x = randomTensor([count, channels, 6, 6], generator, 'float32')
    const weights = kinds.map((kind) => randomTensor(shapes[kind], generator, 'float32'))
    setRequiresGrad([x, ...weights], true)
    const values = compute(x, weights, generator)
    const [y] = values
    assert.ok(y)
    const gradients = grad(weighed(y, randomTensor(y.shape, generator, 'float32')), [x, ...weights])
    assert.ok(!gradients.includes(null))
    return digests([...values, ...gradients])
  })
}

/** Runs `body` with 1, 2 and 4 threads and asserts that it gives the same. */
function assertSame(body: () => unknown, what: string): void {
  const results = [1, 2, 4].map((threads) => {
    setThreads(threads)
    return body()
  })
  setThreads(1)
  for (const result of results.slice(1)) assert.deepEqual(result, results[0], what)
}

for (const [name, [kinds, compute]] of Object.entries(kernels))
  test(`${name}: the same for any number of threads`, () => {
    for (const count of counts) assertSame(() => digestsOf(count, kinds, compute), `${count} images`)
  })

test('one step of each optimizer is the same for any number of threads', () => {
  assertSame(
    () =>
      tidy(() => {
        const generator = new Generator(9)
        const random = () => [900, 1, 5000, 70].map((size) => randomTensor([size], generator, 'float32'))
        const [weights, gradients, first, second] = [
          random(),
          random(),
          random(),
          random().map((x) => mul(x, x)),
        ]
        const norm = call('ddsas::sgd_', weights, gradients, first, 0.1, 0.9, 0.01, 5)
        const steps = Tensor.from(Float64Array.of(3), [1])
        run('ddsas::adam_', weights, gradients, first, second, steps, 0.1, 0.5, 0.999, 1e-8, 0.01)
        return digests([norm, ...weights, ...first, ...second])
      }),
    'optimizers',
  )
})

test('without gradients: a weighted sum in evaluation mode is the same for any number of threads', () => {
  const evaluate = (count: number) => () =>
    tidy(() => {
      const generator = new Generator(8, `${count}`)
      const x = randomTensor([count, channels, 6, 6], generator, 'float32')
      const weights = randomTensor([1], generator, 'float32')
      return digests([
        noGrad(() => mix([{ x }], weights, [statistics(channels, generator)], { training: false })),
      ])
    })
  for (const count of counts) assertSame(evaluate(count), `${count} images`)
})

/** Loss and gradients of everything on one batch. In NCHW, as ATen's batch norm sums by threads in channels last. */
function pass({ supernet, strategy }: Tiny) {
  const { images, labels } = makeBatch(3)
  const leaves = new Map([...namedParameters(supernet), ...strategy.parameters()])
  setRequiresGrad([...leaves.values()], true)
  const contiguous = call('aten::contiguous', images, memoryFormats.contiguous)
  const loss = crossEntropy(supernetLogits(supernet, strategy, contiguous), labels)
  const gradients = grad(loss, [...leaves.values()])
  setRequiresGrad([...leaves.values()], false)
  return new Map([['loss', loss], ...[...leaves.keys()].map((name, i) => [name, gradients[i]] as const)])
}

/** oneDNN splits this gradient's sum over the threads. */
const stem = 'stem.0.weight'

test('a pass through a supernet, forward and backward, is the same for any number of threads, but for the stem', () => {
  withTiny({}, (tiny) => {
    tiny.strategy.openWindow()
    const stems: number[][] = []
    assertSame(
      () =>
        tidy(() => {
          const found = pass(tiny)
          stems.push([...(found.get(stem)?.floats() ?? [])])
          return [...found].map(([name, tensor]) => [name, name === stem || digests([tensor])])
        }),
      'supernet',
    )
    const [one, ...others] = stems
    const largest = Math.max(...one.map(Math.abs))
    assert.ok(largest > 0)
    for (const other of others)
      for (const [i, value] of other.entries()) assert.ok(Math.abs(value - one[i]) <= 1e-6 * largest, `${i}`)
  })
})

test('all of that was computed by our kernels', () => {
  const ran = Object.keys(kernelRuns()).filter((kernel) => !kernel.startsWith('augment/'))
  const names = [
    'separable',
    'fan_out',
    'max_pool3',
    'avg_pool3',
    'relu_pointwise',
    'factorized_reduce',
    'mix',
  ]
  const wanted = [...names, 'left_gradient'].map((kernel) => `${kernel}/${instructionSets().used}`)
  assert.deepEqual(ran.sort(), [...wanted, 'sgd_/grid', 'adam_/grid'].sort())
})

// GPUs' code multiplies matrices by ATen, which on a CPU may divide the work as there are threads
testOtherInstructions(import.meta.url, ['portable', 'avx2'])
