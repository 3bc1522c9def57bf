/** What each layer computes, by ATen's operators: one layer after the other, as PyTorch runs a module. */
import {
  avgPool2d,
  batchNorm,
  call,
  cat,
  channelShuffle,
  clone,
  conv2d,
  globalAvgPool2d,
  linear,
  maxPool2d,
  mul,
  type NormStatistics,
  relu,
  reshape,
  sigmoid,
  slice,
  type Tensor,
  typeAs,
} from '../torch/index.ts'
import { dropOut } from './dropout.ts'
import { joinName, type NamedLayer, type Sequence } from './layer.ts'
import type { ProgramWeights } from './layer-weights.ts'
import { synchronisedNorm } from './synchronised-norm.ts'

/**
 * Images as parts whose channels stand side by side, which nobody concatenated; with the moments of each channel where
 * the kernel that made the one part found them on its way.
 */
export interface Parts {
  readonly xs: readonly Tensor[]
  readonly moments?: Tensor
}

/** A layer, or several that one kernel computes. `training`: normalise by the batch. */
export type Step = (input: Parts, training: boolean) => Parts

/** The parts as one tensor [n, c, h, w]. */
export function joined({ xs }: Parts): Tensor {
  return xs.length === 1 ? xs[0] : cat(xs, 1)
}

/** A layer that treats channels alone need not see them side by side. */
const eachPart = (forward: (x: Tensor) => Tensor): Step => {
  return ({ xs }) => ({ xs: xs.map(forward) })
}

const whole = (forward: (x: Tensor, training: boolean) => Tensor): Step => {
  return (input, training) => ({ xs: [forward(joined(input), training)] })
}

/** Every `step`-th pixel from `start` on. */
function pixels(x: Tensor, start: number, step: number): Tensor {
  return slice(slice(x, 2, start, x.shape[2], step), 3, start, x.shape[3], step)
}

/** A batch norm's statistics, and weight and bias where it is affine. */
export function normStatistics({ parameters, buffers }: ProgramWeights, name: string): NormStatistics {
  const of = (map: Map<string, Tensor>, part: string) => map.get(`${name}.${part}`)
  const [mean, variance] = [of(buffers, 'running_mean'), of(buffers, 'running_var')]
  if (mean === undefined || variance === undefined) throw new Error(`no statistics of ${name}`)
  const affine = { weight: of(parameters, 'weight'), bias: of(parameters, 'bias') }
  return { running_mean: mean, running_var: variance, ...(affine.weight ? affine : {}) }
}

/** The weight of the layer `name`. */
export function weightOf({ parameters }: ProgramWeights, name: string): Tensor {
  const found = parameters.get(`${name}.weight`)
  if (found === undefined) throw new Error(`no weight of ${name}`)
  return found
}

/** The layer of one name. */
export function layerStep({ name, layer }: NamedLayer, weights: ProgramWeights): Step {
  const bias = () => weights.parameters.get(`${name}.bias`)
  switch (layer.type) {
    case 'relu':
      return eachPart(relu)
    case 'sigmoid':
      return eachPart(sigmoid)
    case 'shift':
      return eachPart((x) => pixels(x, 1, 1))
    case 'dropout':
      return whole((x) => (weights.dropout?.now ? dropOut(x, weights.dropout.now) : x))
    case 'channels':
      return whole((x) => clone(slice(x, 1, layer.from, layer.to)))
    case 'channel_shuffle':
      return whole((x) => channelShuffle(x, layer.groups))
    case 'zero':
      return eachPart((x) => mul(pixels(x, 0, layer.stride), 0))
    case 'max_pool2d':
      return eachPart((x) => maxPool2d(x, layer.kernel, layer.stride, layer.padding))
    case 'avg_pool2d':
      return eachPart((x) => avgPool2d(x, layer.kernel, layer.stride, layer.padding))
    case 'global_avg_pool2d':
      return eachPart(globalAvgPool2d)
    case 'flatten':
      return whole((x) => reshape(x, [x.shape[0], -1]))
    case 'linear': {
      const weight = weightOf(weights, name)
      return whole((x) => linear(typeAs(x, weight), weight, bias()))
    }
    case 'conv2d': {
      const weight = weightOf(weights, name)
      const own = bias()
      return whole((x) =>
        conv2d(x, typeAs(weight, x), { ...layer, bias: own === undefined ? undefined : typeAs(own, x) }),
      )
    }
    case 'batch_norm2d': {
      const { running_mean: runningMean, running_var: runningVar, ...affine } = normStatistics(weights, name)
      const statistics = { ...affine, runningMean, runningVar, momentum: layer.momentum }
      return whole((x, training) => {
        const part = weights.synchronised?.part
        return part && training
          ? synchronisedNorm(x, part, statistics)
          : batchNorm(x, { ...statistics, training })
      })
    }
    case 'concat': {
      const branches = layer.branches.map((branch) => sequenceStep(branch, name, weights))
      return (input, training) => ({ xs: branches.map((branch) => joined(branch(input, training))) })
    }
    case 'gate': {
      const scale = sequenceStep(layer.layers, name, weights)
      return whole((x, training) => {
        const scales = joined(scale({ xs: [x] }, training))
        return mul(x, reshape(scales, [x.shape[0], x.shape[1], 1, 1]))
      })
    }
    case 'opaque': {
      const own = weights.opaque.get(name)
      if (own === undefined) throw new Error(`no layer of ${name}`)
      // what it keeps, a weight or its input, must not be freed as a state is: another handle of the same tensor
      return whole((x, training) => call('aten::alias', own.forward(x, training)))
    }
  }
}

function sequenceStep(layers: Sequence, prefix: string, weights: ProgramWeights): Step {
  const steps = layers.map(({ name, layer }) => layerStep({ name: joinName(prefix, name), layer }, weights))
  return (input, training) => steps.reduce((value, step) => step(value, training), input)
}
