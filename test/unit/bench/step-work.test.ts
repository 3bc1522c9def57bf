/** The least work of a whole search step: a network small enough to count by hand, and what must hold for any. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Active, type Part, stepWork, totalWork } from '../../../bench/step-work.ts'
import {
  convolutionWork,
  factorizedReduceWork,
  mixWork,
  poolWork,
  separableWork,
} from '../../../bench/work.ts'
import { darts } from '../../../src/spaces/darts/space.ts'

const [skip, average, separable] = (['skip_connect', 'avg_pool_3x3', 'sep_conv_3x3'] as const).map((name) =>
  darts.operations.indexOf(name),
)

/** One node: two edges, from the cell's two inputs. */
const space = { ...darts, nodes: 1 }
const shape = { space, channels: 2, classes: 10, batch: 1, side: 4 }
const none = { x: false, weights: false }
const all = { x: true, weights: true }

const partsOf = (parts: readonly Part[], what: string, pass: Part['pass']) =>
  parts
    .filter((part) => part.what === what && part.pass === pass)
    .map(({ bytes, flops }) => ({ bytes, flops }))

/** Three cells, of which the second and the third are reductions; each skips on one edge and pools on the other. */
const quiet: Active = { normal: [[skip], [average]], reduce: [[skip], [average]] }

test('forward: the stem, each input, and the operations at their sizes, once in each of both passes', () => {
  const parts = stepWork({ ...shape, cells: 3 }, quiet, 1000)
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
        ? factorizedReduceWork(from, outputs, none)
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
  const pool = { kind: 'avg', readers: 1 } as const
  const pools = [
    poolWork({ ...pool, input: { batch: 1, channels: 2, side: 4 }, stride: 1 }, none).forward,
    poolWork({ ...pool, input: { batch: 1, channels: 4, side: 4 }, stride: 2 }, none).forward,
    poolWork({ ...pool, input: { batch: 1, channels: 8, side: 2 }, stride: 2 }, none).forward,
  ]
  assert.deepEqual(partsOf(parts, 'avg_pool_3x3', 'forward'), [...pools, ...pools])
  // skipping costs nothing in the normal cell and halves the image in the others
  const skips = [
    factorizedReduceWork({ batch: 1, channels: 4, side: 4 }, 4, none).forward,
    factorizedReduceWork({ batch: 1, channels: 8, side: 2 }, 8, none).forward,
  ]
  assert.deepEqual(partsOf(parts, 'skip_connect', 'forward'), [...skips, ...skips])
})

test('backward: the architecture step goes back to the first mixing weights, the weight step to the stem', () => {
  const parts = stepWork({ ...shape, cells: 3 }, quiet, 1000)
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
  const parts = stepWork({ ...shape, cells: 3 }, active, 1000)
  const [, , first, second] = partsOf(parts, 'sep_conv_3x3', 'forward')
  const input = { batch: 1, channels: 4, side: 4 }
  const how = { kernel: 3, left: true }
  assert.deepEqual(
    first,
    separableWork({ ...how, input, stride: 2, normed: false, shared: true }, none).forward,
  )
  const half = { ...input, side: 2 }
  assert.deepEqual(second, separableWork({ ...how, input: half, stride: 1, normed: true }, none).forward)
  const last = partsOf(parts, 'sep_conv_3x3', 'backward').at(-1)
  const end = { batch: 1, channels: 8, side: 1 }
  assert.deepEqual(last, separableWork({ ...how, input: end, stride: 1, normed: true }, all).backward)
})

test('gradients come back together where a state has several readers', () => {
  const parts = stepWork({ ...shape, cells: 3 }, quiet, 1000)
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

test('the work grows with the batch, and with each operation that is sampled', () => {
  const full = (columns: number[]): Active => {
    const edges = Array.from({ length: 14 }, () => columns)
    return { normal: edges, reduce: edges }
  }
  const cifar = { space: darts, channels: 16, cells: 8, classes: 10, batch: 64, side: 32 }
  const columns = darts.operations.flatMap((name, k) => (name === 'none' ? [] : [k]))
  const work = columns.map((_, count) =>
    totalWork(stepWork(cifar, full(columns.slice(0, count + 1)), 1_930_618)),
  )
  for (const [index, { bytes, flops }] of work.slice(1).entries()) {
    assert.ok(bytes > work[index].bytes)
    assert.ok(flops > work[index].flops)
  }
  const twice = totalWork(stepWork({ ...cifar, batch: 128 }, full(columns), 1_930_618))
  const most = work[work.length - 1]
  assert.ok(twice.flops > 1.98 * most.flops && twice.flops < 2 * most.flops)
})

test('sampling `none` costs nothing', () => {
  const none = darts.operations.indexOf('none')
  const withNone: Active = { normal: [[skip, none], [average]], reduce: [[skip], [none, average]] }
  const small = { ...shape, cells: 3 }
  assert.deepEqual(stepWork(small, withNone, 1000), stepWork(small, quiet, 1000))
})
