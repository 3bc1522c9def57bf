/** Finds in a program what our kernels compute at once, by matching its layers; the rest runs one by one. Plain data. */
import {
  type BatchNorm2d,
  type Conv2d,
  joinName,
  type Layer,
  type NamedLayer,
  type Pool2d,
  type Sequence,
} from './layer.ts'
import type { Program, State, Term } from './program.ts'

/** A layer of one kind with its whole name. */
export interface Named<Kind extends Layer> {
  readonly name: string
  readonly layer: Kind
}

/** ReLU, depthwise and pointwise convolution; a norm where one stands before the ReLU. */
export interface SeparableKernel {
  readonly kernel: 'separable'
  readonly norm?: Named<BatchNorm2d>
  readonly spatial: Named<Conv2d>
  readonly pointwise: Named<Conv2d>
}

/** What computes layers that follow one another: a kernel of ours, or ATen's operator of one layer. */
export type Kernel =
  | SeparableKernel
  /** ReLU and a 1x1 convolution. */
  | { readonly kernel: 'relu_pointwise'; readonly convolution: Named<Conv2d> }
  /** ReLU, then two 1x1 convolutions of stride 2 side by side, the second one pixel further. */
  | { readonly kernel: 'factorized_reduce'; readonly first: Named<Conv2d>; readonly second: Named<Conv2d> }
  /** A batch norm of what a kernel made: a sum of one term. */
  | { readonly kernel: 'norm'; readonly norm: Named<BatchNorm2d> }
  | { readonly kernel: 'aten'; readonly layer: NamedLayer }

/** What readers of one state begin with and is computed for all of them together. */
export type EntryKernel =
  | SeparableKernel
  | { readonly kernel: 'pool'; readonly pool: Named<Pool2d> }
  /** ATen's, taken once. */
  | { readonly kernel: 'relu' }

/** A sequence as it is computed: what it begins with together with all that begin at the same state. */
export interface Fused {
  readonly entry?: EntryKernel
  readonly kernels: readonly Kernel[]
  /** The batch norm it ends with, left to the sum it is a term of. */
  readonly norm?: Named<BatchNorm2d>
}

/** What stands at a place of a sequence: what computes it, and how many layers that takes. */
interface Match<Found> {
  readonly kernel: Found
  readonly count: number
}

type Layers = readonly NamedLayer[]

function isA<Type extends Layer['type']>(
  named: NamedLayer | undefined,
  type: Type,
): named is Named<Extract<Layer, { type: Type }>> {
  return named?.layer.type === type
}

/** A batch norm whose momentum is the one that our kernels know. */
function isUsualNorm(named: NamedLayer | undefined): named is Named<BatchNorm2d> {
  return isA(named, 'batch_norm2d') && named.layer.momentum === undefined
}

/** A 1x1 convolution across all channels. */
function isPointwise(named: NamedLayer | undefined, stride = 1): named is Named<Conv2d> {
  if (!isA(named, 'conv2d')) return false
  const { kernel, stride: own, padding, groups, bias } = named.layer
  return kernel === 1 && own === stride && padding === 0 && groups === 1 && !bias
}

/** One filter for each channel, 3x3 or 5x5, that keeps the size at stride 1. */
function isDepthwise(named: NamedLayer | undefined): named is Named<Conv2d> {
  if (!isA(named, 'conv2d')) return false
  const { inputs, outputs, groups, kernel, padding, dilation, bias } = named.layer
  if (bias || (kernel !== 3 && kernel !== 5)) return false
  return groups === inputs && outputs === inputs && padding === ((kernel - 1) / 2) * dilation
}

function matchSeparable(layers: Layers, at: number): Match<SeparableKernel> | undefined {
  const [relu, spatial, pointwise] = [0, 1, 2].map((offset) => layers.at(at + offset))
  if (!isA(relu, 'relu') || !isDepthwise(spatial) || !isPointwise(pointwise)) return undefined
  return { kernel: { kernel: 'separable', spatial, pointwise }, count: 3 }
}

function matchNormedSeparable(layers: Layers, at: number): Match<Kernel> | undefined {
  const norm = layers[at]
  const found = isUsualNorm(norm) ? matchSeparable(layers, at + 1) : undefined
  return found && isUsualNorm(norm) ? { kernel: { ...found.kernel, norm }, count: 4 } : undefined
}

function matchPointwise(layers: Layers, at: number): Match<Kernel> | undefined {
  const convolution = layers.at(at + 1)
  if (!isA(layers[at], 'relu') || !isPointwise(convolution)) return undefined
  return { kernel: { kernel: 'relu_pointwise', convolution }, count: 2 }
}

function matchFactorizedReduce(layers: Layers, at: number): Match<Kernel> | undefined {
  const parts = layers.at(at + 1)
  if (!isA(layers[at], 'relu') || !isA(parts, 'concat') || parts.layer.branches.length !== 2) return undefined
  const [straight, shifted] = parts.layer.branches.map((branch) => whole(branch, parts.name))
  if (straight.length !== 1 || shifted.length !== 2 || !isA(shifted[0], 'shift')) return undefined
  const [first, second] = [straight[0], shifted[1]]
  if (!isPointwise(first, 2) || !isPointwise(second, 2)) return undefined
  return { kernel: { kernel: 'factorized_reduce', first, second }, count: 2 }
}

const matches = [matchSeparable, matchNormedSeparable, matchFactorizedReduce, matchPointwise]

/** `made`: what is there was made by a kernel, which finds the moments that a batch norm after it needs. */
function matchAt(layers: Layers, at: number, made: boolean): Match<Kernel> {
  for (const match of matches) {
    const found = match(layers, at)
    if (found) return found
  }
  const layer = layers[at]
  if (made && isUsualNorm(layer)) return { kernel: { kernel: 'norm', norm: layer }, count: 1 }
  return { kernel: { kernel: 'aten', layer }, count: 1 }
}

function matchEntry(layers: Layers): Match<EntryKernel> | undefined {
  const separable = matchSeparable(layers, 0)
  if (separable) return separable
  if (isA(layers[0], 'relu') && matchAt(layers, 0, false).kernel.kernel === 'aten')
    return { kernel: { kernel: 'relu' }, count: 1 }
  const pool = layers.at(0)
  if (!isA(pool, 'max_pool2d') && !isA(pool, 'avg_pool2d')) return undefined
  const { kernel, padding } = pool.layer
  return kernel === 3 && padding === 1 ? { kernel: { kernel: 'pool', pool }, count: 1 } : undefined
}

function whole(layers: Sequence, prefix: string): NamedLayer[] {
  return layers.map(({ name, layer }) => ({ name: joinName(prefix, name), layer }))
}

/**
 * Where a sequence stands: a `term` of a sum leaves it the batch norm at its end; `after parts` of a concatenation nothing
 * begins at one state.
 */
type Standing = 'term' | 'alone' | 'after parts'

function fuseSequence(layers: Layers, standing: Standing): Fused {
  const entry = standing === 'after parts' ? undefined : matchEntry(layers)
  const last = layers.at(-1)
  const norm = standing === 'term' && isUsualNorm(last) ? last : undefined
  const body = norm ? layers.slice(0, -1) : layers
  const kernels: Kernel[] = []
  let made = entry !== undefined && entry.kernel.kernel !== 'relu'
  for (let at = entry?.count ?? 0; at < body.length; ) {
    const { kernel, count } = matchAt(body, at, made)
    kernels.push(kernel)
    at += count
    made = kernel.kernel !== 'norm' && kernel.kernel !== 'aten'
  }
  return { kernels, ...(entry ? { entry: entry.kernel } : {}), ...(norm ? { norm } : {}) }
}

function each(
  { states }: Program,
  how: (layers: Layers, standing: Standing) => Fused,
): Map<State | Term, Fused> {
  const concatenations = new Set(states.flatMap(({ kind, id }) => (kind === 'concat' ? [id] : [])))
  const found = new Map<State | Term, Fused>()
  for (const state of states) {
    if (state.kind === 'layers') {
      const standing = concatenations.has(state.input) ? 'after parts' : 'alone'
      found.set(state, how(whole(state.layers, state.name), standing))
    } else if (state.kind === 'sum') {
      for (const term of state.terms) found.set(term, how(whole(term.layers, term.name), 'term'))
    }
  }
  return found
}

/** What computes each state made of layers, and each term of a sum. */
export function fuse(program: Program): Map<State | Term, Fused> {
  return each(program, fuseSequence)
}

/** The same one layer at a time, each by ATen: the oracle of the kernels, and the yardstick of benchmarks. */
export function fuseNothing(program: Program): Map<State | Term, Fused> {
  return each(program, (layers) => ({ kernels: layers.map((layer) => ({ kernel: 'aten', layer })) }))
}
