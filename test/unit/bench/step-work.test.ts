/** The least work of a whole search step: a network small enough to count by hand, and what must hold for any. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layerWork } from '../../../bench/layer-work.ts'
import { type Active, type Part, stepWork } from '../../../bench/step-work.ts'
import {
  addWork,
  convolutionWork,
  factorizedReduceWork,
  fanOutWork,
  mixWork,
  poolWork,
  separableWork,
} from '../../../bench/work.ts'
import {
  batchNorm2d,
  conv2d,
  functional,
  images,
  namedLayers,
  type Program,
  parameterCount,
  pool2d,
  type Sequence,
  sequential,
  type Term,
} from '../../../src/nn/index.ts'
import { classifier } from '../../../src/spaces/classifier.ts'
import { supernetProgram } from '../../../src/spaces/darts/programs.ts'
import { darts } from '../../../src/spaces/darts/space.ts'

const columnOf = (name: keyof typeof darts.operations) => Object.keys(darts.operations).indexOf(name)
const [skip, average, separable] = (['skip_connect', 'avg_pool_3x3', 'sep_conv_3x3'] as const).map(columnOf)

/** One node: two edges, from the cell's two inputs. The second and the third cell are reductions. */
const small = {
  program: supernetProgram({ ...darts, nodes: 1 }, { channels: 2, cells: 3, classes: 10 }),
  batch: 1,
  side: 4,
}
const none = { x: false, weights: false }
const all = { x: true, weights: true }

const partsOf = (parts: readonly Part[], what: string, pass: Part['pass']) =>
  parts
    .filter((part) => part.what === what && part.pass === pass)
    .map(({ bytes, flops }) => ({ bytes, flops }))

/** Each cell skips on one edge and pools on the other. */
const quiet: Active = { normal: [[skip], [average]], reduce: [[skip], [average]] }

test('forward: the stem, each input, and the operations at their sizes, once in each of both passes', () => {
  const parts = stepWork(small, quiet)
  const stem = { batch: 1, channels: 6, side: 4 }
  const stemWork = [
    convolutionWork({ input: { ...stem, channels: 3 }, outputs: 6, kernel: 3, stride: 1 }, none).forward,
    mixWork(stem, [{ normed: true, wanted: false }], false).forward,
  ]
  assert.deepEqual(partsOf(parts, 'stem', 'forward'), [...stemWork, ...stemWork])
  // c channels at side s read from i channels, and the norm after
  const input = (channels: number, outputs: number, side: number, halves = false) => {
    const from = { batch: 1, channels, side }
    return [
      (halves
        ? factorizedReduceWork({ input: from, outputs }, none)
        : convolutionWork({ input: from, outputs, kernel: 1, stride: 1 }, none)
      ).forward,
      mixWork(
        { batch: 1, channels: outputs, side: halves ? side / 2 : side },
        [{ normed: true, wanted: false }],
        false,
      ).forward,
    ]
  }
  const inputs = [
    ...[...input(6, 2, 4), ...input(6, 2, 4)],
    ...[...input(6, 4, 4), ...input(2, 4, 4)],
    // after a reduction the cell before it is twice as large
    ...[...input(2, 8, 4, true), ...input(4, 8, 2)],
  ]
  assert.deepEqual(partsOf(parts, 'inputs', 'forward'), [...inputs, ...inputs])
  const pool = { kind: 'avg', readers: 1, norms: 1 } as const
  const pools = [
    poolWork({ ...pool, input: { batch: 1, channels: 2, side: 4 }, stride: 1 }, none).forward,
    poolWork({ ...pool, input: { batch: 1, channels: 4, side: 4 }, stride: 2 }, none).forward,
    poolWork({ ...pool, input: { batch: 1, channels: 8, side: 2 }, stride: 2 }, none).forward,
  ]
  assert.deepEqual(partsOf(parts, 'avg_pool_3x3', 'forward'), [...pools, ...pools])
  // skipping costs nothing in the normal cell and halves the image in the others
  const skips = [
    factorizedReduceWork({ input: { batch: 1, channels: 4, side: 4 }, outputs: 4 }, none).forward,
    factorizedReduceWork({ input: { batch: 1, channels: 8, side: 2 }, outputs: 8 }, none).forward,
  ]
  assert.deepEqual(partsOf(parts, 'skip_connect', 'forward'), [...skips, ...skips])
})

test('backward: the architecture step goes back to the first mixing weights, the weight step to the stem', () => {
  const parts = stepWork(small, quiet)
  // the stem's gradients are taken by the weight step alone, without that of the images
  assert.equal(partsOf(parts, 'stem', 'backward').length, 2)
  // the first cell's inputs depend on no mixing weight: three of six readers are left, each with a norm; the second
  // cell's first input, the stem, is not one of them
  const readers = partsOf(parts, 'inputs', 'backward')
  assert.equal(readers.length, 2 * 3 + 2 * 6)
  // so do the pools of the first cell
  assert.equal(partsOf(parts, 'avg_pool_3x3', 'backward').length, 2 + 3)
  // a sum of three nodes in each step; in the first one's architecture step the terms are read for the weights alone
  const sums = partsOf(parts, 'mix', 'backward')
  assert.equal(sums.length, 6)
  assert.deepEqual(
    sums[0],
    mixWork(
      { batch: 1, channels: 2, side: 4 },
      [
        { normed: false, wanted: false },
        { normed: true, wanted: false },
      ],
      true,
    ).backward,
  )
  assert.equal(partsOf(parts, 'sgd', 'update').length, 1)
})

test('a separable operation runs twice, the second time at stride 1 after a norm', () => {
  const active: Active = { normal: [[separable], [skip]], reduce: [[separable], [skip]] }
  const parts = stepWork(small, active)
  const [, , first, second] = partsOf(parts, 'sep_conv_3x3', 'forward')
  const input = { batch: 1, channels: 4, side: 4 }
  const how = { outputs: 4, kernel: 3, left: true }
  assert.deepEqual(
    first,
    separableWork({ ...how, input, stride: 2, normed: false, shared: true }, none).forward,
  )
  const half = { ...input, side: 2 }
  assert.deepEqual(second, separableWork({ ...how, input: half, stride: 1, normed: true }, none).forward)
  const last = partsOf(parts, 'sep_conv_3x3', 'backward').at(-1)
  const end = { batch: 1, channels: 8, side: 1 }
  assert.deepEqual(
    last,
    separableWork({ ...how, outputs: 8, input: end, stride: 1, normed: true }, all).backward,
  )
})

test('gradients come back together where a state has several readers', () => {
  const parts = stepWork(small, quiet)
  // weight step: the stem is read three times, the first cell's node by the two cells after it
  const stem = 4 * 6 * 16 * (3 + 1)
  const node = 4 * 2 * 16 * (2 + 1)
  const sums = partsOf(parts, 'fan_out', 'backward').map(({ bytes }) => bytes)
  // what a pooling alone reads: its gradient is written once
  const pooled = (channels: number, side: number) => 4 * channels * side ** 2
  const later = [node, pooled(4, 4), pooled(8, 2)]
  // the architecture step first, where the stem and what is made of it alone have no gradient
  assert.deepEqual(sums, [...later, stem, pooled(2, 4), ...later])
})

test('the work grows with the batch, and with each operation that is sampled; `none` costs nothing', () => {
  const program = supernetProgram(darts, { channels: 16, cells: 8, classes: 10 })
  assert.equal(parameterCount(namedLayers(program)), 1_930_618)
  const cifar = { program, batch: 64, side: 32 }
  const none = columnOf('none')
  const columns = Object.keys(darts.operations).map((_, k) => k)
  const some = columns.filter((k) => k !== none)
  const full = (columns: number[]): Active => {
    const edges = Array.from({ length: 14 }, () => columns)
    return { normal: edges, reduce: edges }
  }
  const work = some.map((_, count) => addWork(stepWork(cifar, full(some.slice(0, count + 1)))))
  for (const [index, { bytes, flops }] of work.slice(1).entries()) {
    assert.ok(bytes > work[index].bytes)
    assert.ok(flops > work[index].flops)
  }
  // as it was counted operation by operation, before programs were
  const most = work[work.length - 1]
  assert.deepEqual(most, { bytes: 24_683_202_360, flops: 199_251_274_704 })
  assert.deepEqual(addWork(stepWork(cifar, full(columns))), most)
  const twice = addWork(stepWork({ ...cifar, batch: 128 }, full(some)))
  assert.ok(twice.flops > 1.98 * most.flops && twice.flops < 2 * most.flops)
})

/** Terms without choices, layers that no kernel takes, and a concatenation that a sum reads in one piece. */
function ownProgram(): Program {
  const term = (input: string, name: string, layers: Sequence): Term => ({
    ...{ input, layers },
    name,
    operation: name,
  })
  const convolution = sequential('', [conv2d(4, 4, 1), batchNorm2d(4, true)])
  return {
    states: [
      {
        ...{ id: 'stem', kind: 'layers', input: images, name: 'stem' },
        layers: sequential('', [conv2d(3, 4, 3)]),
      },
      {
        ...{ id: 'node', kind: 'sum' },
        terms: [
          term('stem', 'skip', []),
          term('stem', 'conv', convolution),
          term('stem', 'pool', [functional(pool2d('max', 1))]),
        ],
      },
      { id: 'both', kind: 'concat', inputs: ['stem', 'node'] },
      {
        id: 'sum',
        kind: 'sum',
        terms: [term('both', 'last', sequential('', [conv2d(8, 4, 3, { groups: 4 })]))],
      },
      { id: 'logits', kind: 'layers', input: 'sum', name: 'classifier', layers: classifier(4, 10, '') },
    ],
    outputs: { logits: 'logits' },
    blocks: [],
    modules: [],
  }
}

test('a program of one’s own: what no kernel takes is counted by itself, and nothing goes back but to weights', () => {
  const parts = stepWork({ program: ownProgram(), batch: 2, side: 8 }, {})
  const four = { batch: 2, channels: 4, side: 8 }
  const eight = { ...four, channels: 8 }
  const backward = (what: string) => partsOf(parts, what, 'backward')
  // no decision, so that the architecture step has nothing to go back to
  assert.deepEqual(backward('stem'), [
    layerWork(conv2d(3, 4, 3), { ...four, channels: 3 }, { x: false, weights: true }).backward,
  ])
  assert.deepEqual(backward('conv'), [layerWork(conv2d(4, 4, 1), four, all).backward])
  // one reader, without a norm
  const pool = { kind: 'max', input: four, stride: 1, readers: 1, norms: 0 } as const
  assert.deepEqual(backward('pool'), [poolWork(pool, all).backward])
  // the gradient of ATen's convolution is computed here, those of the others where they are read
  const sums = [
    [
      { normed: false, wanted: true, left: true },
      { normed: true, wanted: true, left: false },
      { normed: false, wanted: true, left: true },
    ],
    [{ normed: false, wanted: true, left: false }],
  ]
  assert.deepEqual(
    backward('mix'),
    sums.map((terms) => mixWork(four, terms, false).backward),
  )
  const size = 2 * 8 * 64
  assert.deepEqual(backward('concat'), [{ bytes: 4 * 2 * size, flops: 0 }])
  assert.deepEqual(backward('last'), [layerWork(conv2d(8, 4, 3, { groups: 4 }), eight, all).backward])
  // the stem: itself to the skip, the convolution and the concatenation, and a pooling
  const readers = { copies: 3, convolutions: 0, pools: 1 }
  assert.deepEqual(backward('fan_out'), [fanOutWork(four, readers, all).backward])
  const weights = 108 + (16 + 8) + 72 + 50
  assert.deepEqual(partsOf(parts, 'sgd', 'update'), [{ bytes: 4 * 6 * weights, flops: 8 * weights }])
})
