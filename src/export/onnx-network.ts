/** A program as an ONNX graph, in evaluation mode: a node for each layer. */
import { DdsasError } from '../errors.ts'
import {
  images as imagesId,
  isZero,
  joinName,
  lookUp,
  type NamedLayer,
  type Program,
  type Sequence,
  type State,
  type StateId,
  type Term,
} from '../nn/index.ts'
import type { OnnxGraph } from './onnx-graph.ts'

/** Adds the node of a layer, applied to `x`, under `value`; returns its output. */
function addLayer(graph: OnnxGraph, { name, layer }: NamedLayer, x: string, value: string): string {
  switch (layer.type) {
    case 'relu':
      return graph.relu(x)
    case 'sigmoid':
      return graph.node('Sigmoid', value, [x])
    case 'conv2d':
      return graph.conv(value, name, x, layer)
    case 'batch_norm2d':
      return graph.norm(value, name, layer.affine, x)
    case 'max_pool2d':
      return graph.pool('MaxPool', value, x, layer)
    case 'avg_pool2d':
      return graph.pool('AveragePool', value, x, layer)
    case 'shift':
      return graph.shifted(value, x)
    case 'channels':
      return graph.sliced(value, x, [1n], [BigInt(layer.from)], [BigInt(layer.to)])
    case 'channel_shuffle':
      return graph.shuffled(value, x, layer)
    case 'global_avg_pool2d':
      return graph.node('GlobalAveragePool', value, [x])
    case 'flatten':
      return graph.node('Flatten', value, [x])
    case 'linear':
      return graph.linear(value, name, x)
    case 'concat': {
      const parts = layer.branches.map((branch, index) =>
        addSequence(graph, branch, name, x, `${value}.${index}`),
      )
      return graph.concat(value, parts)
    }
    case 'gate': {
      const scale = addSequence(graph, layer.layers, name, x, `${value}.scale`)
      return graph.node('Mul', value, [x, graph.perChannel(`${value}.scales`, scale)])
    }
    case 'zero':
      if (layer.stride === 1)
        return graph.node('Mul', value, [x, graph.constant(`${value}.zero`, Float32Array.of(0), [])])
      throw new DdsasError(
        'input',
        `${name}: zeros of every ${layer.stride}nd pixel alone cannot be exported to ONNX: add another operation to the sum`,
      )
    case 'opaque':
      throw new DdsasError(
        'input',
        `the layer '${layer.name}' at ${name} cannot be exported to ONNX: nobody knows its nodes; use layers of ddsas for it`,
      )
  }
}

/** Adds layers whose weights' names begin with `prefix`; the last one's output is `value`. */
function addSequence(graph: OnnxGraph, layers: Sequence, prefix: string, x: string, value: string): string {
  return layers.reduce((input, { name, layer }, index) => {
    const own = index === layers.length - 1 ? value : `${value}.${index}`
    return addLayer(graph, { name: joinName(prefix, name), layer }, input, own)
  }, x)
}

function addSum(
  graph: OnnxGraph,
  id: StateId,
  terms: readonly Term[],
  values: ReadonlyMap<StateId, string>,
): string {
  const others = terms.filter(({ layers }) => !isZero(layers))
  const some = others.length > 0 ? others : terms.slice(0, 1)
  const added = some.map(({ input, name, layers }) =>
    addSequence(graph, layers, name, lookUp(values, input), name),
  )
  return graph.node(added.length === 2 ? 'Add' : 'Sum', id, added)
}

function addState(graph: OnnxGraph, state: State, values: ReadonlyMap<StateId, string>): string {
  switch (state.kind) {
    case 'layers':
      return addSequence(graph, state.layers, state.name, lookUp(values, state.input), state.id)
    case 'sum':
      return addSum(graph, state.id, state.terms, values)
    case 'concat':
      return graph.concat(
        state.id,
        state.inputs.map((id) => lookUp(values, id)),
      )
  }
}

/**
 * Adds a network to a graph: normalised images [n, 3, h, w] -> logits [n, classes], whose name is returned.
 * @throws {DdsasError} `input` naming a layer that ONNX has no nodes for.
 */
export function addProgram(graph: OnnxGraph, program: Program, images: string): string {
  const values = new Map([[imagesId, images]])
  for (const state of program.states) values.set(state.id, addState(graph, state, values))
  return lookUp(values, program.outputs.logits)
}
