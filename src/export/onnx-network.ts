/** A discrete network as an ONNX graph: stem, cells and classifier, in evaluation mode. */
import { DdsasError } from '../errors.ts'
import type { Genotype } from '../spaces/darts/genotype.ts'
import { reductionCells } from '../spaces/darts/layout.ts'
import type { NetworkShape } from '../spaces/darts/network.ts'
import type { NetworkKind } from '../spaces/darts/stem.ts'
import type { OnnxGraph } from './onnx-graph.ts'

/** Adds an operation with weights under `name`, applied to `x`; returns its output. */
type AddOperation = (graph: OnnxGraph, name: string, x: string, stride: number) => string

function convNorm(graph: OnnxGraph, [conv, norm]: readonly [string, string], x: string, stride = 1): string {
  return graph.norm(norm, graph.conv(conv, x, { stride }))
}

function reluConvNorm(graph: OnnxGraph, name: string, x: string): string {
  return convNorm(graph, [`${name}.op.1`, `${name}.op.2`], graph.relu(x))
}

const factorizedReduce: AddOperation = (graph, name, x) => {
  const rectified = graph.relu(x)
  const first = graph.conv(`${name}.conv_1`, rectified, { stride: 2 })
  const second = graph.conv(`${name}.conv_2`, graph.shifted(`${name}.shifted`, rectified), { stride: 2 })
  return graph.norm(`${name}.bn`, graph.concat(`${name}.concat`, [first, second]))
}

/** ReLU, depthwise and pointwise convolution, batch norm: three positions of PyTorch's sequence from `first`. */
function depthwise(
  graph: OnnxGraph,
  name: string,
  x: string,
  { first, stride, dilation }: { first: number; stride: number; dilation: number },
): string {
  const spatial = graph.conv(`${name}.op.${first}`, graph.relu(x), { stride, dilation, depthwise: true })
  return convNorm(graph, [`${name}.op.${first + 1}`, `${name}.op.${first + 2}`], spatial)
}

const separable: AddOperation = (graph, name, x, stride) => {
  const half = depthwise(graph, name, x, { first: 1, stride, dilation: 1 })
  return depthwise(graph, name, half, { first: 5, stride: 1, dilation: 1 })
}

const dilated: AddOperation = (graph, name, x, stride) =>
  depthwise(graph, name, x, { first: 1, stride, dilation: 2 })

const operations: Readonly<Record<string, AddOperation>> = {
  max_pool_3x3: (graph, name, x, stride) => graph.pool('MaxPool', name, x, stride),
  avg_pool_3x3: (graph, name, x, stride) => graph.pool('AveragePool', name, x, stride),
  skip_connect: (graph, name, x, stride) => (stride === 1 ? x : factorizedReduce(graph, name, x, stride)),
  sep_conv_3x3: separable,
  sep_conv_5x5: separable,
  dil_conv_3x3: dilated,
  dil_conv_5x5: dilated,
}

function addOperation(graph: OnnxGraph, operation: string, name: string, x: string, stride: number): string {
  if (!Object.hasOwn(operations, operation))
    throw new DdsasError('input', `the operation '${operation}' cannot be exported; use one of DARTS's`)
  return operations[operation](graph, name, x, stride)
}

interface CellPlace {
  readonly name: string
  readonly reduction: boolean
  readonly afterReduction: boolean
}

function addCell(graph: OnnxGraph, genotype: Genotype, place: CellPlace, s0: string, s1: string): string {
  const { name, reduction, afterReduction } = place
  const type = reduction ? 'reduce' : 'normal'
  const first = afterReduction ? factorizedReduce : reluConvNorm
  const states = [first(graph, `${name}.preprocess0`, s0, 2), reluConvNorm(graph, `${name}.preprocess1`, s1)]
  const edges = genotype[type]
  for (let edge = 0; edge < edges.length; edge += 2) {
    const terms = [edge, edge + 1].map((index) => {
      const [operation, input] = edges[index]
      const stride = reduction && input < 2 ? 2 : 1
      return addOperation(graph, operation, `${name}._ops.${index}`, states[input], stride)
    })
    states.push(graph.node('Add', `${name}.node${edge / 2}`, terms))
  }
  return graph.concat(
    name,
    genotype[`${type}_concat`].map((state) => states[state]),
  )
}

/** What the first cell reads, from normalised images. */
const stems: Readonly<Record<NetworkKind, (graph: OnnxGraph, images: string) => [string, string]>> = {
  cifar: (graph, images) => {
    const s = convNorm(graph, ['stem.0', 'stem.1'], images)
    return [s, s]
  },
  imagenet: (graph, images) => {
    const half = graph.relu(convNorm(graph, ['stem0.0', 'stem0.1'], images, 2))
    const s0 = convNorm(graph, ['stem0.3', 'stem0.4'], half, 2)
    return [s0, convNorm(graph, ['stem1.1', 'stem1.2'], graph.relu(s0), 2)]
  },
}

/** Adds the network to a graph: normalised images [n, 3, h, w] -> `output` [n, classes]. */
export function addNetwork(graph: OnnxGraph, shape: NetworkShape, images: string, output: string): void {
  const reductions = reductionCells(shape.cells)
  let [s0, s1] = stems[shape.kind](graph, images)
  // the large stem halves its second output, as a reduction cell does
  let afterReduction = shape.kind === 'imagenet'
  for (let index = 0; index < shape.cells; index++) {
    const reduction = reductions.includes(index)
    const place = { name: `cells.${index}`, reduction, afterReduction }
    const next = addCell(graph, shape.genotype, place, s0, s1)
    s0 = s1
    s1 = next
    afterReduction = reduction
  }
  graph.classifier('classifier', output, s1)
}
