/** Builds an ONNX graph layer by layer; a value is the name of the node that makes it. */
import { DdsasError } from '../errors.ts'
import type { ChannelShuffle, Conv2d, Pool2d } from '../nn/index.ts'
import { type Tensor, to } from '../torch/index.ts'
import type { OnnxAttribute, OnnxNode, OnnxTensor } from './onnx-schema.ts'

/** Numerical stability of batch norms, as in torch.nn.BatchNorm2d. */
const epsilon = 1e-5

const pair = (value: number) => [value, value]
const around = (value: number) => [value, value, value, value]

/** Collects nodes and weights; layers take their weights by PyTorch's names. */
export class OnnxGraph {
  readonly nodes: OnnxNode[] = []
  readonly tensors: OnnxTensor[] = []
  readonly #weights: ReadonlyMap<string, Tensor>
  /** A ReLU is computed once for all that read it. */
  readonly #rectified = new Map<string, string>()

  constructor(weights: ReadonlyMap<string, Tensor>) {
    this.#weights = weights
  }

  /** Adds a node and returns its one output, which has its name. */
  node(
    operator: string,
    name: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string {
    this.nodes.push({ operator, name, inputs, attributes })
    return name
  }

  /** Adds a constant and returns its name. */
  constant(name: string, values: Float32Array | BigInt64Array, shape: readonly number[]): string {
    const type = values instanceof Float32Array ? 'float' : 'int64'
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    this.tensors.push({ name, type, shape, data })
    return name
  }

  /** Adds a weight, in float32 whatever it was trained in. */
  #weight(name: string): string {
    const tensor = this.#shapeOf(name)
    const values = to(tensor, { dtype: 'float32', device: 'cpu' }).floats()
    return this.constant(name, Float32Array.from(values), tensor.shape)
  }

  #shapeOf(name: string): Tensor {
    const tensor = this.#weights.get(name)
    if (tensor === undefined) throw new DdsasError('checkpoint', `the weights have no '${name}'`)
    return tensor
  }

  relu(x: string): string {
    const known = this.#rectified.get(x) ?? this.node('Relu', `${x}.relu`, [x])
    this.#rectified.set(x, known)
    return known
  }

  /** The convolution of layer `layer`, under `value`. */
  conv(
    value: string,
    layer: string,
    x: string,
    { kernel, stride, padding, dilation, groups, bias }: Conv2d,
  ): string {
    const weights = (bias ? ['weight', 'bias'] : ['weight']).map((part) => this.#weight(`${layer}.${part}`))
    return this.node('Conv', value, [x, ...weights], {
      kernel_shape: pair(kernel),
      strides: pair(stride),
      pads: around(padding),
      dilations: pair(dilation),
      group: { int: groups },
    })
  }

  /** A batch norm by its running statistics. */
  norm(value: string, layer: string, affine: boolean, x: string): string {
    const statistics = ['running_mean', 'running_var'].map((part) => this.#weight(`${layer}.${part}`))
    const scales = affine
      ? ['weight', 'bias'].map((part) => this.#weight(`${layer}.${part}`))
      : [1, 0].map((one) =>
          this.#filled(`${layer}.${one === 1 ? 'weight' : 'bias'}`, one, `${layer}.running_mean`),
        )
    return this.node('BatchNormalization', value, [x, ...scales, ...statistics], {
      epsilon: { float: epsilon },
    })
  }

  /** A constant of one value, as long as a weight. */
  #filled(name: string, value: number, like: string): string {
    const [length] = this.#shapeOf(like).shape
    return this.constant(name, new Float32Array(length).fill(value), [length])
  }

  /** Maximum, or average over the pixels of the image alone. */
  pool(
    operator: 'MaxPool' | 'AveragePool',
    value: string,
    x: string,
    { kernel, stride, padding }: Pool2d,
  ): string {
    return this.node(operator, value, [x], {
      kernel_shape: pair(kernel),
      strides: pair(stride),
      pads: around(padding),
    })
  }

  /** Zeros for every `stride`-th pixel of `channels` channels: a depthwise convolution whose weights are 0. */
  zeros(value: string, x: string, channels: number, stride: number): string {
    const weight = this.constant(`${value}.zeros`, new Float32Array(channels), [channels, 1, 1, 1])
    return this.node('Conv', value, [x, weight], { strides: pair(stride), group: { int: channels } })
  }

  /** The image without its first row and column. */
  shifted(name: string, x: string): string {
    const far = 2n ** 62n
    return this.sliced(name, x, [2n, 3n], [1n, 1n], [far, far])
  }

  /** What lies between `starts` and `ends` (exclusive) along each of the axes. */
  sliced(
    name: string,
    x: string,
    axes: readonly bigint[],
    starts: readonly bigint[],
    ends: readonly bigint[],
  ): string {
    const inputs = Object.entries({ starts, ends, axes }).map(([part, values]) =>
      this.constant(`${name}.${part}`, BigInt64Array.from(values), [values.length]),
    )
    return this.node('Slice', name, [x, ...inputs])
  }

  shuffled(name: string, x: string, { channels, groups }: ChannelShuffle): string {
    const each = channels / groups
    const order = Array.from({ length: channels }, (_, at) =>
      BigInt((at % groups) * each + Math.floor(at / groups)),
    )
    const index = this.constant(`${name}.order`, BigInt64Array.from(order), [channels])
    return this.node('Gather', name, [x, index], { axis: { int: 1 } })
  }

  concat(name: string, xs: readonly string[]): string {
    return this.node('Concat', name, xs, { axis: { int: 1 } })
  }

  /** [n, inputs] -> [n, outputs] by the linear layer `layer`. */
  linear(value: string, layer: string, x: string): string {
    const weights = [this.#weight(`${layer}.weight`), this.#weight(`${layer}.bias`)]
    return this.node('Gemm', value, [x, ...weights], { transB: { int: 1 } })
  }

  /** One number for each channel, [n, c] or [n, c, 1, 1] -> [n, c, 1, 1]. */
  perChannel(value: string, x: string): string {
    const shape = this.constant(`${value}.shape`, BigInt64Array.of(0n, -1n, 1n, 1n), [4])
    return this.node('Reshape', value, [x, shape])
  }
}
