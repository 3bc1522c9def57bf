/** Rounds: a busy machine slows whole rounds and changes no share; they end when times are known, at the limit, or when stopped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timeRounds, timesOf } from '../../../src/latency/rounds.ts'
import type { TimedModel } from '../../../src/latency/runtime.ts'
import { Generator } from '../../../src/torch/index.ts'

const limits = { least: 4, most: 30, precision: 0.01 }
const unwatched = { onRound: () => {}, stopped: () => false }

function models(took: readonly number[], slower: () => number = () => 1) {
  const runs: number[] = []
  const made = took.map(
    (ms, index): TimedModel => ({
      time: async () => {
        runs.push(index)
        return ms * slower()
      },
      release: async () => {},
    }),
  )
  return { made, runs }
}

test('steady times are known after the fewest rounds, each begun by another model, each turn of four runs', async () => {
  const { made, runs } = models([1, 2, 4])
  const rounds = await timeRounds(made, [], limits, unwatched)
  assert.equal(rounds.length, 4)
  const { ms, error } = timesOf(rounds)
  for (const [index, wanted] of [1, 2, 4].entries()) assert.ok(Math.abs(ms[index] - wanted) < 1e-12)
  assert.ok(error < 1e-12)
  assert.deepEqual(
    runs.filter((_, index) => index % 4 === 0),
    [0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2],
  )
})

test('a round in which all is three times as slow moves nothing', () => {
  const rounds = Array.from({ length: 10 }, (_, round) =>
    [1, 2, 5].map((ms) => ms * (round % 2 === 0 ? 1 : 3)),
  )
  const { ms } = timesOf(rounds)
  for (const [index, wanted] of [1, 2, 5].entries()) assert.ok(Math.abs(ms[index] - wanted) < 1e-9, `${ms}`)
})

test('a noisy machine gets all rounds that are allowed, and what was done before counts', async () => {
  const generator = new Generator(0, 'noise')
  const { made } = models([1, 2], () => 1 + generator.uniform())
  const told: number[] = []
  const before = Array.from({ length: 20 }, (_, round) => [1, 2 + (round % 3)])
  const rounds = await timeRounds(
    made,
    before,
    { ...limits, precision: 1e-6 },
    {
      onRound: ({ length }) => told.push(length),
      stopped: () => false,
    },
  )
  assert.equal(rounds.length, 30)
  assert.deepEqual(told, [21, 22, 23, 24, 25, 26, 27, 28, 29, 30])
})

test('a round in which it was stopped is dropped', async () => {
  const { made, runs } = models([1, 2, 3])
  const rounds = await timeRounds(made, [], limits, { onRound: () => {}, stopped: () => runs.length >= 20 })
  assert.equal(rounds.length, 1)
})
