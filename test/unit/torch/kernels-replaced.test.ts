/** Calls that no kernel was written for, but ATen's operators can do: those take over, and are right in all gradients. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  avgPool2d,
  avgPool3,
  batchNorm,
  call,
  cat,
  conv2d,
  fanOut,
  Generator,
  maxPool2d,
  maxPool3,
  mix,
  mul,
  type NormStatistics,
  relu,
  reluPointwise,
  separable,
  setThreads,
  slice,
  type Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { coarse as coarseBy, compare, copies, type Operator } from './kernel-cases.ts'

setThreads(1)

/** The kernel that is replaced, what it is, the operator, the oracle in float64, and the inputs. */
type Case = readonly [kernel: string, what: string, own: Operator, oracle: Operator, inputs: () => Tensor[]]

const coarse = (...shape: number[]) => coarseBy(shape, new Generator(11, `${shape}`))
const usual = { stride: 1, dilation: 1, training: true }

/** A depthwise convolution of four channels by rows x columns taps, and a pointwise one, by ATen. */
function composed(rows: number, columns: number, stride = 1, dilation = 1): Operator {
  const padding = [rows, columns].map((taps) => (dilation * (taps - 1)) / 2)
  return (x, s, p) => {
    const pair = (n: number) => [n, n]
    return conv2d(call('aten::conv2d', relu(x), s, null, pair(stride), padding, pair(dilation), 4), p)
  }
}

function windows(rows: number, columns: number, stride: number, dilation: number, images = 2): Case {
  const what = `${images} images, ${rows} x ${columns} taps, stride ${stride}, dilation ${dilation}`
  const own: Operator = (x, s, p) => separable({ x }, s, p, { stride, dilation, training: true }).x
  const inputs = () => [coarse(images, 4, 9, 7), coarse(4, 1, rows, columns), coarse(3, 4, 1, 1)]
  return ['separable', what, own, composed(rows, columns, stride, dilation), inputs]
}

/** Statistics of which every second number counts: they do not lie side by side. */
function spreadStatistics(channels: number): NormStatistics {
  const half = (x: Tensor) => slice(x, 0, 0, 2 * channels, 2)
  const running_var = call('aten::exp', coarse(2 * channels))
  return { running_mean: half(coarse(2 * channels)), running_var: half(running_var) }
}

function normalised(x: Tensor, training: boolean): Tensor {
  const { running_mean, running_var } = spreadStatistics(4)
  const precise = (statistic: Tensor) => to(statistic, { dtype: 'float64' })
  return batchNorm(x, { runningMean: precise(running_mean), runningVar: precise(running_var), training })
}

const sum: Operator = (w, a, b) => mix([{ x: a }, { x: b }], w, [undefined, undefined], { training: true })
const added: Operator = (w, a, b) =>
  call('aten::add.Tensor', mul(a, slice(w, 0, 0, 1)), mul(b, slice(w, 0, 1, 2)))

const cases: readonly Case[] = [
  windows(7, 7, 1, 1),
  windows(1, 1, 1, 1),
  windows(3, 5, 1, 1),
  windows(3, 3, 3, 1),
  windows(5, 5, 1, 3),
  windows(3, 3, 1, 1, 0),
  ...[true, false].map(
    (training): Case => [
      'separable',
      `a norm whose statistics do not lie side by side, before a separable convolution, ${training}`,
      (x, s, p) => separable({ x }, s, p, { ...usual, training, norm: spreadStatistics(4) }).x,
      (x, s, p) => composed(3, 3)(normalised(x, training), s, p),
      () => [coarse(2, 4, 6, 6), coarse(4, 1, 3, 3), coarse(4, 4, 1, 1)],
    ],
  ),
  [
    'mix',
    'a norm whose statistics do not lie side by side, in a weighted sum',
    (w, x) => mix([{ x }], w, [spreadStatistics(4)], { training: true }),
    (w, x) => mul(normalised(x, true), w),
    () => [coarse(1), coarse(2, 4, 6, 6)],
  ],
  ['mix', 'a sum in 3 dimensions', sum, added, () => [coarse(2), coarse(4, 3, 5), coarse(4, 3, 5)]],
  ['mix', 'a sum of no images', sum, added, () => [coarse(2), coarse(0, 3, 5, 5), coarse(0, 3, 5, 5)]],
  ['mix', 'a sum of no channels', sum, added, () => [coarse(2), coarse(2, 0, 5, 5), coarse(2, 0, 5, 5)]],
  [
    'relu_pointwise',
    'a pointwise convolution of no images',
    (w, x) => reluPointwise([x], w).x,
    (w, x) => conv2d(relu(x), w),
    () => [coarse(3, 4, 1, 1), coarse(0, 4, 5, 5)],
  ],
  [
    'relu_pointwise',
    'a pointwise convolution of a part without channels',
    (w, x, y) => reluPointwise([x, y], w).x,
    (w, x, y) => conv2d(relu(cat([x, y], 1)), w),
    () => [coarse(3, 4, 1, 1), coarse(2, 0, 5, 5), coarse(2, 4, 5, 5)],
  ],
  ...[[4, 3, 5], [4], [0, 3, 5, 5], [2, 0, 5, 5]].map(
    (shape): Case => [
      'fan_out',
      `three readers of [${shape}]`,
      (x) => cat(copies(x, 3), 0),
      (x) => cat([x, x, x], 0),
      () => [coarse(...shape)],
    ],
  ),
  ...[
    { stride: 3, shape: [2, 3, 7, 8] },
    { stride: 1, shape: [3, 7, 8] },
    { stride: 2, shape: [0, 3, 7, 8] },
  ].flatMap(({ stride, shape }): Case[] => [
    [
      'max_pool3',
      `the maximum of [${shape}], stride ${stride}`,
      (x) => maxPool3(x, stride),
      (x) => maxPool2d(x, 3, stride, 1),
      () => [coarse(...shape)],
    ],
    [
      'avg_pool3',
      `the average of [${shape}], stride ${stride}`,
      (x) => avgPool3(x, stride),
      (x) => avgPool2d(x, 3, stride, 1),
      () => [coarse(...shape)],
    ],
  ]),
]

for (const [kernel, what, own, oracle, inputs] of cases)
  test(`ATen takes over ${kernel}: ${what}`, () => {
    tidy(() => compare(own, oracle, inputs(), 1e-5, what, [`${kernel}/aten`]))
  })

test('whole numbers are handed out as they are, and to no reader', () => {
  tidy(() => {
    const x = to(coarse(2, 4, 5, 5), { dtype: 'int64' })
    const handles = copies(x, 3)
    assert.deepEqual(
      handles.map((handle) => handle.bytes()),
      Array(3).fill(x.bytes()),
    )
    assert.deepEqual(fanOut(x, []), [])
  })
})

test('a batch of no images is augmented to one', () => {
  tidy(() => {
    const images = to(coarse(2, 3, 8, 8), { dtype: 'uint8' })
    const [indices, draws] = [to(coarse(0), { dtype: 'int64' }), to(coarse(0, 5), { dtype: 'int32' })]
    const result = call('ddsas::augment', images, indices, draws, [0, 0, 0], [1, 1, 1], 4, 0)
    assert.deepEqual(result.shape, [0, 3, 8, 8])
  })
})
