/** The operators used here under PyTorch's names in camelCase; shapes are PyTorch's: images are [n, c, h, w]. */
import { DdsasError } from '../errors.ts'
import {
  type Argument,
  call,
  callMany,
  type Dtype,
  dtypes,
  memoryFormats,
  run,
  type Tensor,
} from './tensor.ts'

type Pair = readonly [number, number]

function pair(value: number | Pair): Pair {
  return typeof value === 'number' ? [value, value] : value
}

export interface ConvOptions {
  readonly bias?: Tensor
  readonly stride?: number | Pair
  readonly padding?: number | Pair
  readonly dilation?: number | Pair
  readonly groups?: number
}

/** x [n, c, h, w], weight [o, c / groups, kh, kw] -> [n, o, h', w']. */
export function conv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  const { bias, stride = 1, padding = 0, dilation = 1, groups = 1 } = options
  return call('aten::conv2d', x, weight, bias ?? null, pair(stride), pair(padding), pair(dilation), groups)
}

export interface BatchNormOptions {
  readonly weight?: Tensor
  readonly bias?: Tensor
  readonly runningMean: Tensor
  readonly runningVar: Tensor
  /** Normalise by the batch and update the running statistics, or normalise by the running statistics. */
  readonly training: boolean
  readonly momentum?: number | undefined
  readonly eps?: number
}

/** Normalises each channel of x [n, c, h, w]. */
export function batchNorm(x: Tensor, options: BatchNormOptions): Tensor {
  const { weight, bias, runningMean, runningVar, training, momentum = 0.1, eps = 1e-5 } = options
  return call(
    'aten::batch_norm',
    x,
    weight ?? null,
    bias ?? null,
    runningMean,
    runningVar,
    training,
    momentum,
    eps,
    true,
  )
}

export function relu(x: Tensor): Tensor {
  return call('aten::relu', x)
}

/** Images with the mean and variance of each channel [2, c], where the kernel that made them found those on its way. */
export interface Images {
  /** [n, c, h, w]. */
  readonly x: Tensor
  readonly moments?: Tensor
}

/** Running statistics of a batch norm [c], and the weight and bias of an affine one [c]. */
export interface NormStatistics {
  readonly running_mean: Tensor
  readonly running_var: Tensor
  readonly weight?: Tensor
  readonly bias?: Tensor
}

/** torch.nn.BatchNorm2d's defaults. */
const normDefaults = { momentum: 0.1, eps: 1e-5 }

export interface SeparableOptions {
  readonly stride: number
  readonly dilation: number
  /** A batch norm that comes before the ReLU. */
  readonly norm?: NormStatistics
  readonly training: boolean
}

/**
 * Depthwise, then 1x1 convolution of relu(x) or relu(norm(x)), in one pass: x [n, c, h, w], spatial [c, 1, k, k], pointwise
 * [o, c, 1, 1] -> [n, o, h / stride, w / stride]. k is 3 or 5, padded to keep the size at stride 1.
 */
export function separable(
  { x, moments }: Images,
  spatial: Tensor,
  pointwise: Tensor,
  options: SeparableOptions,
): Images {
  const { stride, dilation, norm, training } = options
  const { momentum, eps } = normDefaults
  const statistics = [norm?.running_mean, norm?.running_var, norm?.weight, norm?.bias]
  return withMoments(
    'ddsas::separable',
    x,
    spatial,
    pointwise,
    stride,
    dilation,
    norm ? (moments ?? null) : null,
    ...statistics.map((tensor) => tensor ?? null),
    training,
    momentum,
    eps,
  )
}

/** A 1x1 convolution of relu(x), x given as parts [n, c_i, h, w] that need not lie together: weight [o, sum c_i, 1, 1]. */
export function reluPointwise(parts: readonly Tensor[], weight: Tensor): Images {
  return withMoments('ddsas::relu_pointwise', parts, weight)
}

/**
 * Halves images after a ReLU: a 1x1 convolution of every second pixel, and one of those one further in both directions,
 * side by side. Parts as in `reluPointwise`; weights [o, sum c_i, 1, 1].
 */
export function factorizedReduce(parts: readonly Tensor[], first: Tensor, second: Tensor): Images {
  return withMoments('ddsas::factorized_reduce', parts, first, second)
}

function withMoments(name: string, ...args: Argument[]): Images {
  const [x, moments] = callMany(name, ...args)
  return imagesOf(name, x, moments)
}

/** What an operator returned, if it was something. */
function imagesOf(name: string, x: Tensor | null | undefined, moments?: Tensor | null): Images {
  if (!x) throw new DdsasError('torch', `${name} returned nothing`)
  return moments ? { x, moments } : { x }
}

/** Depthwise, then 1x1 convolution of relu(x): spatial [c, 1, k, k], pointwise [o, c, 1, 1]. */
export interface SeparableConvolution {
  readonly spatial: Tensor
  readonly pointwise: Tensor
  readonly stride: number
  readonly dilation: number
}

/** A 3x3 pooling with padding 1. */
export interface Pooling {
  readonly pool: 'max' | 'avg'
  readonly stride: number
}

/** What a reader of a tensor takes: a separable convolution of it, a pooling of it, or, undefined, the tensor itself. */
export type Entry = SeparableConvolution | Pooling | undefined

/**
 * What each reader of x takes, in their order. All are computed in one pass, poolings that are the same once, and all
 * gradients that come back are added in one.
 */
export function fanOut(x: Tensor, readers: readonly Entry[]): Images[] {
  const convolutions = readers.filter((by) => by !== undefined && 'spatial' in by)
  const column = <K extends keyof SeparableConvolution>(name: K) => convolutions.map((by) => by[name])
  const strides = (kind: Pooling['pool']) =>
    readers.flatMap((by) => (by !== undefined && 'pool' in by && by.pool === kind ? [by.stride] : []))
  const weights = [column('spatial'), column('pointwise'), column('stride'), column('dilation')]
  const pools = [strides('max'), strides('avg')]
  const copies = readers.length - convolutions.length - pools[0].length - pools[1].length
  const found = callMany('ddsas::fan_out', x, copies, ...weights, ...pools)
  // first the copies, then the results kind by kind, then their moments
  const computed = readers.length - copies
  const next = { copy: 0, convolution: copies, max: 0, avg: 0 }
  next.max = next.convolution + convolutions.length
  next.avg = next.max + pools[0].length
  return readers.map((by) => {
    if (by === undefined) return imagesOf('ddsas::fan_out', found[next.copy++])
    const own = next['pool' in by ? by.pool : 'convolution']++
    return imagesOf('ddsas::fan_out', found[own], found[own + computed])
  })
}

/** 3x3 maximum with padding 1. */
export function maxPool3(x: Tensor, stride: number): Tensor {
  return call('ddsas::max_pool3', x, stride)
}

/** 3x3 average with padding 1, over the pixels of the image alone. */
export function avgPool3(x: Tensor, stride: number): Tensor {
  return call('ddsas::avg_pool3', x, stride)
}

export interface MixOptions {
  readonly training: boolean
  /** float32 [terms, n]: what is kept of each term in each image, as drop-path draws it; all where absent. */
  readonly kept?: Tensor
}

/**
 * The sum over k of weights[k] norm_k(xs[k]): images of one shape, weights [k] or null for ones; a term without a norm
 * enters as it is. Updates the running statistics in training.
 */
export function mix(
  terms: readonly Images[],
  weights: Tensor | null,
  norms: readonly (NormStatistics | undefined)[],
  { training, kept }: MixOptions,
): Tensor {
  const moments = terms.map((term) => term.moments ?? null)
  const of = (part: keyof NormStatistics) => norms.map((norm) => norm?.[part] ?? null)
  const parts = [of('running_mean'), of('running_var'), of('weight'), of('bias')]
  const { momentum, eps } = normDefaults
  const xs = terms.map((term) => term.x)
  return call('ddsas::mix', xs, weights, kept ?? null, moments, ...parts, training, momentum, eps)
}

/** 3x3 as DARTS pools: padding 1. */
export function maxPool2d(x: Tensor, kernel: number, stride: number, padding: number): Tensor {
  return call('aten::max_pool2d', x, pair(kernel), pair(stride), pair(padding))
}

/** Average over the pixels of the image alone: the padding does not count. */
export function avgPool2d(x: Tensor, kernel: number, stride: number, padding: number): Tensor {
  return call('aten::avg_pool2d', x, pair(kernel), pair(stride), pair(padding), false, false)
}

/** [n, c, h, w] -> [n, c, 1, 1]: the mean of each channel. */
export function globalAvgPool2d(x: Tensor): Tensor {
  return call('aten::mean.dim', x, [2, 3], true)
}

/** x [n, c, h, w]: channel j of group g of `groups` comes to place j groups + g; the result lies in memory by pixels (NHWC). */
export function channelShuffle(x: Tensor, groups: number): Tensor {
  const [n, c, h, w] = x.shape
  const pixels = call('aten::reshape', call('aten::permute', x, [0, 2, 3, 1]), [n, h, w, groups, c / groups])
  const shuffled = call('aten::reshape', call('aten::transpose.int', pixels, 3, 4), [n, h, w, c])
  return call('aten::permute', shuffled, [0, 3, 1, 2])
}

/** x [n, i], weight [o, i], bias [o] -> [n, o]. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  return call('aten::linear', x, weight, bias ?? null)
}

/**
 * Mean cross entropy of logits [n, classes] and int64 labels [n]; `smoothing` is the part of each target that is spread
 * evenly over all classes.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, smoothing = 0): Tensor {
  const [mean, noIndexIgnored] = [1, -100]
  return call('aten::cross_entropy_loss', logits, labels, null, mean, noIndexIgnored, smoothing)
}

export function cat(tensors: readonly Tensor[], dim: number): Tensor {
  return call('aten::cat', tensors, dim)
}

export function add(a: Tensor, b: Tensor): Tensor {
  return call('aten::add.Tensor', a, b)
}

export function mul(a: Tensor, b: Tensor | number): Tensor {
  return typeof b === 'number' ? call('aten::mul.Scalar', a, b) : call('aten::mul.Tensor', a, b)
}

export function div(a: Tensor, b: Tensor): Tensor {
  return call('aten::div.Tensor', a, b)
}

export function sum(x: Tensor, dims?: readonly number[], keepDim = false): Tensor {
  return dims ? call('aten::sum.dim_IntList', x, dims, keepDim) : call('aten::sum', x)
}

export function sigmoid(x: Tensor): Tensor {
  return call('aten::sigmoid', x)
}

export function softmax(x: Tensor, dim: number): Tensor {
  return call('aten::softmax.int', x, dim)
}

export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  return call('aten::masked_fill.Scalar', x, mask, value)
}

export function logicalNot(mask: Tensor): Tensor {
  return call('aten::logical_not', mask)
}

export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  return call('aten::reshape', x, shape)
}

export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  return call('aten::index_select', x, dim, index)
}

/** Every `step`-th element from start to end (exclusive) along a dimension. */
export function slice(x: Tensor, dim: number, start: number, end: number, step = 1): Tensor {
  return call('aten::slice.Tensor', x, dim, start, end, step)
}

export function argmax(x: Tensor, dim: number): Tensor {
  return call('aten::argmax', x, dim)
}

/** How many of the predictions (largest logit of each row) equal the labels; a tensor, so that it need not be waited for. */
export function countCorrect(logits: Tensor, labels: Tensor): Tensor {
  return call('aten::sum', call('aten::eq.Tensor', argmax(logits, 1), labels))
}

export function detach(x: Tensor): Tensor {
  return call('aten::detach', x)
}

export function clone(x: Tensor): Tensor {
  return call('aten::clone', x)
}

export function zerosLike(x: Tensor): Tensor {
  return call('aten::zeros_like', x)
}

/** A tensor with a shape and no data: enough to count and name what would be there. */
export function emptyMeta(shape: readonly number[], dtype: Dtype): Tensor {
  return call('aten::empty.memory_format', shape, dtypes[dtype], null, 'meta')
}

/** A copy on another device or of another element type. One to a GPU is not waited for. */
export function to(x: Tensor, target: { device?: string; dtype?: Dtype }): Tensor {
  const dtype = target.dtype === undefined ? null : dtypes[target.dtype]
  const { device = null } = target
  return call('aten::_to_copy', x, dtype, null, device, null, device !== null && device !== 'cpu')
}

/** x, or a copy of it on another device. */
export function onDevice(x: Tensor, device: string): Tensor {
  return x.device === device ? x : to(x, { device })
}

/** x, or a copy of it with the element type of `like`. */
export function typeAs(x: Tensor, like: Tensor): Tensor {
  return x.dtype === like.dtype ? x : to(x, { dtype: like.dtype })
}

/** The same elements with channels innermost in memory (NHWC). */
export function channelsLast(x: Tensor): Tensor {
  return call('aten::contiguous', x, memoryFormats.channelsLast)
}

export function contiguous(x: Tensor): Tensor {
  return call('aten::contiguous', x, memoryFormats.contiguous)
}

/** Sets every element. */
export function fillWith(target: Tensor, value: number): void {
  run('aten::fill_.Scalar', target, value)
}

/** Scalars as one vector, float64 [count]: one transfer for all of them. */
export function stackScalars(values: readonly Tensor[]): Tensor {
  return call(
    'aten::stack',
    values.map((value) => to(value, { dtype: 'float64' })),
    0,
  )
}

/** Overwrites `target` with the elements of `source`. */
export function copy(target: Tensor, source: Tensor): void {
  run('aten::copy_', target, source)
}
