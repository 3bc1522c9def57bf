/** The programs of the DARTS space: a stem, a stack of cells, a classifier, for supernets and for single architectures. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import type { Block, Program, Sequence, State, StateId, Term } from '../../nn/index.ts'
import { classifier } from '../classifier.ts'
import { PartialChannels } from '../partial-channels.ts'
import { candidateLayers } from '../skip-dropout.ts'
import type { NetworkOptions, SupernetOptions } from '../space.ts'
import type { CellType, Genotype } from './genotype.ts'
import { factorizedReduce, type OperationOptions, reluConvBn } from './operations.ts'
import { type CellSpace, edgeIndex } from './space.ts'
import { networkKinds, type Stem, supernetStems } from './stem.ts'

/** What texts call the cells. */
const cellNames: Readonly<Record<CellType, string>> = { normal: 'normal cell', reduce: 'reduction cell' }

/** Positions of the reduction cells among `cells`: at a third and at two thirds of the way. */
export function reductionCells(cells: number): readonly number[] {
  return [Math.floor(cells / 3), Math.floor((2 * cells) / 3)]
}

/** A cell at its place in a network. */
interface Place {
  /** What its weights' names begin with, and the name of its output: `cells.3`. */
  readonly name: string
  /** A reduction cell halves the image: the edges from its inputs have stride 2. */
  readonly type: CellType
  readonly channels: number
  readonly affine: boolean
  /** Its states: the two inputs, then the nodes. */
  readonly state: (index: number) => StateId
}

/** What is particular to a supernet or to an architecture: the nodes, and which states are the output. */
interface Inside {
  /** The states of all nodes; those of the node `n` end with `place.state(n + 2)`. */
  nodes(place: Place): readonly State[]
  concat(type: CellType): readonly number[]
}

interface StackShape extends NetworkOptions {
  readonly stem: Stem
  /** Whether batch norms are trained: in networks, not in a supernet. */
  readonly affine: boolean
}

/** A node is the sum of terms. */
function sums(place: Place, nodes: readonly (readonly Term[])[]): State[] {
  return nodes.map((terms, node) => ({
    id: place.state(node + 2),
    block: place.name,
    label: String(node),
    kind: 'sum',
    terms,
  }))
}

/** Options of the operation that reads input `input` of a cell. */
function optionsAt({ type, channels, affine }: Place, input: number): OperationOptions {
  return { channels, affine, stride: type === 'reduce' && input < 2 ? 2 : 1 }
}

/** The stack, with cells that `inside` fills. */
function stack(shape: StackShape, inside: Inside): Program {
  const { kind, stem, cells, classes, affine } = shape
  const { auxiliary } = networkKinds[kind]
  const states: State[] = [...stem.states]
  const blocks: Block[] = []
  const reductions = reductionCells(cells)
  let inputs: readonly [StateId, StateId] = stem.outputs
  let inputChannels: readonly [number, number] = [stem.channels, stem.channels]
  let afterReduction = stem.halves
  let channels = shape.channels
  for (let index = 0; index < cells; index++) {
    const type = reductions.includes(index) ? 'reduce' : 'normal'
    if (type === 'reduce') channels *= 2
    const name = `cells.${index}`
    const place: Place = { name, type, channels, affine, state: (at) => `${name}/${at}` }
    states.push(...prepared(place, inputs, inputChannels, afterReduction), ...inside.nodes(place), {
      id: name,
      block: name,
      label: 'c_{k}',
      kind: 'concat',
      inputs: inside.concat(type).map(place.state),
    })
    blocks.push({ name, kind: type, label: cellNames[type], output: name })
    inputs = [inputs[1], name]
    inputChannels = [inputChannels[1], inside.concat(type).length * channels]
    if (shape.auxiliary && index === reductions[1])
      states.push({
        id: 'auxiliary',
        kind: 'layers',
        input: name,
        name: 'auxiliary_head',
        layers: auxiliary(inputChannels[1], classes),
      })
    afterReduction = type === 'reduce'
  }
  const layers = classifier(inputChannels[1], classes, '')
  states.push({ id: 'logits', kind: 'layers', input: inputs[1], name: 'classifier', layers })
  return {
    states,
    blocks,
    outputs: { logits: 'logits', ...(shape.auxiliary ? { auxiliary: 'auxiliary' } : {}) },
    modules: ['stem', 'stem0', 'stem1', 'cells', 'auxiliary_head', 'classifier'],
  }
}

const preparations = { factorized_reduce: factorizedReduce, relu_conv_bn: reluConvBn } as const

/** The two inputs of a cell, brought to its channels and size. */
function prepared(
  { name, channels, affine, state }: Place,
  [before, last]: readonly [StateId, StateId],
  inputChannels: readonly [number, number],
  afterReduction: boolean,
): State[] {
  const make = (
    index: 0 | 1,
    label: string,
    input: StateId,
    operation: keyof typeof preparations,
  ): State => ({
    id: state(index),
    block: name,
    label,
    kind: 'layers',
    input,
    name: `${name}.preprocess${index}`,
    layers: preparations[operation](inputChannels[index], channels, affine),
    operation,
  })
  return [
    make(0, 'c_{k-2}', before, afterReduction ? 'factorized_reduce' : 'relu_conv_bn'),
    make(1, 'c_{k-1}', last, 'relu_conv_bn'),
  ]
}

const sizes = { channels: z.int().positive(), cells: z.int().positive(), classes: z.int().positive() }
const kind = z.enum(Object.keys(networkKinds))
const supernetSchema = z.object({
  ...sizes,
  stem: kind.optional(),
  partialChannels: z.int().positive().optional(),
  skipDropout: z.boolean().optional(),
})
const networkSchema = z.object({
  ...sizes,
  kind,
  auxiliary: z.boolean(),
})

/** Throws DdsasError 'input' where options are none of a network of a space. */
function checkOptions({ name }: CellSpace, schema: z.ZodType, options: unknown): void {
  checkGiven(schema, options, `the space '${name}'`, 'options')
}

/**
 * The supernet: every candidate on every edge; all architectures of a space share its weights.
 * @throws {DdsasError} `input` for sizes that cannot be.
 */
export function supernetProgram(space: CellSpace, shape: SupernetOptions): Program {
  checkOptions(space, supernetSchema, shape)
  const operations = Object.entries(space.operations)
  const { partialChannels: partial = 1, skipDropout = false } = shape
  const edge = (place: Place, row: number, input: number, reads: StateId): Term[] =>
    operations.map(([operation, make], column) => ({
      input: reads,
      name: `${place.name}._ops.${row}._ops.${column}`,
      layers: candidateLayers(make(optionsAt(place, input)), skipDropout),
      operation,
      choice: { group: place.type, row, column },
    }))
  const concat = Array.from({ length: space.nodes }, (_, node) => node + 2)
  const kind = shape.stem ?? 'cifar'
  const stem = supernetStems[kind](shape.channels)
  return stack(
    { ...shape, kind, stem, auxiliary: false, affine: false },
    {
      nodes: (place) =>
        partial > 1
          ? partialNodes(space, place, partial, edge)
          : sums(
              place,
              concat.map((inputs, node) =>
                Array.from({ length: inputs }, (_, input) =>
                  edge(place, edgeIndex(node, input), input, place.state(input)),
                ).flat(),
              ),
            ),
      concat: () => concat,
    },
  )
}

/** The candidates of an edge into a node, at a place whose channels are those that they see. */
type EdgeTerms = (place: Place, row: number, input: number, reads: StateId) => readonly Term[]

function partialNodes({ nodes }: CellSpace, place: Place, partial: number, terms: EdgeTerms): State[] {
  const parts = new PartialChannels(place.channels, partial)
  return Array.from({ length: nodes }, (_, node) =>
    parts.node({
      id: place.state(node + 2),
      block: place.name,
      label: String(node),
      edges: Array.from({ length: node + 2 }, (_, input) => {
        const row = edgeIndex(node, input)
        return {
          input: place.state(input),
          stride: optionsAt(place, input).stride,
          terms: (channels: number, reads: StateId) => terms({ ...place, channels }, row, input, reads),
        }
      }),
    }),
  ).flat()
}

/** What makes the layers of an operation at its place. */
type Layers = (operation: string, place: Place, input: number) => Sequence

/** Two terms into each node, as a genotype says. */
function insideOf(genotype: Genotype, layers: Layers): Inside {
  const term = (place: Place, at: number): Term => {
    const [operation, input] = genotype[place.type][at]
    return {
      input: place.state(input),
      name: `${place.name}._ops.${at}`,
      layers: layers(operation, place, input),
      operation,
    }
  }
  return {
    nodes: (place) =>
      sums(
        place,
        Array.from({ length: genotype[place.type].length / 2 }, (_, node) => [
          term(place, 2 * node),
          term(place, 2 * node + 1),
        ]),
      ),
    concat: (type) => genotype[`${type}_concat`],
  }
}

/**
 * The network a genotype stands for: two operations into each node.
 * @throws {DdsasError} `input` for an operation that there is not.
 */
export function networkProgram(genotype: Genotype, shape: NetworkOptions, space: CellSpace): Program {
  checkOptions(space, networkSchema, shape)
  const layers: Layers = (operation, place, input) => {
    if (operation !== 'none' && Object.hasOwn(space.operations, operation))
      return space.operations[operation](optionsAt(place, input))
    throw new DdsasError(
      'input',
      `a network cannot be built with the operation '${operation}': use one of ${Object.keys(space.operations).join(', ')}`,
    )
  }
  const stem = networkKinds[shape.kind].stem(shape.channels)
  return stack({ ...shape, stem, affine: true }, insideOf(genotype, layers))
}

/** The cells of a genotype of any operations, for readers that show them: the operations are names without layers. */
export function genotypeProgram(genotype: Genotype): Program {
  const shape = { kind: 'cifar', channels: 2, cells: 3, classes: 1, auxiliary: false, affine: true } as const
  return stack(
    { ...shape, stem: networkKinds.cifar.stem(shape.channels) },
    insideOf(genotype, () => []),
  )
}
