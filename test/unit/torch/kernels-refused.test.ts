/** Calls of our kernels that fit neither them nor ATen's operators: each is an error naming the operator and the shapes. */
import { test } from 'node:test'
import {
  avgPool3,
  call,
  callMany,
  type Dtype,
  factorizedReduce,
  fanOut,
  Generator,
  type Images,
  maxPool3,
  mix,
  type NormStatistics,
  reluPointwise,
  type SeparableOptions,
  separable,
  setThreads,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { coarse as coarseBy } from './kernel-cases.ts'

setThreads(1)

/** What does not fit, part of the message besides the operator, and the call. */
type Case = readonly [what: string, named: RegExp, use: () => unknown]

const coarse = (...shape: number[]) => coarseBy(shape, new Generator(11, `${shape}`))
const typed = (dtype: Dtype, ...shape: number[]) => to(coarse(...shape), { dtype })
const images = () => coarse(2, 4, 6, 6)
const across = () => coarse(4, 4, 1, 1)
const statistics = (channels: number): NormStatistics => ({
  running_mean: coarse(channels),
  running_var: coarse(channels),
})

interface SeparableParts extends Partial<SeparableOptions> {
  x?: Tensor
  spatial?: Tensor
  pointwise?: Tensor
  moments?: Tensor
}

/** A separable convolution that fits but for the parts given. */
function separated(parts: SeparableParts): Images {
  const { x = images(), spatial = coarse(4, 1, 3, 3), pointwise = across(), moments, ...options } = parts
  const how = { stride: 1, dilation: 1, training: true, ...options }
  return separable(moments ? { x, moments } : { x }, spatial, pointwise, how)
}

const separableCases: readonly Case[] = [
  ['depthwise weights of other channels', /\[5, 1, 3, 3\]/, () => separated({ spatial: coarse(5, 1, 3, 3) })],
  ['depthwise weights in 3 dimensions', /\[4, 3, 3\]/, () => separated({ spatial: coarse(4, 3, 3) })],
  ['weights that are not depthwise', /\[4, 4, 3, 3\]/, () => separated({ spatial: coarse(4, 4, 3, 3) })],
  ['depthwise weights of even size', /\[4, 1, 2, 2\]/, () => separated({ spatial: coarse(4, 1, 2, 2) })],
  [
    'pointwise weights of other channels',
    /\[4, 5, 1, 1\]/,
    () => separated({ pointwise: coarse(4, 5, 1, 1) }),
  ],
  ['pointwise weights 3 x 3', /\[4, 4, 3, 3\]/, () => separated({ pointwise: coarse(4, 4, 3, 3) })],
  ['stride 0', /\[2, 4, 6, 6\].* 0 and 1/, () => separated({ stride: 0 })],
  ['stride -1', /\[2, 4, 6, 6\].* -1 and 1/, () => separated({ stride: -1 })],
  ['dilation 0', /\[2, 4, 6, 6\].* 1 and 0/, () => separated({ dilation: 0 })],
  ['images in 3 dimensions', /\[4, 6, 6\]/, () => separated({ x: coarse(4, 6, 6) })],
  [
    'images without channels',
    /\[2, 0, 6, 6\]/,
    () => separated({ x: coarse(2, 0, 6, 6), spatial: coarse(0, 1, 3, 3), pointwise: coarse(4, 0, 1, 1) }),
  ],
  ['images of whole numbers', /Int\[2, 4, 6, 6\]/, () => separated({ x: typed('int32', 2, 4, 6, 6) })],
  [
    'weights in float64',
    /Double\[4, 4, 1, 1\]/,
    () => separated({ pointwise: typed('float64', 4, 4, 1, 1) }),
  ],
  ['statistics of fewer channels', /\[3\]/, () => separated({ norm: statistics(3) })],
  ['statistics of more channels', /\[9\]/, () => separated({ norm: statistics(9), training: false })],
  [
    'a mean and a variance of different channels',
    /\[9\]/,
    () => separated({ norm: { ...statistics(4), running_var: coarse(9) } }),
  ],
  ['moments of fewer channels', /\[2, 3\]/, () => separated({ norm: statistics(4), moments: coarse(2, 3) })],
  [
    'moments in float64',
    /Double\[2, 4\]/,
    () => separated({ norm: statistics(4), moments: typed('float64', 2, 4) }),
  ],
  [
    'a mean without a variance',
    /\[2, 4, 6, 6\]/,
    () => {
      const tensors = [images(), coarse(4, 1, 3, 3), across()]
      return callMany(
        'ddsas::separable',
        ...tensors,
        1,
        1,
        null,
        coarse(4),
        null,
        null,
        null,
        true,
        0.1,
        1e-5,
      )
    },
  ],
]

const pointwiseCases: readonly Case[] = [
  ['no parts', /\[4, 4, 1, 1\]/, () => reluPointwise([], across())],
  ['weights of other channels', /\[4, 5, 1, 1\]/, () => reluPointwise([images()], coarse(4, 5, 1, 1))],
  ['weights of the first part alone', /\[4, 4, 1, 1\]/, () => reluPointwise([images(), images()], across())],
  ['weights 3 x 3', /\[4, 4, 3, 3\]/, () => reluPointwise([images()], coarse(4, 4, 3, 3))],
  ['weights in 2 dimensions', /\[4, 4\]/, () => reluPointwise([images()], coarse(4, 4))],
  [
    'parts of different sizes',
    /\[2, 2, 5, 4\]/,
    () => reluPointwise([coarse(2, 2, 5, 5), coarse(2, 2, 5, 4)], across()),
  ],
  [
    'parts of different numbers',
    /\[3, 2, 5, 5\]/,
    () => reluPointwise([coarse(2, 2, 5, 5), coarse(3, 2, 5, 5)], across()),
  ],
  ['a part in 3 dimensions', /\[4, 6, 6\]/, () => reluPointwise([coarse(4, 6, 6)], across())],
  ['no channels', /\[4, 0, 1, 1\]/, () => reluPointwise([coarse(2, 0, 5, 5)], coarse(4, 0, 1, 1))],
  ['whole numbers', /Int\[2, 4, 6, 6\]/, () => reluPointwise([typed('int32', 2, 4, 6, 6)], across())],
]

const reduceCases: readonly Case[] = [
  ['no parts', /\[4, 4, 1, 1\]/, () => factorizedReduce([], across(), across())],
  ['images of odd size', /\[2, 4, 4, 5\]/, () => factorizedReduce([coarse(2, 4, 4, 5)], across(), across())],
  [
    'a second weight of other channels',
    /\[4, 5, 1, 1\]/,
    () => factorizedReduce([images()], across(), coarse(4, 5, 1, 1)),
  ],
  [
    'parts of different sizes',
    /\[2, 2, 4, 6\]/,
    () => factorizedReduce([coarse(2, 2, 4, 4), coarse(2, 2, 4, 6)], across(), across()),
  ],
  ['a part in 3 dimensions', /\[4, 6, 6\]/, () => factorizedReduce([coarse(4, 6, 6)], across(), across())],
  [
    'whole numbers',
    /Long\[2, 4, 6, 6\]/,
    () => factorizedReduce([typed('int64', 2, 4, 6, 6)], across(), across()),
  ],
]

/** A sum of terms, with norms for some. */
const sum = (xs: readonly Tensor[], weights: Tensor, norms: (NormStatistics | undefined)[]) =>
  mix(
    xs.map((x) => ({ x })),
    weights,
    norms,
    { training: true },
  )
const bare = [undefined, undefined]
const withMoments = (moments: Tensor) =>
  mix([{ x: images(), moments }], coarse(1), [statistics(4)], { training: true })
const halfNormed = (mean: Tensor | null, variance: Tensor | null) =>
  call('ddsas::mix', [images()], coarse(1), null, [null], [mean], [variance], [null], [null], true, 0.1, 1e-5)

const dropped = (kept: Tensor) => mix([{ x: images() }], null, [statistics(4)], { training: true, kept })

const mixCases: readonly Case[] = [
  ['a mask for other images', /\[1, 3\]/, () => dropped(coarse(1, 3))],
  [
    'a norm with a weight and no bias',
    /a weight and a bias, or neither/,
    () => sum([images()], coarse(1), [{ ...statistics(4), weight: coarse(4) }]),
  ],
  [
    'a norm with weights of other channels',
    /\[5\]/,
    () => sum([images()], coarse(1), [{ ...statistics(4), weight: coarse(5), bias: coarse(5) }]),
  ],
  ['no terms', /\[0\]/, () => sum([], coarse(0), [])],
  ['fewer weights than terms', /weights \[1\]/, () => sum([images(), images()], coarse(1), bare)],
  ['weights in 2 dimensions', /weights \[2, 1\]/, () => sum([images(), images()], coarse(2, 1), bare)],
  ['fewer norms than terms', /\[2, 4, 6, 6\]/, () => sum([images(), images()], coarse(2), [undefined])],
  [
    'terms of different channels',
    /\[2, 3, 6, 6\]/,
    () => sum([images(), coarse(2, 3, 6, 6)], coarse(2), bare),
  ],
  ['terms of different dimensions', /\[4, 6, 6\]/, () => sum([images(), coarse(4, 6, 6)], coarse(2), bare)],
  ['statistics of fewer channels', /\[3\]/, () => sum([images()], coarse(1), [statistics(3)])],
  ['statistics of more channels', /\[9\]/, () => sum([images()], coarse(1), [statistics(9)])],
  ['moments of fewer channels', /\[2, 3\]/, () => withMoments(coarse(2, 3))],
  ['moments in 1 dimension', /\[8\]/, () => withMoments(coarse(8))],
  ['a mean without a variance', /\[2, 4, 6, 6\]/, () => halfNormed(coarse(4), null)],
  ['a variance without a mean', /\[2, 4, 6, 6\]/, () => halfNormed(null, coarse(4))],
  [
    'a norm of whole numbers',
    /Int\[2, 4, 6, 6\]/,
    () => sum([typed('int32', 2, 4, 6, 6)], coarse(1), [statistics(4)]),
  ],
]

const poolCases = (pool: (x: Tensor, stride: number) => Tensor): readonly Case[] => [
  ['stride 0', /\[2, 4, 6, 6\]/, () => pool(images(), 0)],
  ['stride -1', /\[2, 4, 6, 6\]/, () => pool(images(), -1)],
  ['one dimension', /\[4\]/, () => pool(coarse(4), 1)],
  ['no channels', /\[2, 0, 5, 5\]/, () => pool(coarse(2, 0, 5, 5), 1)],
]

interface AugmentParts {
  x?: Tensor
  indices?: Tensor
  draws?: Tensor
  mean?: number[]
}

/** An augmentation of one image that fits but for the parts given. */
function augmented(parts: AugmentParts): Tensor {
  const { x = typed('uint8', 2, 3, 8, 8), indices = index(0) } = parts
  const { draws = typed('int32', 1, 5), mean = [0, 0, 0] } = parts
  return call('ddsas::augment', x, indices, draws, mean, [1, 1, 1], 4, 0)
}

const index = (value: number) => Tensor.from(BigInt64Array.of(BigInt(value)), [1])

const augmentCases: readonly Case[] = [
  ['images in 3 dimensions', /\[3, 8, 8\]/, () => augmented({ x: typed('uint8', 3, 8, 8) })],
  ['images in float32', /Float\[2, 3, 8, 8\]/, () => augmented({ x: coarse(2, 3, 8, 8) })],
  ['more draws than indices', /\[2, 5\]/, () => augmented({ draws: typed('int32', 2, 5) })],
  ['draws of other columns', /\[1, 4\]/, () => augmented({ draws: typed('int32', 1, 4) })],
  ['draws in float32', /Float\[1, 5\]/, () => augmented({ draws: coarse(1, 5) })],
  ['indices in 2 dimensions', /\[1, 1\]/, () => augmented({ indices: typed('int64', 1, 1) })],
  ['indices in int32', /Int\[1\]/, () => augmented({ indices: typed('int32', 1) })],
  ['an index of no image', /\[2, 3, 8, 8\].*index 2/, () => augmented({ indices: index(2) })],
  ['an index below zero', /\[2, 3, 8, 8\].*index -1/, () => augmented({ indices: index(-1) })],
  ['any index of no images', /\[0, 3, 8, 8\]/, () => augmented({ x: typed('uint8', 0, 3, 8, 8) })],
  ['a mean of fewer channels', /\[2, 3, 8, 8\]/, () => augmented({ mean: [0] })],
]

const fanOutCases: readonly Case[] = [
  [
    'a pooling of stride 0',
    /stride of at least 1, not 0/,
    () => fanOut(images(), [{ pool: 'max', stride: 0 }]),
  ],
  [
    'a negative count',
    /\[2, 4, 6, 6\].*not -1/,
    () => callMany('ddsas::fan_out', images(), -1, [], [], [], [], [], []),
  ],
  [
    'depthwise weights without pointwise ones',
    /each of 1 depthwise weights, not 0, 1 and 1/,
    () => callMany('ddsas::fan_out', images(), 0, [coarse(4, 1, 3, 3)], [], [1], [1], [], []),
  ],
  [
    'a convolution of other channels',
    /\[5, 1, 3, 3\]/,
    () => fanOut(images(), [{ spatial: coarse(5, 1, 3, 3), pointwise: across(), stride: 1, dilation: 1 }]),
  ],
]

const refused: Readonly<Record<string, readonly Case[]>> = {
  separable: separableCases,
  relu_pointwise: pointwiseCases,
  factorized_reduce: reduceCases,
  mix: mixCases,
  fan_out: fanOutCases,
  max_pool3: poolCases(maxPool3),
  avg_pool3: poolCases(avgPool3),
  augment: augmentCases,
}

for (const [operator, cases] of Object.entries(refused))
  for (const [what, named, use] of cases)
    test(`ddsas::${operator} refuses ${what}`, () => {
      tidy(() => assertRefuses(use, 'torch', new RegExp(`^ddsas::${operator}\\(`), named))
    })
