/** Turns: their order, how many there are, and what is recorded of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Contestant, isSettled, rounds, takeTurns, turnLimits } from '../../../bench/measure.ts'

test('each round begins with the next contestant, and those of one group follow one another', () => {
  const seen: string[] = []
  const one = (name: string): Contestant => ({ name, step: () => seen.push(name) })
  const timings = takeTurns([one('a'), [one('b'), one('c')], one('d')], 3, 1)
  assert.deepEqual(seen.join(''), 'abcd' + 'bcda' + 'dabc' + 'abcd')
  assert.deepEqual(
    timings.map(({ name, turns }) => [name, turns]),
    ['a', 'b', 'c', 'd'].map((name) => [name, 3]),
  )
})

test('seconds are settled when both quartiles lie within a twentieth of the median', () => {
  assert.ok(isSettled([1, 1, 1, 1.04, 9]))
  assert.ok(!isSettled([1, 1, 1, 1.06, 9]))
  assert.ok(isSettled([1, 1, 1, 1, 1.06]))
  assert.ok(!isSettled([0.9, 0.9, 1, 1, 1]))
})

test('as many turns as it takes: at least five, at most fifteen, and so many where they are fixed', () => {
  const count = (turns: number | undefined, settledAfter: number) => {
    let counted = 0
    for (const { counts } of rounds(2, turns, () => counted >= settledAfter, 2)) counted += Number(counts)
    return counted
  }
  assert.deepEqual(turnLimits, { least: 5, most: 15 })
  assert.deepEqual(
    [0, 5, 8, 15, 99].map((after) => count(undefined, after)),
    [5, 5, 8, 15, 15],
  )
  assert.deepEqual(
    [1, 3, 20].map((turns) => count(turns, 0)),
    [1, 3, 20],
  )
})

test('a contestant that scatters goes on to the most turns, a steady one stops at the fewest', (context) => {
  let clock = 0
  context.mock.method(performance, 'now', () => clock)
  const wait = (milliseconds: number) => {
    clock += milliseconds
  }
  let turn = 0
  const scattered = takeTurns([{ name: 'a', step: () => wait(turn++ % 2 === 0 ? 1 : 40) }], undefined, 0)
  assert.equal(scattered[0].turns, 15)
  assert.ok(scattered[0].quartiles[1] > 2 * scattered[0].quartiles[0])
})
