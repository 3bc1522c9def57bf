/** The eight operations of the DARTS space and the two that prepare a cell's inputs, with the published names. */
import { BatchNorm2d, Conv2d, type Layer, type Maker, type Module, ReluDepthwise } from '../nn/index.ts'
import { avgPool3, cat, maxPool3, mul, relu, slice, type Tensor, tidy } from '../torch/index.ts'

/**
 * An operation on an edge: [n, c, h, w] -> [n, c, h / stride, w / stride], as a body and the batch norm it ends with. A
 * supernet computes the norms of all operations into a node together with their weighted sum.
 */
export interface Operation extends Module {
  /** Whether `body` takes its input after a ReLU, which the caller then computes once for all that read a node. */
  readonly readsRelu?: boolean
  body(x: Tensor, training: boolean): Tensor
  /** Absent where the operation ends without one. */
  readonly norm?: BatchNorm2d
}

export interface OperationOptions {
  readonly channels: number
  readonly stride: 1 | 2
  /** Trained scale and shift in the batch norms: true in networks to retrain, false in a supernet. */
  readonly affine: boolean
}

/** Body and norm, on an input that is after its ReLU where the body reads one. */
export function applyAfterRelu(operation: Operation, x: Tensor, training: boolean): Tensor {
  return tidy(() => {
    const y = operation.body(x, training)
    return operation.norm ? operation.norm.forward(y, training) : y
  })
}

/** The whole operation on its own: [n, c, h, w] -> [n, c, h / stride, w / stride]. */
export function applyOperation(operation: Operation, x: Tensor, training: boolean): Tensor {
  return tidy(() => applyAfterRelu(operation, operation.readsRelu ? relu(x) : x, training))
}

/** Zero; a supernet never runs it. */
function none({ stride }: OperationOptions): Operation {
  const thinned = (x: Tensor, dim: number) => slice(x, dim, 0, x.shape[dim], stride)
  return { body: (x) => tidy(() => mul(thinned(thinned(x, 2), 3), 0)) }
}

/** 3x3 pooling; in a supernet (no affine norms) followed by a batch norm, as DARTS does. */
function pool(
  kind: typeof maxPool3,
  { channels, stride, affine }: OperationOptions,
  maker: Maker,
): Operation {
  const body = (x: Tensor) => kind(x, stride)
  if (affine) return { body }
  const norm = new BatchNorm2d(channels, false, maker)
  return { body, norm, children: { 1: norm } }
}

/** Halves the image: two 1x1 convolutions of stride 2, the second one pixel further, side by side. */
export function factorizedReduce(inputs: number, outputs: number, affine: boolean, maker: Maker): Operation {
  const half = Math.floor(outputs / 2)
  const children = {
    conv_1: new Conv2d(inputs, half, 1, { stride: 2 }, maker),
    conv_2: new Conv2d(inputs, outputs - half, 1, { stride: 2 }, maker),
    bn: new BatchNorm2d(outputs, affine, maker),
  }
  const shifted = (x: Tensor) => slice(slice(x, 2, 1, x.shape[2]), 3, 1, x.shape[3])
  const body = (x: Tensor) =>
    tidy(() => cat([children.conv_1.forward(x), children.conv_2.forward(shifted(x))], 1))
  return { readsRelu: true, body, norm: children.bn, children }
}

function skip({ channels, stride, affine }: OperationOptions, maker: Maker): Operation {
  if (stride === 2) return factorizedReduce(channels, channels, affine, maker)
  return { body: (x) => x }
}

/** ReLU, 1x1 convolution, batch norm: prepares a cell's input. */
export function reluConvBn(inputs: number, outputs: number, affine: boolean, maker: Maker): Operation {
  const conv = new Conv2d(inputs, outputs, 1, {}, maker)
  const norm = new BatchNorm2d(outputs, affine, maker)
  return {
    readsRelu: true,
    body: (x) => conv.forward(x),
    norm,
    children: { op: { children: { 1: conv, 2: norm } } },
  }
}

/** One layer after the other. */
function chain(layers: readonly Layer[]): Operation['body'] {
  return (x, training) => tidy(() => layers.reduce((value, layer) => layer.forward(value, training), x))
}

/** ReLU with depthwise, then pointwise convolution, then batch norm: positions 1 to 3 of PyTorch's sequence. */
function depthwise(
  kernel: number,
  stride: number,
  dilation: number,
  options: OperationOptions,
  maker: Maker,
) {
  const { channels, affine } = options
  const spatial = new ReluDepthwise(channels, kernel, { stride, dilation }, maker)
  const pointwise = new Conv2d(channels, channels, 1, {}, maker)
  return { spatial, pointwise, norm: new BatchNorm2d(channels, affine, maker) }
}

/** A separable convolution, applied twice; the second time with stride 1. */
function separable(kernel: number, options: OperationOptions, maker: Maker): Operation {
  const first = depthwise(kernel, options.stride, 1, options, maker)
  const second = depthwise(kernel, 1, 1, options, maker)
  const positions = { 1: first.spatial, 2: first.pointwise, 3: first.norm }
  const children = { ...positions, 5: second.spatial, 6: second.pointwise, 7: second.norm }
  const body = chain([first.spatial, first.pointwise, first.norm, second.spatial, second.pointwise])
  return { body, norm: second.norm, children: { op: { children } } }
}

function dilated(kernel: number, options: OperationOptions, maker: Maker): Operation {
  const { spatial, pointwise, norm } = depthwise(kernel, options.stride, 2, options, maker)
  return {
    body: chain([spatial, pointwise]),
    norm,
    children: { op: { children: { 1: spatial, 2: pointwise, 3: norm } } },
  }
}

/** The one place where an operation is defined: its published name and how it is made. */
export const operations = {
  none,
  max_pool_3x3: (options, maker) => pool(maxPool3, options, maker),
  avg_pool_3x3: (options, maker) => pool(avgPool3, options, maker),
  skip_connect: skip,
  sep_conv_3x3: (options, maker) => separable(3, options, maker),
  sep_conv_5x5: (options, maker) => separable(5, options, maker),
  dil_conv_3x3: (options, maker) => dilated(3, options, maker),
  dil_conv_5x5: (options, maker) => dilated(5, options, maker),
} as const satisfies Record<string, (options: OperationOptions, maker: Maker) => Operation>

export type OperationName = keyof typeof operations

/** Makes an operation by its published name. */
export function makeOperation(name: OperationName, options: OperationOptions, maker: Maker): Operation {
  return operations[name](options, maker)
}
