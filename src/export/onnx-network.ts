/** A program as an ONNX graph, in evaluation mode: a node for each layer. */
import { DdsasError } from '../errors.ts'
import {
  images as imagesId,
  isZero,
  joinName,
  lookUp,
  type NamedLayer,
  type Program,
  programShapes,
  type Sequence,
  type Shape,
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
    // a network that is exported leaves nothing out
    case 'dropout':
      return graph.node('Identity', value, [x])
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

/** States as they are added, and how many channels each has. */
interface Added {
  readonly values: ReadonlyMap<StateId, string>
  readonly channels: (id: StateId) => number
}

/**
 * A sum of zeros alone is a depthwise convolution: runtimes keep their own order of channels across one, and would change to the plain
 * one and back for a product with 0.
 */
function addZeros(
  graph: OnnxGraph,
  id: StateId,
  { input, name, layers }: Term,
  { values, channels }: Added,
): string {
  const x = addSequence(graph, layers.slice(0, -1), name, lookUp(values, input), `${name}.before`)
  const last = layers.at(-1)?.layer
  return graph.zeros(id, x, channels(id), last?.type === 'zero' ? last.stride : 1)
}

function addSum(graph: OnnxGraph, id: StateId, terms: readonly Term[], states: Added): string {
  const { values } = states
  const others = terms.filter(({ layers }) => !isZero(layers))
  if (others.length === 0) return addZeros(graph, id, terms[0], states)
  const addTerm = ({ input, name, layers }: Term, value: string) =>
    addSequence(graph, layers, name, lookUp(values, input), value)
  if (others.length === 1) return addTerm(others[0], id)
  const added = others.map((term) => addTerm(term, term.name))
  return graph.node(added.length === 2 ? 'Add' : 'Sum', id, added)
}

function addState(graph: OnnxGraph, state: State, states: Added): string {
  const { values } = states
  switch (state.kind) {
    case 'layers':
      return addSequence(graph, state.layers, state.name, lookUp(values, state.input), state.id)
    case 'sum':
      return addSum(graph, state.id, state.terms, states)
    case 'concat':
      return graph.concat(
        state.id,
        state.inputs.map((id) => lookUp(values, id)),
      )
  }
}

/**
 * Adds a network to a graph: normalised images [n, ...input] -> logits [n, classes], whose name is returned.
 * @throws {DdsasError} `input` naming a layer that ONNX has no nodes for.
 */
export function addProgram(graph: OnnxGraph, program: Program, images: string, input: Shape): string {
  const values = new Map([[imagesId, images]])
  // few programs have sums of zeros alone, and those have many
  let shapes: ReadonlyMap<StateId, Shape> | undefined
  const channels = (id: StateId) => {
    shapes ??= programShapes(program, input)
    return lookUp(shapes, id)[0]
  }
  for (const state of program.states) values.set(state.id, addState(graph, state, { values, channels }))
  return lookUp(values, program.outputs.logits)
}
