/** Programs of no space of ours, for readers that must not know one: residual blocks with gates, cells of six edges. */
import {
  type Block,
  batchNorm2d,
  conv2d,
  flatten,
  functional,
  gate,
  globalAvgPool2d,
  images,
  type Layer,
  linear,
  type NamedLayer,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type State,
  type StateId,
  sequential,
  sigmoid,
  type Term,
  zero,
} from '../../../src/nn/index.ts'

function layersState(id: StateId, input: StateId, name: string, layers: Sequence): State {
  return { id, kind: 'layers', input, name, layers }
}

function head(input: StateId, channels: number, classes: number): State {
  const layers = [
    functional(globalAvgPool2d),
    functional(flatten),
    { name: '', layer: linear(channels, classes) },
  ]
  return layersState('logits', input, 'head', layers)
}

const convNorm = (inputs: number, outputs: number, stride: number): Layer[] => [
  conv2d(inputs, outputs, 3, { stride }),
  batchNorm2d(outputs, true),
]

/** Squeeze-and-excite: the channels' means, a bottleneck of a quarter of them, a scale for each. */
function squeezeExcite(channels: number): NamedLayer {
  const scale: Sequence = [
    functional(globalAvgPool2d),
    functional(flatten),
    { name: 'reduce', layer: linear(channels, channels / 4) },
    functional(relu),
    { name: 'expand', layer: linear(channels / 4, channels) },
    functional(sigmoid),
  ]
  return { name: 'se', layer: gate(scale) }
}

/** Two plain 3x3 convolutions and a gate, added to the input or to a pooled 1x1 convolution of it; a ReLU after that. */
function residual(name: string, input: StateId, inputs: number, outputs: number): State[] {
  const stride = inputs === outputs ? 1 : 2
  const layers: Layer[] = [...convNorm(inputs, outputs, stride), relu, ...convNorm(outputs, outputs, 1)]
  const shortcut: Layer[] = [pool2d('avg', 2, 2, 0), conv2d(inputs, outputs, 1)]
  const terms: Term[] = [
    {
      input,
      name: `${name}.body`,
      layers: [...sequential('conv', layers), squeezeExcite(outputs)],
      operation: 'conv_se',
    },
    {
      input,
      name: `${name}.shortcut`,
      layers: stride === 1 ? [] : sequential('', shortcut),
      operation: 'shortcut',
    },
  ]
  return [
    { id: `${name}/sum`, block: name, label: '0', kind: 'sum', terms },
    {
      id: name,
      block: name,
      label: 'out',
      kind: 'layers',
      input: `${name}/sum`,
      name: '',
      layers: [functional(relu)],
    },
  ]
}

/** A stem, residual blocks that go from one of the widths to the next, a linear head. */
export function residualProgram(widths: readonly number[] = [8, 8, 16, 16, 32], classes = 7): Program {
  const [first] = widths
  const stem = sequential('', [conv2d(3, first, 3, { bias: true }), batchNorm2d(first, true), relu])
  const names = widths.slice(1).map((_, index) => `layers.${index}`)
  const blocks = names.map((name): Block => ({ name, kind: 'residual', output: name }))
  const states = names.flatMap((name, index) =>
    residual(name, index === 0 ? 'stem' : names[index - 1], widths[index], widths[index + 1]),
  )
  return {
    states: [
      layersState('stem', images, 'stem', stem),
      ...states,
      head(names[names.length - 1], widths[widths.length - 1], classes),
    ],
    blocks,
    outputs: { logits: 'logits' },
    modules: ['stem', 'layers', 'head'],
  }
}

const edgeOperations: Readonly<Record<string, (channels: number) => Sequence>> = {
  none: () => [functional(zero(1))],
  skip_connect: () => [],
  nor_conv_1x1: (channels) =>
    sequential('op', [relu, conv2d(channels, channels, 1), batchNorm2d(channels, true)]),
  nor_conv_3x3: (channels) =>
    sequential('op', [relu, conv2d(channels, channels, 3), batchNorm2d(channels, true)]),
  avg_pool_3x3: () => [functional(pool2d('avg', 1))],
}

/** A cell of one input and three nodes; each reads all before it, the last one is the output. */
function sixEdges(name: string, input: StateId, channels: number, operations: readonly string[]): State[] {
  const at = (node: number) => (node === 0 ? input : node === 3 ? name : `${name}/${node}`)
  return [1, 2, 3].map((node): State => {
    const terms = Array.from({ length: node }, (_, from): Term => {
      const operation = operations[(node * (node - 1)) / 2 + from]
      return {
        input: at(from),
        name: `${name}.edges.${node}<-${from}`,
        layers: edgeOperations[operation](channels),
        operation,
      }
    })
    return { id: at(node), block: name, label: String(node), kind: 'sum', terms }
  })
}

export const sixOperations = [
  'nor_conv_3x3',
  'skip_connect',
  'none',
  'avg_pool_3x3',
  'nor_conv_1x1',
  'nor_conv_3x3',
]

/** Stages of cells of six edges, as in NAS-Bench-201: one width each, a residual block without a gate between them. */
export function sixEdgeProgram(operations: readonly string[] = sixOperations, classes = 7): Program {
  const stem = sequential('', convNorm(3, 8, 1))
  const states: State[] = [layersState('stem', images, 'stem', stem)]
  const blocks: Block[] = []
  let last: StateId = 'stem'
  let channels = 8
  for (const [index, kind] of (['cell', 'cell', 'reduction', 'cell', 'cell'] as const).entries()) {
    const name = `cells.${index}`
    if (kind === 'cell') states.push(...sixEdges(name, last, channels, operations))
    else states.push(...reduction(name, last, channels))
    channels = kind === 'cell' ? channels : 2 * channels
    blocks.push({ name, kind, output: name })
    last = name
  }
  const end = [
    ...sequential('lastact', [batchNorm2d(channels, true), relu]),
    functional(globalAvgPool2d),
    functional(flatten),
  ]
  states.push(
    layersState('features', last, '', end),
    layersState('logits', 'features', 'classifier', [{ name: '', layer: linear(channels, classes) }]),
  )
  return {
    states,
    blocks,
    outputs: { logits: 'logits' },
    modules: ['stem', 'cells', 'lastact', 'classifier'],
  }
}

function reduction(name: string, input: StateId, channels: number): State[] {
  const of = (id: string, from: StateId, layers: readonly Layer[]): State => ({
    id: `${name}/${id}`,
    block: name,
    label: id,
    kind: 'layers',
    input: from,
    name: `${name}.${id}`,
    layers: sequential('', layers),
  })
  const ends = ['conv_b', 'downsample'].map((id) => ({
    input: `${name}/${id}`,
    name: '',
    layers: [],
    operation: '',
  }))
  return [
    of('conv_a', input, [relu, ...convNorm(channels, 2 * channels, 2)]),
    of('conv_b', `${name}/conv_a`, [relu, ...convNorm(2 * channels, 2 * channels, 1)]),
    of('downsample', input, [pool2d('avg', 2, 2, 0), conv2d(channels, 2 * channels, 1)]),
    { id: name, block: name, label: 'out', kind: 'sum', terms: ends },
  ]
}
