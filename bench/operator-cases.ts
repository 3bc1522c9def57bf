/** The kernels at the shapes they meet in the supernet: inputs, and one call each. */
import {
  avgPool3,
  conv2d,
  factorizedReduce,
  type Generator,
  maxPool3,
  mix,
  type NormStatistics,
  reluPointwise,
  separable,
  Tensor,
  to,
} from '../src/torch/index.ts'

/** What an operator is called with. */
export interface Inputs {
  /** [n, c, h, w], in the memory layout under test. */
  readonly images: readonly Tensor[]
  readonly weights: readonly Tensor[]
}

export interface OperatorCase {
  /** Such as `separable 3x3` and `stride 2, dilation 1`. */
  readonly operator: string
  readonly variant: string
  /** Of the first input, [n, c, h, w]. */
  readonly shape: readonly number[]
  inputs(generator: Generator): Inputs
  apply(inputs: Inputs): Tensor
  /** For a separable convolution: libtorch's depthwise convolution alone, of the first input by the first weight. */
  depthwise?(inputs: Inputs): Tensor
  /** Our kernel with as little of the 1x1 convolution as it can have: one output, whose weights are constants. */
  ownDepthwise?(inputs: Inputs): Tensor
}

/** Terms of a node's sum when L = 28 operations are spread over 14 edges: two on each of 3.5 edges. */
const mixedTerms = 7

/** A cell's input is the four nodes of the cell before. */
const parts = 4

export function randomTensor(shape: readonly number[], generator: Generator): Tensor {
  const size = shape.reduce((product, length) => product * length, 1)
  return Tensor.from(
    Float32Array.from({ length: size }, () => generator.normal()),
    shape,
  )
}

function many(count: number, shape: readonly number[], generator: Generator): Tensor[] {
  return Array.from({ length: count }, () => randomTensor(shape, generator))
}

/** Running statistics as a norm begins with, where images are and in float64 where they are. */
export function freshStatistics(like: Tensor): NormStatistics {
  const channels = like.shape[1]
  const dtype = like.dtype === 'float64' ? 'float64' : 'float32'
  const filled = (value: number) =>
    to(Tensor.from(new Float32Array(channels).fill(value), [channels]), { device: like.device, dtype })
  return { running_mean: filled(0), running_var: filled(1) }
}

/** `normed`: after a batch norm, as the second half of a separable convolution is. */
export function separableCase(
  shape: readonly number[],
  kernel: number,
  stride: number,
  dilation: number,
  normed = false,
): OperatorCase {
  const channels = shape[1]
  const options = (x: Tensor) => ({
    ...{ stride, dilation, training: true },
    ...(normed && { norm: freshStatistics(x) }),
  })
  return {
    operator: `${normed ? 'norm, ' : ''}separable ${kernel}x${kernel}`,
    variant: `stride ${stride}, dilation ${dilation}`,
    shape,
    inputs: (generator) => ({
      images: [randomTensor(shape, generator)],
      weights: [
        randomTensor([channels, 1, kernel, kernel], generator),
        randomTensor([channels, channels, 1, 1], generator),
      ],
    }),
    apply: ({ images: [x], weights: [spatial, pointwise] }) =>
      separable({ x }, spatial, pointwise, options(x)).x,
    depthwise: ({ images: [x], weights: [spatial] }) => {
      const padding = ((kernel - 1) / 2) * dilation
      return conv2d(x, spatial, { stride, padding, dilation, groups: channels })
    },
    ownDepthwise: ({ images: [x], weights: [spatial] }) => {
      const sum = Tensor.from(new Float32Array(channels).fill(1), [1, channels, 1, 1])
      return separable({ x }, spatial, sum, options(x)).x
    },
  }
}

function poolCase(shape: readonly number[], kind: 'max_pool3' | 'avg_pool3', stride: number): OperatorCase {
  const pool = kind === 'max_pool3' ? maxPool3 : avgPool3
  return {
    operator: kind,
    variant: `stride ${stride}`,
    shape,
    inputs: (generator) => ({ images: [randomTensor(shape, generator)], weights: [] }),
    apply: ({ images: [x] }) => pool(x, stride),
  }
}

function pointwiseCases(shape: readonly number[]): OperatorCase[] {
  const channels = shape[1]
  return [
    {
      operator: 'relu_pointwise',
      variant: `${parts} parts`,
      shape,
      inputs: (generator) => ({
        images: many(parts, shape, generator),
        weights: [randomTensor([channels, parts * channels, 1, 1], generator)],
      }),
      apply: ({ images, weights: [weight] }) => reluPointwise(images, weight).x,
    },
    {
      operator: 'factorized_reduce',
      variant: 'stride 2',
      shape,
      inputs: (generator) => ({
        images: [randomTensor(shape, generator)],
        weights: many(2, [channels / 2, channels, 1, 1], generator),
      }),
      apply: ({ images, weights: [first, second] }) => factorizedReduce(images, first, second).x,
    },
  ]
}

/** Batch norms and weighted sum. No term brings its moments: ours finds them here, as ATen's batch norm has to. */
function mixCase(shape: readonly number[]): OperatorCase {
  return {
    operator: 'mix',
    variant: `${mixedTerms} terms`,
    shape,
    inputs: (generator) => ({
      images: many(mixedTerms, shape, generator),
      weights: [randomTensor([mixedTerms], generator)],
    }),
    apply: ({ images, weights: [weights] }) => {
      return mix(
        images.map((x) => ({ x })),
        weights,
        images.map(freshStatistics),
        { training: true },
      )
    },
  }
}

/** All kernels at C, 2 C and 4 C channels of 32, 16 and 8 pixels. */
export function operatorCases(batch: number, channels: number): OperatorCase[] {
  const shapes = [0, 1, 2].map((halvings) => {
    const side = 32 >> halvings
    return [batch, channels << halvings, side, side]
  })
  const strides = [1, 2]
  const each = (make: (shape: readonly number[]) => OperatorCase[]) => shapes.flatMap(make)
  const separables = [3, 5].flatMap((kernel) =>
    strides.flatMap((stride) =>
      [1, 2].flatMap((dilation) => each((shape) => [separableCase(shape, kernel, stride, dilation)])),
    ),
  )
  const pools = (['max_pool3', 'avg_pool3'] as const).flatMap((kind) =>
    strides.flatMap((stride) => each((shape) => [poolCase(shape, kind, stride)])),
  )
  return [...separables, ...each(pointwiseCases), ...each((shape) => [mixCase(shape)]), ...pools]
}
