/** The line by least squares, and the series over L that uses it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seriesOf } from '../../../bench/length.ts'
import { leastSquares } from '../../../src/budget/least-squares.ts'

test('three points by hand: 0, 1 and 5 at 0, 1 and 2', () => {
  // means 1 and 2; sums of squares 2 and 14, of products 5
  const { slope, intercept, rSquared } = leastSquares([
    [0, 0],
    [1, 1],
    [2, 5],
  ])
  assert.equal(slope, 2.5)
  assert.equal(intercept, -0.5)
  assert.ok(Math.abs(rSquared - 25 / 28) < 1e-12)
})

test('points on a line are fitted exactly; a level line and a single point are no error', () => {
  const number = fc.integer({ min: -1000, max: 1000 })
  fc.assert(
    fc.property(number, number, fc.uniqueArray(number, { minLength: 2, maxLength: 9 }), (a, b, xs) => {
      const line = leastSquares(xs.map((x) => [x, a * x + b]))
      assert.ok(Math.abs(line.slope - a) < 1e-6 && Math.abs(line.intercept - b) < 1e-4)
      assert.ok(Math.abs(line.rSquared - 1) < 1e-9)
    }),
  )
  assert.deepEqual(leastSquares([[3, 7]]), { slope: 0, intercept: 7, rSquared: 1 })
})

test('a series compares the largest L with 28, or with the smallest where 28 is missing', () => {
  const point = (subspace: number) => ({
    subspace,
    median: 0.5 + subspace / 100,
    quartiles: [0, 1] as const,
    turns: 5,
    peak: subspace * 1000,
  })
  const { ratio, seconds, bytes, points } = seriesOf('ours', [98, 15, 28].map(point))
  assert.deepEqual(ratio.of, [28, 98])
  assert.equal(ratio.bytes, 3.5)
  assert.ok(Math.abs(ratio.seconds - 1.48 / 0.78) < 1e-12)
  assert.ok(Math.abs(seconds.slope - 0.01) < 1e-12 && Math.abs(seconds.intercept - 0.5) < 1e-12)
  assert.ok(Math.abs(bytes.slope - 1000) < 1e-9)
  assert.deepEqual(
    points.map(({ subspace }) => subspace),
    [15, 28, 98],
  )
  assert.deepEqual(seriesOf('ours', [40, 20].map(point)).ratio.of, [20, 40])
})
