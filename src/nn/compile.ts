/** What computes a sequence of layers, with its weights: steps that run. */
import {
  type Entry,
  factorizedReduce,
  mix,
  type NormStatistics,
  reluPointwise,
  separable,
  type Tensor,
} from '../torch/index.ts'
import type { EntryKernel, Fused, Kernel, SeparableKernel } from './fuse.ts'
import { joined, layerStep, normStatistics, type Parts, type Step, weightOf } from './layer-forward.ts'
import type { ProgramWeights } from './layer-weights.ts'

/** What a sequence begins with, of what all readers of a state share: `relu` is ATen's. */
export type Beginning = Entry | 'relu'

/** A sequence as it runs. */
export interface Compiled {
  /** What it begins with, computed with all that begin at the same state. */
  readonly entry: Beginning
  readonly steps: readonly Step[]
  /** The batch norm it ends with, left to the sum it is a term of. */
  readonly norm?: NormStatistics
}

/** As a step whose result has moments: [x, moments] -> parts. */
function parts({ x, moments }: { readonly x: Tensor; readonly moments?: Tensor }): Parts {
  return moments ? { xs: [x], moments } : { xs: [x] }
}

function convolutions({ spatial, pointwise }: SeparableKernel, weights: ProgramWeights) {
  return {
    spatial: weightOf(weights, spatial.name),
    pointwise: weightOf(weights, pointwise.name),
    stride: spatial.layer.stride,
    dilation: spatial.layer.dilation,
  }
}

function entryOf(found: EntryKernel, weights: ProgramWeights): Beginning {
  if (found.kernel === 'relu') return 'relu'
  if (found.kernel === 'separable') return convolutions(found, weights)
  const { type, stride } = found.pool.layer
  return { pool: type === 'max_pool2d' ? 'max' : 'avg', stride }
}

function stepOf(found: Kernel, weights: ProgramWeights): Step {
  switch (found.kernel) {
    case 'separable': {
      const { spatial, pointwise, ...shape } = convolutions(found, weights)
      const norm = found.norm && normStatistics(weights, found.norm.name)
      return (input, training) =>
        parts(separable({ ...input, x: joined(input) }, spatial, pointwise, { ...shape, norm, training }))
    }
    case 'relu_pointwise': {
      const weight = weightOf(weights, found.convolution.name)
      return ({ xs }) => parts(reluPointwise(xs, weight))
    }
    case 'factorized_reduce': {
      const [first, second] = [found.first, found.second].map(({ name }) => weightOf(weights, name))
      return ({ xs }) => parts(factorizedReduce(xs, first, second))
    }
    case 'norm': {
      const norm = normStatistics(weights, found.norm.name)
      return (input, training) => ({
        xs: [mix([{ ...input, x: joined(input) }], null, [norm], { training })],
      })
    }
    case 'aten':
      return layerStep(found.layer, weights)
  }
}

export function compile({ entry, kernels, norm }: Fused, weights: ProgramWeights): Compiled {
  return {
    entry: entry && entryOf(entry, weights),
    steps: kernels.map((kernel) => stepOf(kernel, weights)),
    ...(norm ? { norm: normStatistics(weights, norm.name) } : {}),
  }
}
