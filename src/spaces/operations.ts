/** The eight operations of the DARTS space and the two that prepare a cell's inputs, with the published names. */
import { BatchNorm2d, Conv2d, type Layer, type Maker, reluLayer, Sequential } from '../nn/index.ts'
import { avgPool2d, cat, maxPool2d, mul, relu, slice, type Tensor, tidy } from '../torch/index.ts'

/**
 * An operation on an edge: [n, c, h, w] -> [n, c, h / stride, w / stride]. One that begins with a ReLU takes its input
 * *after* that ReLU, so that a node's ReLU is computed once for all operations that read the node.
 */
export interface Operation extends Layer {
  readonly readsRelu: boolean
}

export interface OperationOptions {
  readonly channels: number
  readonly stride: 1 | 2
  /** Trained scale and shift in the batch norms: true in networks to retrain, false in a supernet. */
  readonly affine: boolean
}

/** Zero; a supernet never runs it. */
function none({ stride }: OperationOptions): Operation {
  const keepEvery = (x: Tensor, dim: number) => slice(x, dim, 0, x.shape[dim], stride)
  return { readsRelu: false, forward: (x) => tidy(() => mul(keepEvery(keepEvery(x, 2), 3), 0)) }
}

/** 3x3 pooling; in a supernet (no affine norms) followed by a batch norm, as DARTS does. */
function pool(
  kind: typeof maxPool2d,
  { channels, stride, affine }: OperationOptions,
  maker: Maker,
): Operation {
  const layer: Layer = { forward: (x) => kind(x, 3, stride, 1) }
  if (affine) return { readsRelu: false, ...layer }
  const sequence = new Sequential([layer, new BatchNorm2d(channels, false, maker)])
  return {
    readsRelu: false,
    children: sequence.children,
    forward: (x, training) => sequence.forward(x, training),
  }
}

/** Halves the image: two 1x1 convolutions of stride 2, the second one pixel further, side by side; x after its ReLU. */
export function factorizedReduce(inputs: number, outputs: number, affine: boolean, maker: Maker): Operation {
  const half = Math.floor(outputs / 2)
  const children = {
    conv_1: new Conv2d(inputs, half, 1, { stride: 2 }, maker),
    conv_2: new Conv2d(inputs, outputs - half, 1, { stride: 2 }, maker),
    bn: new BatchNorm2d(outputs, affine, maker),
  }
  const shifted = (x: Tensor) => slice(slice(x, 2, 1, x.shape[2]), 3, 1, x.shape[3])
  return {
    readsRelu: true,
    children,
    forward: (x, training) =>
      tidy(() => {
        const halves = [children.conv_1.forward(x), children.conv_2.forward(shifted(x))]
        return children.bn.forward(cat(halves, 1), training)
      }),
  }
}

function skip({ channels, stride, affine }: OperationOptions, maker: Maker): Operation {
  if (stride === 2) return factorizedReduce(channels, channels, affine, maker)
  return { readsRelu: false, forward: (x) => x }
}

/** A sequence that in PyTorch is `op` with a ReLU at position 0, which the caller has applied already. */
function afterRelu(layers: readonly Layer[]): Operation {
  const op = new Sequential(layers, 1)
  return { readsRelu: true, children: { op }, forward: (x, training) => op.forward(x, training) }
}

/** ReLU, convolution, batch norm: prepares a cell's input. */
export function reluConvBn(inputs: number, outputs: number, affine: boolean, maker: Maker): Operation {
  return afterRelu([new Conv2d(inputs, outputs, 1, {}, maker), new BatchNorm2d(outputs, affine, maker)])
}

/** Depthwise, then pointwise convolution, then batch norm. */
function depthwise(
  kernel: number,
  dilation: number,
  stride: number,
  options: OperationOptions,
  maker: Maker,
): Layer[] {
  const { channels, affine } = options
  const padding = ((kernel - 1) / 2) * dilation
  return [
    new Conv2d(channels, channels, kernel, { stride, padding, dilation, groups: channels }, maker),
    new Conv2d(channels, channels, 1, {}, maker),
    new BatchNorm2d(channels, affine, maker),
  ]
}

/** A separable convolution, applied twice; the second time with stride 1. */
function separable(kernel: number, options: OperationOptions, maker: Maker): Operation {
  const once = depthwise(kernel, 1, options.stride, options, maker)
  return afterRelu([...once, reluLayer, ...depthwise(kernel, 1, 1, options, maker)])
}

function dilated(kernel: number, options: OperationOptions, maker: Maker): Operation {
  return afterRelu(depthwise(kernel, 2, options.stride, options, maker))
}

/** The one place where an operation is defined: its published name and how it is made. */
export const operations = {
  none,
  max_pool_3x3: (options, maker) => pool(maxPool2d, options, maker),
  avg_pool_3x3: (options, maker) => pool(avgPool2d, options, maker),
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

/** Applies an operation that stands alone, where no other reads the same input: with the ReLU it begins with. */
export function applyOperation(operation: Operation, x: Tensor, training: boolean): Tensor {
  return tidy(() => operation.forward(operation.readsRelu ? relu(x) : x, training))
}
