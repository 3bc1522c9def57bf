/** When a step is computed, recorded and replayed, with a recorder in place of CUDA's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplayedStep } from '../../../src/loop/replay.ts'
import type { Batch } from '../../../src/strategies/strategy.ts'
import { type Graph, liveSlots, mul, sum, Tensor, tidy } from '../../../src/torch/index.ts'

function batchOf(value: number, count = 2): Batch {
  return {
    images: Tensor.from(new Float32Array(count).fill(value), [count, 1, 1, 1]),
    labels: Tensor.from(new BigInt64Array(count), [count]),
  }
}

/** Counts what is asked of it; a replay computes again what was recorded, into the same tensor. */
function stubbed() {
  const calls = { recorded: 0, replayed: 0, disposed: 0 }
  const record = <Result>(body: () => Result): { graph: Graph; result: Result } => {
    calls.recorded += 1
    const result = body()
    return {
      graph: { launches: 7, replay: () => (calls.replayed += 1), dispose: () => (calls.disposed += 1) },
      result,
    }
  }
  return { calls, record }
}

const body = ([{ images }]: readonly Batch[]): Tensor => tidy(() => sum(mul(images, 3)))

test('a step is computed first, recorded second, replayed from then on; another key begins anew', () => {
  const before = liveSlots()
  const { calls, record } = stubbed()
  const step = new ReplayedStep(record)
  const run = (key: string, batch: Batch) => step.run(key, [batch], body).item()
  tidy(() => {
    assert.equal(run('a', batchOf(1)), 6)
    assert.deepEqual(calls, { recorded: 0, replayed: 0, disposed: 0 })
    run('a', batchOf(2))
    run('a', batchOf(3))
    assert.deepEqual(calls, { recorded: 1, replayed: 2, disposed: 0 })
    assert.equal(step.launches, 7)
    assert.equal(run('b', batchOf(4)), 24)
    assert.deepEqual(calls, { recorded: 1, replayed: 2, disposed: 0 })
    run('b', batchOf(5))
    assert.deepEqual(
      calls,
      { recorded: 2, replayed: 3, disposed: 1 },
      'the old recording goes after the new one is made',
    )
    assert.equal(run('b', batchOf(1, 3)), 9, 'a smaller or larger batch is another step')
    assert.equal(calls.replayed, 3)
  })
  step.dispose()
  assert.equal(calls.disposed, 2)
  assert.equal(liveSlots(), before)
})

test('the batches of a replay are copied to where the recording reads', () => {
  const { record } = stubbed()
  const seen: (readonly Batch[])[] = []
  const step = new ReplayedStep(record)
  tidy(() => {
    const watched = (batches: readonly Batch[]) => {
      seen.push(batches)
      return body(batches)
    }
    for (const value of [1, 2, 3]) step.run('a', [batchOf(value)], watched)
    assert.equal(seen.length, 2)
    assert.deepEqual([...seen[1][0].images.floats()], [3, 3])
  })
  step.dispose()
})

test('a recording that fails leaves the step as it was, and the next one is tried again', () => {
  let fails = true
  const { record } = stubbed()
  const step = new ReplayedStep((recorded) => {
    if (fails) throw new Error('cannot be recorded')
    return record(recorded)
  })
  tidy(() => {
    step.run('a', [batchOf(1)], body)
    assert.throws(() => step.run('a', [batchOf(1)], body), /cannot be recorded/)
    fails = false
    assert.equal(step.run('a', [batchOf(2)], body).item(), 12)
  })
  step.dispose()
})

test('without a recorder every step is computed', () => {
  const step = ReplayedStep.on('cpu')
  tidy(() => {
    for (const value of [1, 2, 3]) assert.equal(step.run('a', [batchOf(value)], body).item(), 6 * value)
  })
  assert.equal(step.launches, 0)
})
