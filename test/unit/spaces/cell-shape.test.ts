/** Skip connections, depth and width of cells, against ways that are counted one by one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { State } from '../../../src/nn/index.ts'
import { cellShapes } from '../../../src/spaces/cell-shape.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench1shot1Space } from '../../../src/spaces/nasbench1shot1/space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { Generator } from '../../../src/torch/random.ts'

const cellOf = (text: string) => cellShapes(nasbench201Space, nasbench201Space.parse(text, 'test')).cell

/** Rows of the ways from the input of a cell of NAS-Bench-201 to its output. */
const ways = [[3], [0, 4], [1, 5], [0, 2, 5]]
const weighs = (name: string) => name.startsWith('nor_conv')

function depthByWays(cell: readonly string[]): number {
  const open = ways.filter((rows) => rows.every((row) => cell[row] !== 'none'))
  return Math.max(0, ...open.map((rows) => rows.filter((row) => weighs(cell[row])).length))
}

const { candidates } = nasbench201Space.choices[0]
const cellNumber = (number: number) =>
  Array.from({ length: 6 }, (_, row) => candidates[Math.floor(number / 5 ** row) % 5])

test('the depth is the most convolutions on a way from input to output: 5,520 cells of NAS-Bench-201 have two', () => {
  const all = Array.from({ length: 15_625 }, (_, number) => cellNumber(number))
  assert.equal(all.filter((cell) => depthByWays(cell) === 2).length, 5520)
  const generator = new Generator(1, 'cells')
  for (let draw = 0; draw < 60; draw++) {
    const cell = all[generator.below(all.length)]
    const { depth, operations, skips } = cellShapes(nasbench201Space, { cell }).cell
    assert.equal(depth, depthByWays(cell), cell.join())
    assert.equal(operations, cell.filter((name) => name !== 'none').length)
    assert.equal(skips, cell.filter((name) => name === 'skip_connect').length)
  }
})

test('what leads nowhere, or comes from nothing, does not count', () => {
  const chain = cellOf('|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|')
  assert.deepEqual(chain, { operations: 3, skips: 0, depth: 3, width: 1 })
  const abreast = cellOf(
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|skip_connect~1|avg_pool_3x3~2|',
  )
  assert.deepEqual(abreast, { operations: 5, skips: 1, depth: 1, width: 3 })
  const nowhere = cellOf('|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|none~2|')
  assert.deepEqual(nowhere, { operations: 3, skips: 2, depth: 0, width: 0 })
  const nothing = cellOf('|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|')
  assert.deepEqual(nothing, { operations: 3, skips: 1, depth: 0, width: 0 })
})

const concat = { normal_concat: [2, 3, 4, 5], reduce_concat: [2, 3, 4, 5] }
type Edges = [string, number][]

test('cells of DARTS: what prepares the inputs is no operation, and a skip that halves the image is a skip', () => {
  const four = (edges: (node: number) => Edges): Edges => [0, 1, 2, 3].flatMap(edges)
  const skips = four(() => [
    ['skip_connect', 0],
    ['skip_connect', 1],
  ])
  const chain = four((node) => [
    ['sep_conv_3x3', node + 1],
    ['max_pool_3x3', 0],
  ])
  const shapes = cellShapes(dartsSpace, { normal: chain, reduce: skips, ...concat })
  assert.deepEqual(shapes, {
    normal: { operations: 8, skips: 0, depth: 4, width: 1 },
    reduce: { operations: 8, skips: 8, depth: 0, width: 0 },
  })
  const abreast = four(() => [
    ['dil_conv_5x5', 0],
    ['sep_conv_5x5', 1],
  ])
  assert.deepEqual(cellShapes(dartsSpace, { normal: abreast, reduce: skips, ...concat }).normal, {
    operations: 8,
    skips: 0,
    depth: 1,
    width: 8,
  })
})

test('operations on states count like those on edges; a block that names no candidate is left out', () => {
  const space = (operation: string | undefined): typeof nasbench201Space => ({
    ...nasbench201Space,
    network: (cell, options) => {
      const program = nasbench201Space.network(cell, options)
      // each term as a state of its own that a sum passes on
      const states = program.states.flatMap((state): State[] => {
        if (state.kind !== 'sum' || state.terms.every(({ operation: name }) => name === '')) return [state]
        const ways = state.terms.map(({ input, layers, name, operation: own }, at) => ({
          ...{
            id: `${state.id}/${at}`,
            block: state.block ?? '',
            kind: 'layers' as const,
            input,
            layers,
            name,
          },
          ...(operation === undefined ? {} : { operation: `${own}${operation}` }),
        }))
        const terms = ways.map(({ id }) => ({ input: id, name: '', layers: [], operation: '' }))
        return [...ways, { ...state, terms }]
      })
      return { ...program, states }
    },
  })
  const cell = nasbench201Space.parse(
    '|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|',
    'test',
  )
  const shape = { operations: 4, skips: 1, depth: 3, width: 1 }
  assert.deepEqual(cellShapes(nasbench201Space, cell), { cell: shape })
  assert.deepEqual(cellShapes(space(''), cell), { cell: shape })
  for (const other of [undefined, '_of_another_name']) assert.deepEqual(cellShapes(space(other), cell), {})
})

test('cells of NAS-Bench-1Shot1: blocks that the output does not depend on, projections and poolings are no convolutions', () => {
  const space = nasbench1shot1Space(1)
  const shapeOf = (text: string) => cellShapes(space, space.parse(text, 'test'))
  const [conv3, conv1, pool] = ['conv3x3-bn-relu', 'conv1x1-bn-relu', 'maxpool3x3']
  // 1, 2 and 4 stand one after the other; 3 pools
  const chain = shapeOf(`${conv3}(0) ${conv1}(0,1) ${pool}(0,2) ${conv3}(2,3) output(0,4)`)
  assert.deepEqual(chain, { cell: { operations: 4, skips: 0, depth: 3, width: 1 } })
  // the output reads 2 and 3, which read 1 and the input: 4 is left out
  const abreast = shapeOf(`${pool}(0) ${conv3}(0,1) ${conv1}(0,1) ${conv3}(0,3) output(2,3)`)
  assert.deepEqual(abreast, { cell: { operations: 3, skips: 0, depth: 1, width: 2 } })
  const pools = shapeOf(`${pool}(0) ${pool}(0,1) ${conv3}(0,1) ${conv3}(0,3) output(1,2)`)
  assert.deepEqual(pools, { cell: { operations: 2, skips: 0, depth: 0, width: 0 } })
  // of the third space all five
  const deep = nasbench1shot1Space(3)
  const five = `${conv1}(0) ${conv1}(1) ${conv1}(2) ${conv1}(0,3) ${conv1}(3,4) output(4,5)`
  assert.deepEqual(cellShapes(deep, deep.parse(five, 'test')), {
    cell: { operations: 5, skips: 0, depth: 5, width: 1 },
  })
})
