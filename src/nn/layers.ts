/** Convolution, batch norm, linear and sequential layers with torch.nn's names, defaults and initialisation. */
import {
  batchNorm,
  type ConvOptions,
  conv2d,
  linear,
  type NormStatistics,
  type Tensor,
  tidy,
  typeAs,
} from '../torch/index.ts'
import { filled, type Layer, type Maker, uniformByFanIn } from './module.ts'

/** torch.nn.Conv2d without bias: weight [outputs, inputs / groups, kernel, kernel]; computes in the type of its images. */
export class Conv2d implements Layer {
  readonly parameters: { readonly weight: Tensor }
  readonly #options: ConvOptions

  constructor(
    inputs: number,
    outputs: number,
    kernel: number,
    options: Omit<ConvOptions, 'bias'>,
    maker: Maker,
  ) {
    const perGroup = inputs / (options.groups ?? 1)
    const weight = uniformByFanIn([outputs, perGroup, kernel, kernel], perGroup * kernel * kernel, maker)
    this.parameters = { weight }
    this.#options = options
  }

  forward(x: Tensor): Tensor {
    return tidy(() => conv2d(x, typeAs(this.parameters.weight, x), this.#options))
  }
}

/** torch.nn.BatchNorm2d: momentum 0.1, eps 1e-5; `affine` adds a trained scale and shift for each channel. */
export class BatchNorm2d implements Layer {
  readonly affine: boolean
  readonly parameters: Readonly<Record<string, Tensor>>
  readonly buffers: { readonly running_mean: Tensor; readonly running_var: Tensor }

  constructor(channels: number, affine: boolean, maker: Maker) {
    this.affine = affine
    const constant = (value: number) => filled([channels], value, maker)
    this.parameters = affine ? { weight: constant(1), bias: constant(0) } : {}
    this.buffers = { running_mean: constant(0), running_var: constant(1) }
  }

  /** What kernels that normalise on their way need. */
  get statistics(): NormStatistics {
    return { ...this.buffers, ...this.parameters }
  }

  forward(x: Tensor, training: boolean): Tensor {
    const { weight, bias } = this.parameters
    const { running_mean: runningMean, running_var: runningVar } = this.buffers
    return batchNorm(x, { weight, bias, runningMean, runningVar, training })
  }
}

/** torch.nn.Linear: x [n, inputs] -> [n, outputs], in the type of its weights. */
export class Linear implements Layer {
  readonly parameters: { readonly weight: Tensor; readonly bias: Tensor }

  constructor(inputs: number, outputs: number, maker: Maker) {
    const weight = uniformByFanIn([outputs, inputs], inputs, maker)
    this.parameters = { weight, bias: uniformByFanIn([outputs], inputs, maker) }
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = this.parameters
    return tidy(() => linear(typeAs(x, weight), weight, bias))
  }
}

/** torch.nn.Sequential: children named by position. */
export class Sequential implements Layer {
  readonly children: Readonly<Record<string, Layer>>

  constructor(layers: readonly Layer[]) {
    this.children = Object.fromEntries(layers.map((layer, index) => [String(index), layer]))
  }

  forward(x: Tensor, training: boolean): Tensor {
    const layers = Object.values(this.children)
    return tidy(() => layers.reduce((value, layer) => layer.forward(value, training), x))
  }
}
