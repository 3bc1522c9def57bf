/** The eight operations of the DARTS space and the two that prepare a cell's inputs, with the published names. */
import { BatchNorm2d, Conv2d, type Maker, type Module } from '../nn/index.ts'
import {
  type Entry,
  fanOut,
  type Images,
  mix,
  mul,
  type Pooling,
  factorizedReduce as reduceImages,
  reluPointwise,
  type SeparableConvolution,
  separable,
  slice,
  type Tensor,
  tidy,
} from '../torch/index.ts'

/**
 * An operation on an edge: [n, c, h, w] -> [n, c, h / stride, w / stride], as what it begins with, a body and the batch norm
 * it ends with. All that begin at one state are computed together, and so are the norms of all operations into a node and
 * their weighted sum.
 */
export interface Operation extends Module {
  /** Absent where the operation reads its input as it is. */
  readonly entry?: Entry
  /** What follows its beginning. */
  body(x: Images, training: boolean): Images
  /** Absent where the operation ends without one. */
  readonly norm?: BatchNorm2d
}

export interface OperationOptions {
  readonly channels: number
  readonly stride: 1 | 2
  /** Trained scale and shift in the batch norms: true in networks to retrain, false in a supernet. */
  readonly affine: boolean
}

/** The whole operation on its own. */
export function applyOperation(operation: Operation, x: Tensor, training: boolean): Tensor {
  return tidy(() => {
    const [begun] = fanOut(x, [operation.entry])
    return finish(operation.body(begun, training), operation.norm, training)
  })
}

/** The norm a body is followed by; it goes by the moments found on the way. */
function finish(images: Images, norm: BatchNorm2d | undefined, training: boolean): Tensor {
  return norm === undefined ? images.x : mix([images], null, [norm.statistics], { training })
}

/** Zero; a supernet never runs it. */
function none({ stride }: OperationOptions): Operation {
  const thinned = (x: Tensor, dim: number) => slice(x, dim, 0, x.shape[dim], stride)
  return { body: ({ x }) => tidy(() => ({ x: mul(thinned(thinned(x, 2), 3), 0) })) }
}

/** 3x3 pooling; in a supernet (no affine norms) followed by a batch norm, as DARTS does. */
function pool(
  kind: Pooling['pool'],
  { channels, stride, affine }: OperationOptions,
  maker: Maker,
): Operation {
  const begun = { entry: { pool: kind, stride }, body: (images: Images) => images }
  if (affine) return begun
  const norm = new BatchNorm2d(channels, false, maker)
  return { ...begun, norm, children: { 1: norm } }
}

/** Halves the image: ReLU, then two 1x1 convolutions of stride 2, the second one pixel further, side by side. */
export function factorizedReduce(inputs: number, outputs: number, affine: boolean, maker: Maker): Reader {
  const half = Math.floor(outputs / 2)
  const children = {
    conv_1: new Conv2d(inputs, half, 1, { stride: 2 }, maker),
    conv_2: new Conv2d(inputs, outputs - half, 1, { stride: 2 }, maker),
    bn: new BatchNorm2d(outputs, affine, maker),
  }
  const { conv_1: first, conv_2: second, bn: norm } = children
  const read = (parts: readonly Tensor[]) =>
    reduceImages(parts, first.parameters.weight, second.parameters.weight)
  return { read, norm, children }
}

function skip({ channels, stride, affine }: OperationOptions, maker: Maker): Operation {
  if (stride === 1) return { body: (images) => images }
  const { read, ...rest } = factorizedReduce(channels, channels, affine, maker)
  return { body: ({ x }) => read([x]), ...rest }
}

/** Prepares a cell's input: the output of a cell before, as its nodes [n, c_i, h, w] that nobody concatenated. */
export interface Reader extends Module {
  read(parts: readonly Tensor[]): Images
  readonly norm: BatchNorm2d
}

/** Reads the output of a cell: [n, c_i, h, w] each -> [n, c, h', w']. */
export function applyReader(reader: Reader, parts: readonly Tensor[], training: boolean): Tensor {
  return tidy(() => finish(reader.read(parts), reader.norm, training))
}

/** ReLU, 1x1 convolution, batch norm. */
export function reluConvBn(inputs: number, outputs: number, affine: boolean, maker: Maker): Reader {
  const conv = new Conv2d(inputs, outputs, 1, {}, maker)
  const norm = new BatchNorm2d(outputs, affine, maker)
  const read = (parts: readonly Tensor[]) => reluPointwise(parts, conv.parameters.weight)
  return { read, norm, children: { op: { children: { 1: conv, 2: norm } } } }
}

/** Depthwise, then pointwise convolution, then batch norm: three positions of PyTorch's sequence after a ReLU. */
interface Stage {
  readonly spatial: Conv2d
  readonly pointwise: Conv2d
  readonly norm: BatchNorm2d
  readonly convolution: SeparableConvolution
}

function makeStage(
  kernel: number,
  stride: number,
  dilation: number,
  options: OperationOptions,
  maker: Maker,
): Stage {
  const { channels, affine } = options
  const padding = ((kernel - 1) / 2) * dilation
  const spatial = new Conv2d(
    channels,
    channels,
    kernel,
    { stride, padding, dilation, groups: channels },
    maker,
  )
  const pointwise = new Conv2d(channels, channels, 1, {}, maker)
  const norm = new BatchNorm2d(channels, affine, maker)
  const weights = { spatial: spatial.parameters.weight, pointwise: pointwise.parameters.weight }
  return { spatial, pointwise, norm, convolution: { ...weights, stride, dilation } }
}

/** A separable convolution, applied twice; the second time with stride 1. */
function sepConv(kernel: number, options: OperationOptions, maker: Maker): Operation {
  const first = makeStage(kernel, options.stride, 1, options, maker)
  const second = makeStage(kernel, 1, 1, options, maker)
  const between = first.norm
  const positions = { 1: first.spatial, 2: first.pointwise, 3: between }
  const children = { ...positions, 5: second.spatial, 6: second.pointwise, 7: second.norm }
  const { spatial, pointwise, ...shape } = second.convolution
  const body = (half: Images, training: boolean) =>
    separable(half, spatial, pointwise, { ...shape, norm: between.statistics, training })
  return { entry: first.convolution, body, norm: second.norm, children: { op: { children } } }
}

function dilConv(kernel: number, options: OperationOptions, maker: Maker): Operation {
  const stage = makeStage(kernel, options.stride, 2, options, maker)
  const children = { 1: stage.spatial, 2: stage.pointwise, 3: stage.norm }
  return {
    entry: stage.convolution,
    body: (images) => images,
    norm: stage.norm,
    children: { op: { children } },
  }
}

/** The one place where an operation is defined: its published name and how it is made. */
export const operations = {
  none,
  max_pool_3x3: (options, maker) => pool('max', options, maker),
  avg_pool_3x3: (options, maker) => pool('avg', options, maker),
  skip_connect: skip,
  sep_conv_3x3: (options, maker) => sepConv(3, options, maker),
  sep_conv_5x5: (options, maker) => sepConv(5, options, maker),
  dil_conv_3x3: (options, maker) => dilConv(3, options, maker),
  dil_conv_5x5: (options, maker) => dilConv(5, options, maker),
} as const satisfies Record<string, (options: OperationOptions, maker: Maker) => Operation>

export type OperationName = keyof typeof operations

/** Makes an operation by its published name. */
export function makeOperation(name: OperationName, options: OperationOptions, maker: Maker): Operation {
  return operations[name](options, maker)
}
