/** Finds in a sequence of layers what our kernels compute at once, by matching the layers; the rest runs one by one. */
import {
  type Entry,
  factorizedReduce,
  mix,
  type NormStatistics,
  reluPointwise,
  separable,
  type Tensor,
} from '../torch/index.ts'
import { type Conv2d, joinName, type Layer, type NamedLayer, type Sequence } from './layer.ts'
import { joined, layerStep, normStatistics, type Parts, type Step, weightOf } from './layer-forward.ts'
import type { ProgramWeights } from './layer-weights.ts'

/** A sequence as it runs: what it begins with is computed with all that begin at the same state. */
export interface Compiled {
  readonly entry: Entry
  readonly steps: readonly Step[]
  /** The batch norm it ends with, left to the sum it is a term of. */
  readonly norm?: NormStatistics
}

/** What stands at a place of a sequence: how many layers, and what computes them. */
interface Match {
  readonly count: number
  readonly step: Step
  /** The kernel finds the moments that a batch norm after it needs. */
  readonly moments: boolean
}

type Layers = readonly NamedLayer[]

function isConv(layer: Layer | undefined, wanted: Partial<Conv2d>): layer is Conv2d {
  return (
    layer?.type === 'conv2d' &&
    Object.entries(wanted).every(([key, value]) => layer[key as keyof Conv2d] === value)
  )
}

/** A 1x1 convolution across all channels. */
function isPointwise(layer: Layer | undefined, stride = 1): layer is Conv2d {
  return isConv(layer, { kernel: 1, stride, padding: 0, groups: 1, bias: false })
}

/** One filter for each channel, 3x3 or 5x5, that keeps the size at stride 1. */
function isDepthwise(layer: Layer | undefined): layer is Conv2d {
  if (layer?.type !== 'conv2d' || layer.bias || (layer.kernel !== 3 && layer.kernel !== 5)) return false
  const { inputs, outputs, groups, kernel, padding, dilation } = layer
  return groups === inputs && outputs === inputs && padding === ((kernel - 1) / 2) * dilation
}

/** ReLU, depthwise and pointwise convolution from a place on. */
function separableAt(layers: Layers, at: number, weights: ProgramWeights) {
  const [first, second, third] = [0, 1, 2].map((offset) => layers.at(at + offset)?.layer)
  if (first?.type !== 'relu' || !isDepthwise(second) || !isPointwise(third)) return undefined
  return {
    spatial: weightOf(weights, layers[at + 1].name),
    pointwise: weightOf(weights, layers[at + 2].name),
    stride: second.stride,
    dilation: second.dilation,
  }
}

/** What readers of one state begin with and a kernel computes for all of them. */
function entryOf(layers: Layers, weights: ProgramWeights): { readonly entry: Entry; readonly count: number } {
  const convolution = separableAt(layers, 0, weights)
  if (convolution) return { entry: convolution, count: 3 }
  const first = layers.at(0)?.layer
  if (
    (first?.type === 'max_pool2d' || first?.type === 'avg_pool2d') &&
    first.kernel === 3 &&
    first.padding === 1
  )
    return { entry: { pool: first.type === 'max_pool2d' ? 'max' : 'avg', stride: first.stride }, count: 1 }
  return { entry: undefined, count: 0 }
}

/** As a step whose result has moments: [x, moments] -> parts. */
function parts({ x, moments }: { readonly x: Tensor; readonly moments?: Tensor }): Parts {
  return moments ? { xs: [x], moments } : { xs: [x] }
}

function matchSeparable(layers: Layers, at: number, weights: ProgramWeights): Match | undefined {
  const normed = layers[at].layer.type === 'batch_norm2d'
  const found = separableAt(layers, normed ? at + 1 : at, weights)
  if (found === undefined) return undefined
  const norm = normed ? normStatistics(weights, layers[at].name) : undefined
  const { spatial, pointwise, ...shape } = found
  const step: Step = (input, training) =>
    parts(separable({ ...input, x: joined(input) }, spatial, pointwise, { ...shape, norm, training }))
  return { count: normed ? 4 : 3, step, moments: true }
}

function matchPointwise(layers: Layers, at: number, weights: ProgramWeights): Match | undefined {
  if (layers[at].layer.type !== 'relu' || !isPointwise(layers.at(at + 1)?.layer)) return undefined
  const weight = weightOf(weights, layers[at + 1].name)
  return { count: 2, step: ({ xs }) => parts(reluPointwise(xs, weight)), moments: true }
}

/** ReLU, then two 1x1 convolutions of stride 2 side by side, the second one pixel further. */
function matchFactorizedReduce(layers: Layers, at: number, weights: ProgramWeights): Match | undefined {
  const [first, second] = [layers[at], layers.at(at + 1)]
  if (first.layer.type !== 'relu' || second?.layer.type !== 'concat') return undefined
  const [straight = [], shifted = [], ...more] = second.layer.branches
  const fits = straight.length === 1 && shifted.length === 2 && more.length === 0
  if (!fits || !isPointwise(straight[0].layer, 2)) return undefined
  if (shifted[0].layer.type !== 'shift' || !isPointwise(shifted[1].layer, 2)) return undefined
  const [one, other] = [straight[0], shifted[1]].map(({ name }) =>
    weightOf(weights, joinName(second.name, name)),
  )
  return { count: 2, step: ({ xs }) => parts(factorizedReduce(xs, one, other)), moments: true }
}

const kernels = [matchSeparable, matchFactorizedReduce, matchPointwise]

function matchAt(layers: Layers, at: number, weights: ProgramWeights, after: boolean): Match {
  for (const match of kernels) {
    const found = match(layers, at, weights)
    if (found) return found
  }
  const named = layers[at]
  if (after && named.layer.type === 'batch_norm2d') {
    const norm = normStatistics(weights, named.name)
    const step: Step = (input, training) => ({
      xs: [mix([{ ...input, x: joined(input) }], null, [norm], { training })],
    })
    return { count: 1, step, moments: false }
  }
  return { count: 1, step: layerStep(named, weights), moments: false }
}

function whole(layers: Sequence, prefix: string): NamedLayer[] {
  return layers.map(({ name, layer }) => ({ name: joinName(prefix, name), layer }))
}

/**
 * Where a sequence stands: a `term` of a sum leaves it the batch norm at its end; `after parts` of a concatenation nothing
 * begins at one state.
 */
export type Standing = 'term' | 'alone' | 'after parts'

export function compile(
  sequence: Sequence,
  prefix: string,
  weights: ProgramWeights,
  standing: Standing,
): Compiled {
  const layers = whole(sequence, prefix)
  const { entry, count } =
    standing === 'after parts' ? { entry: undefined, count: 0 } : entryOf(layers, weights)
  const last = layers.at(-1)
  const left = standing === 'term' && last?.layer.type === 'batch_norm2d' ? last : undefined
  const body = left ? layers.slice(0, -1) : layers
  const steps: Step[] = []
  let moments = count > 0
  for (let at = count; at < body.length; ) {
    const match = matchAt(body, at, weights, moments)
    steps.push(match.step)
    at += match.count
    moments = match.moments
  }
  return { entry, steps, ...(left ? { norm: normStatistics(weights, left.name) } : {}) }
}

/** The same one layer at a time, each by ATen: the oracle of the kernels, and the yardstick of benchmarks. */
export function compilePlain(sequence: Sequence, prefix: string, weights: ProgramWeights): Compiled {
  return { entry: undefined, steps: whole(sequence, prefix).map((layer) => layerStep(layer, weights)) }
}
