/** The memory of a subspace as a sum: least squares against conditions that its solution fulfils, what counts as shared, and margins. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fitMemoryModel, predictMemory } from '../../../src/budget/memory-model.ts'
import { memoryParts } from '../../../src/budget/memory-parts.ts'
import { nonNegativeLeastSquares } from '../../../src/budget/non-negative-least-squares.ts'
import { findSpace } from '../../../src/spaces/index.ts'
import type { Picks } from '../../../src/spaces/space.ts'

const systems = fc.integer({ min: 1, max: 5 }).chain((unknowns) => {
  const row = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: unknowns, maxLength: unknowns })
  return fc
    .array(fc.tuple(row, fc.integer({ min: -20, max: 50 })), { minLength: 1, maxLength: 12 })
    .map((lines) => ({ rows: lines.map(([one]) => one), values: lines.map(([, value]) => value) }))
})

test('non-negative least squares fulfils the conditions of Karush, Kuhn and Tucker', () => {
  fc.assert(
    fc.property(systems, ({ rows, values }) => {
      const found = nonNegativeLeastSquares(rows, values)
      const residuals = rows.map((row, k) => row.reduce((sum, a, i) => sum + a * found[i], -values[k]))
      for (const [i, x] of found.entries()) {
        const slope = rows.reduce((sum, row, k) => sum + row[i] * residuals[k], 0)
        assert.ok(x >= 0)
        assert.ok(slope > -1e-3, 'no unknown would grow')
        assert.ok(x === 0 || Math.abs(slope) < 1e-3, 'what is positive stands still')
      }
    }),
  )
})

test('what costs come to is found again, and what a fit does not explain is added for all', () => {
  const costs = [1000, 7, 0, 30]
  const countsOf = (turn: number) => [1, turn % 5, (turn * 3) % 7, (turn * turn) % 4]
  const peak = (counts: readonly number[]) =>
    counts.reduce((sum, count, kind) => sum + count * costs[kind], 0)
  const seen = Array.from({ length: 24 }, (_, turn) => ({
    counts: countsOf(turn),
    peaks: [peak(countsOf(turn)), 2000],
  }))
  const exact = fitMemoryModel(seen)
  for (const [kind, cost] of costs.entries())
    assert.ok(Math.abs(exact.parts[0][kind] - cost) < 0.01, `${kind}`)
  assert.ok(exact.raise[0] < 1.0041, 'nothing but the share for whole batches')
  assert.equal(
    predictMemory(exact, [1, 0, 0, 0]),
    Math.ceil(2000 * exact.raise[1] - 1e-6),
    'the larger of both',
  )
  const noisy = seen.map(({ counts, peaks }, turn) => ({
    counts,
    peaks: [peaks[0] * (turn % 2 ? 1.02 : 0.98), 500],
  }))
  const model = fitMemoryModel(noisy)
  for (const { counts, peaks } of noisy) assert.ok(predictMemory(model, counts) >= peaks[0])
})

test('DARTS: poolings of one state are shared, of another or of another kind are not; none is nothing', () => {
  const space = findSpace('darts')
  const { count, kinds } = memoryParts(space, { channels: 4, cells: 3, classes: 10 }, [3, 32, 32])
  const runs = (rows: Readonly<Record<number, readonly number[]>>): Picks =>
    new Map([['normal', Array.from({ length: 14 }, (_, row) => rows[row] ?? [])]])
  const total = (rows: Readonly<Record<number, readonly number[]>>) =>
    count(runs(rows)).reduce((sum, one) => sum + one, 0)
  assert.equal(count(runs({})).length, kinds)
  assert.deepEqual(count(runs({})).slice(0, 1), [1])
  assert.equal(total({}), 1)
  assert.equal(total({ 0: [0], 5: [0] }), 1, 'none')
  assert.equal(total({ 0: [4] }), 2, 'a separable convolution is its own')
  assert.equal(total({ 0: [1] }), 3, 'a max pooling, and the state it reads pooled')
  assert.equal(total({ 0: [1], 2: [1] }), 4, 'edges 0 and 2 read the same state')
  assert.equal(total({ 0: [1], 1: [1] }), 5, 'edges 0 and 1 do not')
  assert.equal(total({ 0: [1], 2: [2] }), 5, 'max and average poolings differ')
  const strided = new Map([['reduce', [[4], [], [], [], [4]]]])
  const own = count(strided).filter((one) => one > 0)
  assert.deepEqual(own, [1, 1, 1], 'an edge of stride 2 and one of stride 1 are of two kinds')
})

test('NAS-Bench-201: what begins with a ReLU of one state shares it', () => {
  const space = findSpace('nasbench201')
  const { count } = memoryParts(space, { channels: 4, cells: 3, classes: 10 }, [3, 32, 32])
  const total = (columns: readonly number[], rows = [0]) =>
    count(
      new Map([['cell', Array.from({ length: 6 }, (_, row) => (rows.includes(row) ? columns : []))]]),
    ).reduce((sum, one) => sum + one, 0)
  assert.equal(total([1]), 2, 'a skip connection is its own alone')
  assert.equal(total([2, 3]) - total([2]), 1, 'both convolutions of an edge share the ReLU')
})
