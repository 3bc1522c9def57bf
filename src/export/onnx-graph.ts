/** Builds an ONNX graph layer by layer; a value is the name of the node that makes it. */
import { DdsasError } from '../errors.ts'
import { type Tensor, to } from '../torch/index.ts'
import type { OnnxAttribute, OnnxNode, OnnxTensor } from './onnx-schema.ts'

export interface ConvShape {
  readonly stride?: number
  readonly dilation?: number
  /** One filter for each channel. */
  readonly depthwise?: boolean
}

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

  /** A convolution named `name` whose padding keeps the size where the stride is 1. */
  conv(name: string, x: string, { stride = 1, dilation = 1, depthwise = false }: ConvShape = {}): string {
    const [outputs, , kernel] = this.#shapeOf(`${name}.weight`).shape
    return this.node('Conv', name, [x, this.#weight(`${name}.weight`)], {
      kernel_shape: pair(kernel),
      strides: pair(stride),
      pads: around((dilation * (kernel - 1)) / 2),
      dilations: pair(dilation),
      group: { int: depthwise ? outputs : 1 },
    })
  }

  /** A batch norm by its running statistics. */
  norm(name: string, x: string): string {
    const parts = ['weight', 'bias', 'running_mean', 'running_var'].map((part) =>
      this.#weight(`${name}.${part}`),
    )
    return this.node('BatchNormalization', name, [x, ...parts], { epsilon: { float: epsilon } })
  }

  /** 3x3 maximum, or average over the pixels of the image alone, with padding 1. */
  pool(operator: 'MaxPool' | 'AveragePool', name: string, x: string, stride: number): string {
    return this.node(operator, name, [x], { kernel_shape: pair(3), strides: pair(stride), pads: around(1) })
  }

  /** The image without its first row and column. */
  shifted(name: string, x: string): string {
    const far = 2n ** 62n
    const ranges = Object.entries({ starts: [1n, 1n], ends: [far, far], axes: [2n, 3n] })
    const inputs = ranges.map(([part, values]) =>
      this.constant(`${name}.${part}`, BigInt64Array.from(values), [2]),
    )
    return this.node('Slice', name, [x, ...inputs])
  }

  concat(name: string, xs: readonly string[]): string {
    return this.node('Concat', name, xs, { axis: { int: 1 } })
  }

  /** [n, c, h, w] -> [n, classes]: the mean of each channel, then the linear layer `layer`. */
  classifier(layer: string, name: string, x: string): string {
    const pooled = this.node('GlobalAveragePool', `${layer}.pool`, [x])
    const flat = this.node('Flatten', `${layer}.flatten`, [pooled])
    const weights = [this.#weight(`${layer}.weight`), this.#weight(`${layer}.bias`)]
    return this.node('Gemm', name, [flat, ...weights], { transB: { int: 1 } })
  }
}
