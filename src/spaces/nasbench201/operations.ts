/** The five operations of NAS-Bench-201, with the published names, and the residual block between its stages. */
import {
  batchNorm2d,
  conv2d,
  functional,
  pool2d,
  relu,
  type Sequence,
  sequential,
  zero,
} from '../../nn/index.ts'

interface OperationOptions {
  readonly channels: number
  /** Trained scale and shift in the batch norms: true in networks, false in a supernet. */
  readonly affine: boolean
}

/** An operation on an edge: layers that keep the shape [n, c, h, w]. */
type Operation = (options: OperationOptions) => Sequence

/** ReLU, convolution, batch norm. A convolution has a bias where the norm has none, as the published code has it. */
function reluConvBn(inputs: number, outputs: number, kernel: number, stride: number, affine: boolean) {
  return [
    relu,
    conv2d(inputs, outputs, kernel, { stride, bias: !affine }),
    batchNorm2d(outputs, affine),
  ] as const
}

const convolution =
  (kernel: number): Operation =>
  ({ channels, affine }) =>
    sequential('op', reluConvBn(channels, channels, kernel, 1, affine))

/** The operations by their published names, in the order of the published columns. */
export const operations = {
  none: () => [functional(zero(1))],
  skip_connect: () => [],
  nor_conv_1x1: convolution(1),
  nor_conv_3x3: convolution(3),
  avg_pool_3x3: () => [functional(pool2d('avg', 1))],
} as const satisfies Record<string, Operation>

export type OperationName = keyof typeof operations

/** The two ways through a residual block that halves the image: convolutions, and a mean of 2x2 pixels beside them. */
export function residualWays(
  inputs: number,
  outputs: number,
): { readonly main: Sequence; readonly beside: Sequence } {
  return {
    main: [
      ...sequential('conv_a.op', reluConvBn(inputs, outputs, 3, 2, true)),
      ...sequential('conv_b.op', reluConvBn(outputs, outputs, 3, 1, true)),
    ],
    beside: sequential('downsample', [pool2d('avg', 2, 2, 0), conv2d(inputs, outputs, 1)]),
  }
}
