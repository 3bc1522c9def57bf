/** The spaces of NAS-Bench-1Shot1: what is decided, which architectures there are, and what is none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { blocksInWords } from '../../../src/cli/genotype-text.ts'
import { drawBlock } from '../../../src/export/draw.ts'
import { Network } from '../../../src/nn/index.ts'
import { drawArchitecture } from '../../../src/spaces/architecture-weights.ts'
import { findSpace } from '../../../src/spaces/index.ts'
import {
  formatCell,
  nasbench101Graph,
  parentCounts,
  spaceNumberOf,
  spaceNumbers,
} from '../../../src/spaces/nasbench1shot1/architecture.ts'
import { nasbench1shot1Space } from '../../../src/spaces/nasbench1shot1/space.ts'
import { hashOf } from '../../../src/spaces/nasbench101/graph.ts'
import { shownNetwork } from '../../../src/spaces/network-shape.ts'
import { channelsLast, Generator, noGrad, Tensor } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { randomTensor } from './numerical.ts'

const some = {
  1: 'maxpool3x3(0) conv3x3-bn-relu(0,1) conv1x1-bn-relu(1,2) conv3x3-bn-relu(0,3) output(2,4)',
  2: 'conv3x3-bn-relu(0) maxpool3x3(1) conv1x1-bn-relu(0,1) conv3x3-bn-relu(1,3) output(0,2,4)',
  3: 'maxpool3x3(0) maxpool3x3(1) conv3x3-bn-relu(1) conv1x1-bn-relu(1,2) conv3x3-bn-relu(0,4) output(3,5)',
} as const

test('what is decided: operations of blocks, sampled; what the output and blocks read, where there is a choice', () => {
  const groups = spaceNumbers.map((number) =>
    nasbench1shot1Space(number).choices.map(
      ({ name, rows, candidates, run }) => `${name} ${rows}x${candidates.length} ${run}`,
    ),
  )
  assert.deepEqual(groups, [
    ['op 4x3 sampled', 'output 1x5 all', 'input.3 1x3 all', 'input.4 1x4 all'],
    ['op 4x3 sampled', 'output 1x5 all', 'input.2 1x2 all', 'input.3 1x3 all', 'input.4 1x4 all'],
    ['op 5x3 sampled', 'output 1x6 all', ...[2, 3, 4, 5].map((node) => `input.${node} 1x${node} all`)],
  ])
})

for (const number of spaceNumbers) {
  const space = nasbench1shot1Space(number)
  test(`space ${number}: cells have as many parents as they must, and belong to no other space`, () => {
    assert.equal(findSpace(space.name).name, space.name)
    const generator = new Generator(number, 'cells')
    for (let draw = 0; draw < 50; draw++) {
      const cell = drawArchitecture(space, generator)
      assert.deepEqual(
        cell.parents.map(({ length }) => length),
        parentCounts[number],
      )
      assert.equal(spaceNumberOf(cell), number)
      for (const other of spaceNumbers)
        if (other !== number)
          assertRefuses(
            () => nasbench1shot1Space(other).parse(formatCell(cell), 'text'),
            'input',
            new RegExp(`is not of the space 'nasbench1shot1-${other}': there \\d blocks read`),
          )
    }
  })

  test(`space ${number}: unread blocks change neither the graph nor its hash`, () => {
    const cell = space.parse(some[number], 'text')
    assert.equal(formatCell(cell), some[number])
    const blocks = cell.ops.length
    const last = cell.parents[blocks]
    assert.ok(last.includes(blocks))
    // now nobody reads the last block
    const parents = [...cell.parents.slice(0, -1), [...last.slice(0, -1), blocks - 1].sort()]
    const without = { ops: cell.ops, parents }
    const ops = [...cell.ops.slice(0, -1), 'maxpool3x3' as const]
    assert.notEqual(ops.join(), cell.ops.join())
    assert.equal(hashOf(nasbench101Graph({ ops, parents })), hashOf(nasbench101Graph(without)))
    assert.notEqual(hashOf(nasbench101Graph({ ...cell, ops })), hashOf(nasbench101Graph(cell)))
    assert.equal(space.distance(cell, cell), 0)
    assert.ok(space.distance(cell, drawArchitecture(space, new Generator(9))) > 0)
    assert.deepEqual(space.indicators?.(cell), { blocks: nasbench101Graph(cell).operations.length })
  })
}

test('a supernet in which one candidate of each row runs is finite, also where the output reads the input alone', () => {
  const generator = new Generator(2)
  const space = nasbench1shot1Space(1)
  const network = new Network(space.supernet({ channels: 4, cells: 3, classes: 10 }), {
    device: 'cpu',
    generator,
  })
  const x = channelsLast(randomTensor([2, 3, 16, 16], generator, 'float32'))
  const ones = new Map(
    space.choices.map(({ name, rows, candidates }) => [
      name,
      Tensor.from(new Float32Array(rows * candidates.length).fill(1), [rows, candidates.length]),
    ]),
  )
  for (const column of [0, 2]) {
    const archWeights = (group: string) => {
      const weights = ones.get(group)
      assert.ok(weights)
      return { weights, sampledOps: Array.from({ length: weights.shape[0] }, () => [column]) }
    }
    const { logits } = noGrad(() => network.forward(x, { training: true, archWeights }))
    assert.ok(logits.floats().every(Number.isFinite))
  }
})

test('a cell in words and as a drawing: projections on edges, each block with its operation', async () => {
  const space = nasbench1shot1Space(2)
  const program = shownNetwork(space, space.parse(some[2], 'text'))
  assert.equal(
    blocksInWords(program),
    [
      'cell',
      '  conv3x3-bn-relu 1 = projection(input)',
      '  maxpool3x3 2      = conv3x3-bn-relu 1',
      '  conv1x1-bn-relu 3 = projection(input) + conv3x3-bn-relu 1',
      '  conv3x3-bn-relu 4 = conv3x3-bn-relu 1 + conv1x1-bn-relu 3',
      '  concat            = concat(maxpool3x3 2, conv3x3-bn-relu 4)',
      '  output            = concat + projection(input)',
      '',
    ].join('\n'),
  )
  const { svg } = await drawBlock(program, 'cell')
  assert.equal(svg.match(/>projection</g)?.length, 3)
})

test('what is no cell is refused, saying what is wrong', () => {
  const space = nasbench1shot1Space(1)
  const wrong: [unknown, RegExp][] = [
    [some[1].replace('maxpool3x3(0)', 'avgpool(0)'), /'avgpool' stands where one of/],
    [some[1].replace('(0,3)', '(0,9)'), /vertex 4 reads \(0,9\)/],
    [
      some[1].replace('(0,3)', '(3)'),
      /not of the space 'nasbench1shot1-1': there 4 blocks read 1, 2, 2, 2 .* output 2/,
    ],
    [{ ops: [], parents: [[0]] }, /not of the space/],
    [{ ops: ['maxpool3x3'], parents: [[0], [0, 1], [1, 2], [0, 3], [2, 4]] }, /stands where/],
    [{ ops: Array(4).fill('maxpool3x3'), parents: [[0], [0, 1], [1, 2], [3, 0], [2, 4]] }, /ascending/],
    [{ ops: 3, parents: [] }, /architecture file/],
    ['{', /architecture file/],
    [null, /architecture file/],
  ]
  for (const [value, what] of wrong) assertRefuses(() => space.parse(value, 'file'), 'input', what)
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()), (value) =>
      assertRefuses(() => space.parse(value, 'file'), 'input', /file/),
    ),
  )
  const cell = space.parse(some[1], 'text')
  const size = { channels: 4, cells: 2, classes: 10 }
  assertRefuses(() => space.supernet(size), 'input', /the space 'nasbench1shot1-1': cells/)
  assertRefuses(() => space.network(cell, { ...size, kind: 'cifar', auxiliary: false }), 'input', /cells/)
})
