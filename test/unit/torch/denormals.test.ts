/** Numbers too small for a normal exponent: zeros for operators on any number of threads, and numbers for JavaScript. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { describeEngine, mul, noGrad, setThreads, Tensor, tidy } from '../../../src/torch/index.ts'

const { threads } = describeEngine()
after(() => setThreads(threads))

for (const count of [1, 2])
  test(`${count} threads: what operators make of them is zero`, () => {
    setThreads(count)
    // enough that all threads take a part
    const small = Tensor.from(new Float32Array(2 ** 18).fill(2 ** -120), [2 ** 18])
    const products = noGrad(() => tidy(() => mul(small, 2 ** -10).floats()))
    assert.ok(products.every((value) => value === 0))
    const kept = noGrad(() => tidy(() => mul(small, 2 ** -6).floats()))
    assert.ok(kept.every((value) => value === 2 ** -126))
    small.dispose()
    assert.ok(Number.MIN_VALUE / 1 > 0)
  })
