/** Cells of NAS-Bench-101: hashes and parameters of genuine records, isomorphic cells, pruning, text; bad input. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Network, stateDict } from '../../../src/nn/index.ts'
import { describeProgram } from '../../../src/spaces/describe.ts'
import {
  adjacencyOf,
  type CellGraph,
  edgeCount,
  formatGraph,
  hashOf,
  isWhole,
  operationNames,
  parseGraph,
  pruned,
} from '../../../src/spaces/nasbench101/graph.ts'
import { cellNetwork, networkOfWeights, vertexChannels } from '../../../src/spaces/nasbench101/programs.ts'
import { Generator, noGrad } from '../../../src/torch/index.ts'
import { genuineRecords, withoutRecords } from '../benchmarks/nasbench101-records.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { randomTensor } from './numerical.ts'

/** Any graph of up to seven vertices, whether or not it hangs together. */
const graphs: fc.Arbitrary<CellGraph> = fc.integer({ min: 0, max: 5 }).chain((inner) =>
  fc.record(
    {
      operations: fc.array(fc.constantFrom(...operationNames), { minLength: inner, maxLength: inner }),
      parents: fc.tuple(
        ...Array.from({ length: inner + 1 }, (_, index) =>
          fc.subarray(Array.from({ length: index + 1 }, (_, vertex) => vertex)),
        ),
      ),
    },
    { noNullPrototype: true },
  ),
)

/** Those whose input reaches their output, without what does not matter. */
const connected = graphs.map(pruned).filter((graph) => graph !== undefined)

const size = { channels: 128, cells: 9, classes: 10, kind: 'cifar', auxiliary: false } as const

test('hash and trained parameters of genuine records are the published ones', {
  skip: withoutRecords,
}, () => {
  const records = genuineRecords()
  assert.equal(records.length, 30)
  for (const { hash, graph, parameters } of records) {
    const cell = pruned(graph)
    assert.ok(cell)
    assert.deepEqual(cell, graph, 'records are of pruned cells')
    assert.equal(hashOf(cell), hash)
    assert.equal(describeProgram(cellNetwork(cell, size), 32).parameters, parameters)
  }
})

/** The same cell with its vertices in another order in which they can be computed: `pick` says which of so many comes next. */
function reordered({ operations, parents }: CellGraph, pick: (count: number) => number): CellGraph {
  const output = operations.length + 1
  const order = [0]
  while (order.length < output) {
    const ready = operations.flatMap((_, index) => {
      const vertex = index + 1
      return order.includes(vertex) || !parents[index].every((from) => order.includes(from)) ? [] : [vertex]
    })
    order.push(ready[pick(ready.length)])
  }
  const place = (vertex: number) => order.indexOf(vertex)
  const moved = (own: readonly number[]) => own.map(place).sort((a, b) => a - b)
  const inner = order.slice(1)
  return {
    operations: inner.map((vertex) => operations[vertex - 1]),
    parents: [...inner.map((vertex) => moved(parents[vertex - 1])), moved(parents[output - 1])],
  }
}

test('isomorphic cells have one hash, and another operation or edge another', () => {
  const generator = new Generator(0, 'orders')
  const last = (count: number) => count - 1
  const wide = parseGraph('conv3x3-bn-relu(0) maxpool3x3(0) conv1x1-bn-relu(1,2) output(2,3)', 'text')
  assert.equal(
    formatGraph(reordered(wide, last)),
    'maxpool3x3(0) conv3x3-bn-relu(0) conv1x1-bn-relu(1,2) output(1,3)',
  )
  fc.assert(
    fc.property(connected, (graph) => {
      for (const pick of [last, (count: number) => generator.below(count)])
        assert.equal(hashOf(reordered(graph, pick)), hashOf(graph))
      if (graph.operations.length === 0) return
      const [first, ...rest] = graph.operations
      const next = operationNames[(operationNames.indexOf(first) + 1) % 3]
      assert.notEqual(hashOf({ ...graph, operations: [next, ...rest] }), hashOf(graph))
    }),
    { examples: [[wide]] },
  )
})

test('pruning keeps what lies between input and output, and says where nothing does', () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const found = pruned(graph)
      const matrix = adjacencyOf(graph)
      // by powers of the matrix: ways of any length
      const reaches = matrix.map((row, from) => row.map((edge, to) => edge === 1 || from === to))
      for (let by = 0; by < matrix.length; by++)
        for (let from = 0; from < by; from++)
          for (let to = by; to < matrix.length; to++)
            if (reaches[from][by] && reaches[by][to]) reaches[from][to] = true
      const last = matrix.length - 1
      assert.equal(found !== undefined, reaches[0][last])
      assert.equal(isWhole(graph), found?.operations.length === graph.operations.length)
      if (found === undefined) return
      const kept = matrix.flatMap((_, vertex) =>
        reaches[0][vertex] && reaches[vertex][last] ? [vertex] : [],
      )
      assert.deepEqual(
        adjacencyOf(found),
        kept.map((from) => kept.map((to) => matrix[from][to])),
      )
      assert.equal(edgeCount(found), adjacencyOf(found).flat().filter(Boolean).length)
      assert.deepEqual(pruned(found), found)
    }),
  )
})

test('channels are shared out as published: 128 by three, and what an inner vertex has', () => {
  const widths = (text: string) => vertexChannels(parseGraph(text, 'text'), 128)
  assert.deepEqual(widths('maxpool3x3(0) maxpool3x3(0) maxpool3x3(0) output(1,2,3)'), [43, 43, 42])
  assert.deepEqual(widths('maxpool3x3(0) maxpool3x3(1) output(0,2)'), [128, 128])
  assert.deepEqual(
    widths('maxpool3x3(0) maxpool3x3(1) maxpool3x3(1) maxpool3x3(1) output(2,3,4)'),
    [43, 43, 43, 42],
  )
})

test('networks of any cell run, and their weights tell their size', () => {
  const x = randomTensor([2, 3, 8, 8], new Generator(1), 'float32')
  fc.assert(
    fc.property(connected, (graph) => {
      const small = { ...size, channels: 6, cells: 3, classes: 4 }
      const network = new Network(cellNetwork(graph, small), { device: 'cpu', generator: new Generator(0) })
      const { logits } = noGrad(() => network.forward(x, { training: false }))
      assert.deepEqual(logits.shape, [2, 4])
      const shapes = new Map([...stateDict(network)].map(([name, { shape }]) => [name, shape]))
      assert.deepEqual(networkOfWeights(shapes), small)
    }),
    { numRuns: 25 },
  )
  assert.equal(networkOfWeights(new Map()), undefined)
  const three = parseGraph('maxpool3x3(0) maxpool3x3(0) maxpool3x3(0) output(1,2,3)', 'text')
  assertRefuses(
    () => cellNetwork(three, { ...size, channels: 2 }),
    'input',
    /2 channels cannot be shared by 3 vertices/,
  )
  assertRefuses(() => cellNetwork(three, { ...size, kind: 'imagenet' }), 'input', /not as 'imagenet'/)
})

test('text is written and read back; what is no cell is refused, saying why', () => {
  fc.assert(
    fc.property(graphs, (graph) => assert.deepEqual(parseGraph(` ${formatGraph(graph)}\n`, 'text'), graph)),
  )
  const wrong: [string, RegExp][] = [
    ['', /'' is no vertex/],
    ['output', /'output' is no vertex/],
    ['maxpool3x3(0)', /'maxpool3x3' stands where the output has to/],
    [
      'output(0) output(0)',
      /'output' stands where one of conv3x3-bn-relu, conv1x1-bn-relu, maxpool3x3 has to/,
    ],
    ['toString(0) output(0)', /'toString' stands where one of/],
    ['maxpool3x3(1) output(0)', /vertex 1 reads \(1\)/],
    ['maxpool3x3(0) output(1,0)', /vertex 2 reads \(1,0\)/],
    ['maxpool3x3(0) output(1,1)', /vertex 2 reads \(1,1\)/],
    ['maxpool3x3(,0) output(1)', /vertex 1 reads \(,0\)/],
    ['maxpool3x3(0,) output(1)', /vertex 1 reads \(0,\)/],
    [`${'maxpool3x3(0) '.repeat(6)}output(1)`, /more than 7 vertices/],
  ]
  for (const [text, what] of wrong) assertRefuses(() => parseGraph(text, 'line 1'), 'input', what)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) =>
      assertRefuses(() => parseGraph(text, 'noise'), 'input', /cell noise/),
    ),
  )
})
