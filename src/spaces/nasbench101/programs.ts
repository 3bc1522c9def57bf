/**
 * The network that NAS-Bench-101 trained of a cell (model_builder of google-research/nasbench): a stem, three stacks of cells with a
 * pooling before the second and the third, a classifier. Batch norms have PyTorch's momentum.
 */
import { DdsasError } from '../../errors.ts'
import {
  type Block,
  batchNorm2d,
  channels as channelsLayer,
  conv2d,
  functional,
  images,
  type Layer,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type State,
  type StateId,
  sequential,
} from '../../nn/index.ts'
import { classifier } from '../classifier.ts'
import type { NetworkOptions } from '../space.ts'
import type { CellGraph, OperationName } from './graph.ts'

/** Convolution, batch norm and ReLU; `momentum`: of the norm, PyTorch's unless given. */
export function convBnRelu(inputs: number, outputs: number, kernel: number, momentum?: number): Layer[] {
  return [conv2d(inputs, outputs, kernel), batchNorm2d(outputs, true, momentum), relu]
}

/** An operation below `name`, which keeps the shape [n, c, h, w]. */
export function operationLayers(
  operation: OperationName,
  channels: number,
  name: string,
  momentum?: number,
): Sequence {
  if (operation === 'maxpool3x3') return [functional(pool2d('max', 1))]
  return sequential(name, convBnRelu(channels, channels, operation === 'conv3x3-bn-relu' ? 3 : 1, momentum))
}

/** Whether images are halved before the cell with this number, and channels doubled. */
export function isHalved(cell: number, cells: number): boolean {
  return cell === Math.floor(cells / 3) || cell === Math.floor((2 * cells) / 3)
}

/**
 * The channels of the vertices between input and output. Those that the output reads share its channels, the first ones the
 * rest of an uneven division; any other has as many as the widest that reads it.
 */
export function vertexChannels({ operations, parents }: CellGraph, channels: number): number[] {
  const output = parents[operations.length].filter((vertex) => vertex > 0)
  const share = Math.floor(channels / output.length)
  const found = operations.map((_, index) => {
    const place = output.indexOf(index + 1)
    return place < 0 ? 0 : share + Number(place < channels % output.length)
  })
  for (let vertex = operations.length; vertex > 0; vertex--)
    if (!output.includes(vertex))
      found[vertex - 1] = Math.max(...found.filter((_, index) => parents[index].includes(vertex)))
  return found
}

/** A cell that reads `input`, of so many channels, into states of its block. */
function cellStates(
  graph: CellGraph,
  block: string,
  input: StateId,
  inputs: number,
  channels: number,
): State[] {
  const { operations, parents } = graph
  const widths = [...vertexChannels(graph, channels), channels]
  const id = (vertex: number) => `${block}/${vertex}`
  const states: State[] = []
  const add = (state: State) => {
    states.push(state)
    return state.id
  }
  /** As many channels of a vertex as another one has. */
  const read = (from: number, to: number): StateId => {
    const width = widths[to - 1]
    const into = `${id(to)} from ${from}`
    if (from === 0) {
      const layers = sequential('', convBnRelu(inputs, width, 1))
      const about = { name: `${block}.projections.${to}`, operation: 'projection' }
      return add({ id: into, block, label: '', kind: 'layers', input, ...about, layers })
    }
    if (widths[from - 1] === width) return id(from)
    const layers = [functional(channelsLayer(0, width))]
    return add({ id: into, block, label: '', kind: 'layers', input: id(from), name: '', layers })
  }
  const sum = (of: readonly StateId[], about: Pick<State, 'id' | 'label'>) => {
    const terms = of.map((from) => ({ input: from, name: '', layers: [], operation: '' }))
    return add({ ...about, block, kind: 'sum', terms })
  }
  for (const [index, operation] of operations.entries()) {
    const vertex = index + 1
    // a lone projection is summed, too: what reads the cell's input would be taken for another input of it
    const input = sum(
      parents[index].map((from) => read(from, vertex)),
      { id: `${id(vertex)} in`, label: '' },
    )
    const layers = operationLayers(operation, widths[index], '')
    const name = `${block}.vertices.${vertex}`
    const label = `${operation} ${vertex}`
    add({ id: id(vertex), block, label, kind: 'layers', input, name, operation, layers })
  }
  const output = operations.length + 1
  const inner = parents[operations.length].filter((vertex) => vertex > 0)
  const projected = parents[operations.length].includes(0) ? [read(0, output)] : []
  if (inner.length > 0 && projected.length === 0)
    add({ id: block, block, label: 'output', kind: 'concat', inputs: inner.map(id) })
  else {
    const joined =
      inner.length === 0
        ? []
        : [add({ id: `${id(output)} joined`, block, label: 'concat', kind: 'concat', inputs: inner.map(id) })]
    sum([...joined, ...projected], { id: block, label: 'output' })
  }
  return states
}

/**
 * The benchmark's network of a pruned cell; it has no auxiliary head.
 * @throws {DdsasError} `input` for the beginning of networks for ImageNet, and for fewer channels than the output joins vertices.
 */
export function cellNetwork(graph: CellGraph, options: NetworkOptions): Program {
  const { channels, cells, classes, kind } = options
  if (kind !== 'cifar')
    throw new DdsasError(
      'input',
      `networks of NAS-Bench-101 begin at the size of the images, not as '${kind}': use the kind cifar (network.kind=cifar)`,
    )
  const joined = graph.parents[graph.operations.length].filter((vertex) => vertex > 0).length
  if (channels < joined)
    throw new DdsasError(
      'input',
      `${channels} channels cannot be shared by ${joined} vertices that the output joins: use ${joined} or more`,
    )
  const stem = sequential('', convBnRelu(3, channels, 3))
  const states: State[] = [{ id: 'stem', kind: 'layers', input: images, name: 'stem', layers: stem }]
  const blocks: Block[] = []
  let last: StateId = 'stem'
  let [inputs, width] = [channels, channels]
  for (let index = 0; index < cells; index++) {
    const name = `cells.${index}`
    if (isHalved(index, cells)) {
      const id = `${name} pooled`
      states.push({ id, kind: 'layers', input: last, name: '', layers: [functional(pool2d('max', 2, 2, 0))] })
      last = id
      width *= 2
    }
    states.push(...cellStates(graph, name, last, inputs, width))
    blocks.push({ name, kind: 'cell', output: name })
    last = name
    inputs = width
  }
  states.push({
    id: 'logits',
    kind: 'layers',
    input: last,
    name: '',
    layers: classifier(width, classes, 'classifier'),
  })
  return { states, blocks, outputs: { logits: 'logits' }, modules: ['stem', 'cells', 'classifier'] }
}

/** The size of the network that weights are of, by their names and shapes; undefined where they are of none. */
export function networkOfWeights(
  weights: ReadonlyMap<string, readonly number[]>,
): NetworkOptions | undefined {
  const channels = weights.get('stem.0.weight')?.[0]
  const classes = weights.get('classifier.weight')?.[0]
  const numbers = [...weights.keys()].flatMap((name) => {
    const found = /^cells\.(\d{1,4})\.(projections|vertices)\.\d\.0\.weight$/.exec(name)
    return found ? [Number(found[1])] : []
  })
  if (!channels || !classes || numbers.length === 0) return undefined
  return { kind: 'cifar', channels, cells: Math.max(...numbers) + 1, classes, auxiliary: false }
}
