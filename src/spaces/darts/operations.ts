/** The eight operations of the DARTS space and the two that prepare a cell's inputs, with the published names. */
import { BatchNorm2d, Conv2d, type Maker, type Module } from '../../nn/index.ts'
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
} from '../../torch/index.ts'

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

/** What an operation computes: the rest of it, its costs too, follows from that. */
export type OperationKind =
  | { readonly type: 'none' | 'skip' }
  | { readonly type: 'pool'; readonly pool: Pooling['pool'] }
  /** A separable convolution applied twice (`sep`), or once with dilation 2 (`dil`). */
  | { readonly type: 'sep' | 'dil'; readonly kernel: number }

/** The operations by their published names. */
export const operations = {
  none: { type: 'none' },
  max_pool_3x3: { type: 'pool', pool: 'max' },
  avg_pool_3x3: { type: 'pool', pool: 'avg' },
  skip_connect: { type: 'skip' },
  sep_conv_3x3: { type: 'sep', kernel: 3 },
  sep_conv_5x5: { type: 'sep', kernel: 5 },
  dil_conv_3x3: { type: 'dil', kernel: 3 },
  dil_conv_5x5: { type: 'dil', kernel: 5 },
} as const satisfies Record<string, OperationKind>

export type OperationName = keyof typeof operations

export function operationKind(name: OperationName): OperationKind {
  return operations[name]
}

/** Makes an operation by its published name. */
export function makeOperation(name: OperationName, options: OperationOptions, maker: Maker): Operation {
  const kind = operationKind(name)
  switch (kind.type) {
    case 'none':
      return none(options)
    case 'skip':
      return skip(options, maker)
    case 'pool':
      return pool(kind.pool, options, maker)
    case 'sep':
      return sepConv(kind.kernel, options, maker)
    case 'dil':
      return dilConv(kind.kernel, options, maker)
  }
}
