/** The eight operations of the DARTS space and the two that prepare a cell's inputs, with the published names. */
import {
  batchNorm2d,
  concat,
  conv2d,
  functional,
  type Layer,
  pool2d,
  relu,
  type Sequence,
  sequential,
  shift,
  zero,
} from '../../nn/index.ts'

export interface OperationOptions {
  readonly channels: number
  readonly stride: 1 | 2
  /** Trained scale and shift in the batch norms: true in networks to retrain, false in a supernet. */
  readonly affine: boolean
}

/** An operation on an edge: layers that map [n, c, h, w] -> [n, c, h / stride, w / stride]. */
export type Operation = (options: OperationOptions) => Sequence

/** ReLU, depthwise convolution, convolution across channels, batch norm. */
function separable(
  kernel: number,
  dilation: number,
  { channels, stride, affine }: OperationOptions,
): Layer[] {
  return [
    relu,
    conv2d(channels, channels, kernel, { stride, dilation, groups: channels }),
    conv2d(channels, channels, 1),
    batchNorm2d(channels, affine),
  ]
}

/** A separable convolution, applied twice; the second time with stride 1. */
const sepConv =
  (kernel: number): Operation =>
  (options) =>
    sequential('op', [...separable(kernel, 1, options), ...separable(kernel, 1, { ...options, stride: 1 })])

/** A separable convolution over every second pixel. */
const dilConv =
  (kernel: number): Operation =>
  (options) =>
    sequential('op', separable(kernel, 2, options))

/** 3x3 pooling; in a supernet (no affine norms) followed by a batch norm, as DARTS does. */
const pool =
  (kind: 'max' | 'avg'): Operation =>
  ({ channels, stride, affine }) =>
    affine
      ? [functional(pool2d(kind, stride))]
      : sequential('', [pool2d(kind, stride), batchNorm2d(channels, false)])

/** Halves the image: ReLU, then two 1x1 convolutions of stride 2, the second one pixel further, side by side. */
export function factorizedReduce(inputs: number, outputs: number, affine: boolean): Sequence {
  const half = Math.floor(outputs / 2)
  const straight = { name: 'conv_1', layer: conv2d(inputs, half, 1, { stride: 2 }) }
  const shifted = { name: 'conv_2', layer: conv2d(inputs, outputs - half, 1, { stride: 2 }) }
  return [
    functional(relu),
    functional(concat([[straight], [functional(shift), shifted]])),
    { name: 'bn', layer: batchNorm2d(outputs, affine) },
  ]
}

/** ReLU, 1x1 convolution, batch norm. */
export function reluConvBn(inputs: number, outputs: number, affine: boolean): Sequence {
  return sequential('op', [relu, conv2d(inputs, outputs, 1), batchNorm2d(outputs, affine)])
}

/** The operations by their published names. */
export const operations = {
  none: ({ stride }) => [functional(zero(stride))],
  max_pool_3x3: pool('max'),
  avg_pool_3x3: pool('avg'),
  skip_connect: ({ channels, stride, affine }) =>
    stride === 1 ? [] : factorizedReduce(channels, channels, affine),
  sep_conv_3x3: sepConv(3),
  sep_conv_5x5: sepConv(5),
  dil_conv_3x3: dilConv(3),
  dil_conv_5x5: dilConv(5),
} as const satisfies Record<string, Operation>
