/** The contestants of the operator benchmark compute the same, and what a pass times is that pass. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operatorCases } from '../../../bench/operator-cases.ts'
import { contestantsOf } from '../../../bench/operators.ts'
import { passesOf } from '../../../bench/passes.ts'
import {
  call,
  channelsLast,
  Generator,
  liveSlots,
  mul,
  relu,
  setThreads,
  Tensor,
  tidy,
  withoutKernels,
} from '../../../src/torch/index.ts'
import { assertNear } from '../spaces/numerical.ts'

process.env.GOMP_SPINCOUNT ??= '0'
setThreads(1)

const cases = operatorCases(2, 4)

test('every kernel is there, at three shapes each', () => {
  const count = (operator: string) => cases.filter((one) => one.operator === operator).length
  const counts = Object.fromEntries(cases.map(({ operator }) => [operator, count(operator)]))
  assert.deepEqual(counts, {
    'separable 3x3': 12,
    'separable 5x5': 12,
    relu_pointwise: 3,
    factorized_reduce: 3,
    mix: 3,
    max_pool3: 6,
    avg_pool3: 6,
  })
  assert.deepEqual(
    [...new Set(cases.map(({ shape }) => shape.join('x')))],
    ['2x4x32x32', '2x8x16x16', '2x16x8x8'],
  )
})

test('ours gives what the composition gives', () => {
  for (const one of cases)
    tidy(() => {
      const given = one.inputs(new Generator(1))
      const own = one.apply({ ...given, images: given.images.map(channelsLast) })
      const composed = withoutKernels(() => one.apply(given))
      assertNear(own, composed, 1e-5, `${one.operator}, ${one.variant}, ${one.shape}`, 1)
    })
})

test('our depthwise part is that of libtorch after a ReLU, added up over channels', () => {
  for (const one of cases)
    tidy(() => {
      const { depthwise, ownDepthwise } = one
      assert.equal(depthwise === undefined, ownDepthwise === undefined)
      if (!depthwise || !ownDepthwise) return
      const given = one.inputs(new Generator(1))
      const wanted = depthwise({ ...given, images: given.images.map(relu) })
      const added = call('aten::sum.dim_IntList', wanted, [1], true)
      assertNear(ownDepthwise(given), added, 1e-5, `${one.operator}, ${one.variant}, ${one.shape}`, 1)
    })
})

test('both passes of all contestants run in turn, twice, and leave nothing behind', () => {
  const before = liveSlots()
  for (const one of cases.filter(({ shape }) => shape[1] === 16))
    tidy(() => {
      const contestants = contestantsOf(one, one.inputs(new Generator(1)))
      assert.equal('depthwiseNchw' in contestants, one.operator.startsWith('separable'))
      for (let turn = 0; turn < 2; turn++)
        for (const { forward, backward } of Object.values(contestants)) {
          forward.step()
          const alive = liveSlots()
          backward.step()
          assert.ok(liveSlots() < alive, `${backward.name} of ${one.operator} frees its graph`)
        }
      for (const passes of Object.values(contestants)) passes.dispose()
    })
  assert.equal(liveSlots(), before)
})

test('a backward pass goes back once through the graph of its own forward pass', () => {
  tidy(() => {
    let calls = 0
    const { forward, backward, dispose } = passesOf(
      'double',
      [Tensor.from(Float32Array.of(1, 2), [2])],
      ([x]) => {
        calls += 1
        return mul(x, 2)
      },
    )
    assert.throws(() => backward.step(), /double: a backward pass without its forward pass/)
    forward.step()
    const after = calls
    backward.step()
    assert.equal(calls, after)
    assert.throws(() => backward.step(), /without its forward pass/)
    dispose()
  })
})
