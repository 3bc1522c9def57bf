/** The weights of layers: names and shapes as in torch.nn, drawn with PyTorch's default distributions. */
import { DdsasError } from '../errors.ts'
import { Generator, type Tensor } from '../torch/index.ts'
import type { DropoutPass } from './dropout.ts'
import type { Layer, NamedLayer, Opaque, OpaqueLayer } from './layer.ts'
import {
  disposeModule,
  filled,
  type InitContext,
  namedBuffers,
  namedParameters,
  uniformByFanIn,
} from './module.ts'
import { namedLayers, type Program } from './program.ts'
import type { Synchronised } from './synchronised-norm.ts'

interface Weight {
  readonly name: string
  readonly shape: readonly number[]
  /** Uniform by how many inputs each output has, or one value for all elements. */
  readonly init: { readonly fanIn: number } | { readonly value: number }
  /** Saved but not trained. */
  readonly buffer?: true
}

const constant = (name: string, channels: number, value: number): Weight => ({
  name,
  shape: [channels],
  init: { value },
})

/** The weights a layer has of its own; those of layers inside it, and of a layer of one's own, are not among them. */
function weightsOf(layer: Layer): Weight[] {
  switch (layer.type) {
    case 'conv2d': {
      const { inputs, outputs, kernel, groups, bias } = layer
      const init = { fanIn: (inputs / groups) * kernel ** 2 }
      const weight = { name: 'weight', shape: [outputs, inputs / groups, kernel, kernel], init }
      return bias ? [weight, { name: 'bias', shape: [outputs], init }] : [weight]
    }
    case 'linear': {
      const init = { fanIn: layer.inputs }
      return [
        { name: 'weight', shape: [layer.outputs, layer.inputs], init },
        { name: 'bias', shape: [layer.outputs], init },
      ]
    }
    case 'batch_norm2d': {
      const { channels, affine } = layer
      return [
        ...(affine ? [constant('weight', channels, 1), constant('bias', channels, 0)] : []),
        { ...constant('running_mean', channels, 0), buffer: true },
        { ...constant('running_var', channels, 1), buffer: true },
      ]
    }
    case 'relu':
    case 'sigmoid':
    case 'max_pool2d':
    case 'avg_pool2d':
    case 'shift':
    case 'channels':
    case 'channel_shuffle':
    case 'zero':
    case 'global_avg_pool2d':
    case 'flatten':
    case 'dropout':
    case 'concat':
    case 'gate':
    case 'opaque':
      return []
  }
}

/** All tensors of a program's layers, by whole names, and its layers of one's own, by theirs. */
export interface ProgramWeights {
  readonly parameters: Map<string, Tensor>
  readonly buffers: Map<string, Tensor>
  readonly opaque: Map<string, OpaqueLayer>
  /** Where batch norms go by the images of all processes. */
  readonly synchronised?: Synchronised | undefined
  readonly dropout?: DropoutPass
}

/** Throws DdsasError 'input' naming two layers that would have the same weights, or one whose weights have no name. */
function checkNames(layers: readonly NamedLayer[]): void {
  const names = layers
    .filter(({ layer }) => layer.type === 'opaque' || weightsOf(layer).length > 0)
    .map(({ name }) => name)
  const seen = new Set<string>()
  const twice = names.find((name) => seen.size === seen.add(name).size)
  if (names.includes('') || twice !== undefined)
    throw new DdsasError(
      'input',
      `program: ${twice ? `two layers with weights are called '${twice}'` : 'a layer with weights has no name'}: give each a name of its own`,
    )
}

/**
 * Draws the weights of a program, in the order of its modules; on the device `meta` there are shapes alone.
 * @throws {DdsasError} `input` for layers whose weights would have no name of their own.
 */
export function makeWeights(program: Program, context: InitContext): ProgramWeights {
  const made: ProgramWeights = { parameters: new Map(), buffers: new Map(), opaque: new Map() }
  const layers = namedLayers(program)
  checkNames(layers)
  for (const { name: prefix, layer } of layers) {
    for (const { name, shape, init, buffer } of weightsOf(layer)) {
      const tensor =
        'fanIn' in init ? uniformByFanIn(shape, init.fanIn, context) : filled(shape, init.value, context)
      ;(buffer ? made.buffers : made.parameters).set(`${prefix}.${name}`, tensor)
    }
    if (layer.type === 'opaque') addOpaque(made, prefix, layer.make(context))
  }
  return made
}

function addOpaque(into: ProgramWeights, prefix: string, own: OpaqueLayer): void {
  into.opaque.set(prefix, own)
  for (const [name, tensor] of namedParameters(own)) into.parameters.set(`${prefix}.${name}`, tensor)
  for (const [name, tensor] of namedBuffers(own)) into.buffers.set(`${prefix}.${name}`, tensor)
}

/** Numbers in the tensors of layers. */
export interface WeightCounts {
  readonly parameters: number
  readonly buffers: number
}

/** How many numbers layers have that are trained, and how many that are saved besides. */
export function weightCounts(layers: readonly NamedLayer[]): WeightCounts {
  const counts = { parameters: 0, buffers: 0 }
  for (const { layer } of layers) {
    const own = layer.type === 'opaque' ? ownCounts(layer) : undefined
    counts.parameters += own?.parameters ?? 0
    counts.buffers += own?.buffers ?? 0
    for (const { shape, buffer } of weightsOf(layer))
      counts[buffer ? 'buffers' : 'parameters'] += shape.reduce((a, b) => a * b, 1)
  }
  return counts
}

/** Of the tensors of a layer of one's own. */
function ownCounts(layer: Opaque): WeightCounts {
  const made = layer.make({ device: 'meta', generator: new Generator(0) })
  const count = (tensors: ReadonlyMap<string, Tensor>) =>
    [...tensors.values()].reduce((sum, { size }) => sum + size, 0)
  const counts = { parameters: count(namedParameters(made)), buffers: count(namedBuffers(made)) }
  disposeModule(made)
  return counts
}

/** How many trained numbers layers have. */
export function parameterCount(layers: readonly NamedLayer[]): number {
  return weightCounts(layers).parameters
}
