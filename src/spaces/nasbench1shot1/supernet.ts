/**
 * The supernet of NAS-Bench-1Shot1 (its optimizers/darts/model_search.py): each block sums what it reads, weighted, and mixes its
 * operations of that; the output joins all blocks, each weighted, and adds the cell's input, weighted. Weights have the published names.
 */
import {
  type Block,
  batchNorm2d,
  conv2d,
  functional,
  images,
  type Program,
  pool2d,
  relu,
  type State,
  type StateId,
  sequential,
  type Term,
  zero,
} from '../../nn/index.ts'
import { classifier } from '../classifier.ts'
import { convBnRelu, isHalved, operationLayers } from '../nasbench101/programs.ts'
import type { SupernetOptions } from '../space.ts'
import { decidedNodes, parentCounts, primitives, type SpaceNumber } from './architecture.ts'

/** Meant as TensorFlow's, which is PyTorch's 0.003: running statistics are nearly the last batch's. */
const momentum = 0.997

/** Names of the groups of decisions. */
export const groups = { ops: 'op', output: 'output', input: (node: number) => `input.${node}` } as const

/** A convolution, batch norm and ReLU as the published class has it. */
const published = (inputs: number, outputs: number, kernel: number) =>
  sequential('op', convBnRelu(inputs, outputs, kernel, momentum))

/** A cell that reads `input`, of so many channels; it makes `channels` for each block. */
function cellStates(
  space: SpaceNumber,
  block: string,
  input: StateId,
  inputs: number,
  channels: number,
): State[] {
  const blocks = parentCounts[space].length - 1
  const decided = decidedNodes(space)
  const id = (node: number) => `${block}/${node}`
  const projection = (node: number): State => {
    const layers = published(inputs, node > blocks ? blocks * channels : channels, 1)
    const name = `${block}._input_projections.${node - 1}`
    return { id: `${id(node)} from 0`, block, kind: 'layers', input, name, layers, operation: 'projection' }
  }
  const states: State[] = []
  for (let node = 1; node <= blocks; node++) {
    const group = groups.input(node)
    const parents = Array.from({ length: node }, (_, parent) =>
      parent === 0 ? `${id(node)} from 0` : id(parent),
    )
    const inputTerms = parents.map(
      (from, column): Term => ({
        ...{ input: from, name: '', layers: [], operation: column === 0 ? 'input' : String(column) },
        ...(decided.includes(node) ? { choice: { group, row: 0, column } } : {}),
      }),
    )
    const read: State = { id: `${id(node)} in`, block, kind: 'sum', terms: inputTerms }
    const operations = primitives.map(
      (operation, column): Term => ({
        input: read.id,
        name: `${block}._choice_blocks.${node - 1}.mixed_op._ops.${column}`,
        layers: operationLayers(operation, channels, 'op.op', momentum),
        operation,
        choice: { group: groups.ops, row: node - 1, column },
      }),
    )
    states.push(projection(node), read, {
      id: id(node),
      block,
      label: String(node),
      kind: 'sum',
      terms: operations,
    })
  }
  return [...states, ...outputStates(block, blocks, projection(blocks + 1))]
}

/** w0 times the projected input, and beside one another w1, w2, … times the blocks. What does not run is zero there. */
function outputStates(block: string, blocks: number, projected: State): State[] {
  const choice = (column: number) => ({ group: groups.output, row: 0, column })
  const weighted = Array.from({ length: blocks }, (_, index): State => {
    const term = { input: `${block}/${index + 1}`, name: '' }
    const terms: Term[] = [
      { ...term, layers: [], operation: String(index + 1), choice: choice(index + 1) },
      { ...term, layers: [functional(zero(1))], operation: 'none' },
    ]
    return { id: `${block}/weighted ${index + 1}`, block, kind: 'sum', terms }
  })
  const joined: State = { id: `${block}/joined`, block, kind: 'concat', inputs: weighted.map(({ id }) => id) }
  const terms: Term[] = [
    { input: projected.id, name: '', layers: [], operation: 'input', choice: choice(0) },
    { input: joined.id, name: '', layers: [], operation: 'blocks' },
  ]
  return [projected, ...weighted, joined, { id: block, block, label: 'output', kind: 'sum', terms }]
}

/** The supernet of a space, of sizes that were checked. */
export function supernetProgram(space: SpaceNumber, { channels, cells, classes }: SupernetOptions): Program {
  const blocksOfCell = parentCounts[space].length - 1
  const states: State[] = [
    { id: 'stem', kind: 'layers', input: images, name: 'stem', layers: published(3, channels, 3) },
  ]
  const blocks: Block[] = []
  const modules = ['stem']
  let last: StateId = 'stem'
  let [inputs, width] = [channels, channels]
  for (let index = 0; index < cells; index++) {
    const name = `cells.${index}`
    if (isHalved(index, cells)) {
      // published so: 16 pixels become 9, and 5
      const layers = [functional(pool2d('max', 2, 2, 1))]
      states.push({ id: `${name} pooled`, kind: 'layers', input: last, name: '', layers })
      last = `${name} pooled`
      width *= 2
    }
    states.push(...cellStates(space, name, last, inputs, width))
    blocks.push({ name, kind: 'cell', output: name })
    modules.push(`${name}._choice_blocks`, `${name}._input_projections`)
    last = name
    inputs = blocksOfCell * width
  }
  const post = sequential('postprocess.op', [relu, conv2d(inputs, width, 1), batchNorm2d(width, false)])
  const head = classifier(width, classes, 'classifier')
  states.push({ id: 'logits', kind: 'layers', input: last, name: '', layers: [...post, ...head] })
  return { states, blocks, outputs: { logits: 'logits' }, modules: [...modules, 'postprocess', 'classifier'] }
}
