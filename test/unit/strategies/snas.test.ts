/** SNAS's concrete weights, and the one pass that moves weights and alpha. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchStep } from '../../../src/search/search.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { concreteWeights, snas, snasTemperature } from '../../../src/strategies/snas.ts'
import {
  crossEntropy,
  Generator,
  grad,
  setRequiresGrad,
  setThreads,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { withSession } from '../search/pairs.ts'
import { checkGradients, randomTensor, weighed } from '../spaces/numerical.ts'

// so little work is slower on several threads
setThreads(1)

const parts = { space: nasbench201Space, strategy: snas as AnyStrategy }

test('concrete weights are those of the formula, and have its gradient', () => {
  tidy(() => {
    const generator = new Generator(0)
    const [alpha, noise, upstream] = [0, 1, 2].map(() => randomTensor([3, 4], generator))
    const tau = 0.6
    const found = concreteWeights(alpha, noise, tau).matrix()
    for (const [row, values] of alpha.matrix().entries()) {
      // softmax does not see that ln softmax takes the same from all of a row
      const powers = values.map((value, k) => Math.exp((value + noise.matrix()[row][k]) / tau))
      const total = powers.reduce((sum, power) => sum + power, 0)
      for (const [k, power] of powers.entries()) assert.ok(Math.abs(found[row][k] - power / total) < 1e-12)
    }
    checkGradients(
      () => weighed(concreteWeights(alpha, noise, tau), upstream),
      new Map([['alpha', alpha]]),
      generator,
    )
  })
})

test('the temperature falls in a line and ends at the lowest, in a search of any length', () => {
  const how = { tau: 1, minTau: 0.03 }
  for (const epochs of [1, 2, 50]) assert.equal(snasTemperature(how, epochs - 1, epochs), 0.03)
  assert.ok(Math.abs(snasTemperature(how, 0, 2) - 0.515) < 1e-12)
})

test('alpha follows the training loss of the weights as they were, and one forward pass serves both', () =>
  withSession(parts, async (session) => {
    const { supernet, strategy, streams } = session
    const [stepped, seen] = [strategy.stepWithWeights?.bind(strategy), streams.train.next.bind(streams.train)]
    assert.ok(stepped)
    const forward = supernet.forward.bind(supernet)
    const alpha = strategy.parameters?.().get('alpha.cell') ?? assert.fail('no alpha')
    let [passes, compared] = [0, false]
    const wanted: number[] = []
    streams.train.next = async () => {
      const batch = await seen()
      tidy(() => {
        // what the step will compute, before it moves anything
        setRequiresGrad([alpha], true)
        strategy.prepareStep = () => {}
        const weights = strategy.archWeights('cell', 'train')
        const { logits } = forward(batch.images, { training: true, archWeights: () => weights })
        wanted.push(...(grad(crossEntropy(logits, batch.labels), [alpha])[0]?.floats() ?? []))
        setRequiresGrad([alpha], false)
      })
      return batch
    }
    supernet.forward = (...args) => {
      passes += 1
      return forward(...args)
    }
    strategy.stepWithWeights = (gradients) => {
      const found = gradients[0]?.floats() ?? assert.fail('no gradient')
      assert.equal(found.length, wanted.length)
      for (const [k, value] of found.entries())
        assert.ok(Math.abs(value - wanted[k]) < 1e-6 + 1e-4 * Math.abs(wanted[k]), `${value} ${wanted[k]}`)
      compared = true
      stepped(gradients)
    }
    const before = alpha.floats()
    const report = await searchStep(session, 0.02)
    assert.deepEqual([passes, compared, report.valid], [1, true, null])
    assert.notDeepEqual(alpha.floats(), before)
  }))

test('accuracy is measured without noise', () =>
  withSession(parts, async (session) => {
    await searchStep(session, 0.02)
    tidy(() => {
      const of = (mode: 'train' | 'eval') => session.strategy.archWeights('cell', mode).weights.floats()
      const alpha = session.strategy.parameters?.().get('alpha.cell') ?? assert.fail('no alpha')
      const tau = snasTemperature({ tau: 1, minTau: 0.03 }, 0, session.config.epochs)
      assert.deepEqual(of('eval'), concreteWeights(alpha, undefined, tau).floats())
      assert.notDeepEqual(of('train'), of('eval'))
    })
  }))

test('a temperature that would rise is refused with a remedy', () => {
  const settings = { ...snas.defaults(nasbench201Space), snas: { tau: 0.1, minTau: 0.5 } }
  assertRefuses(
    () => snas.check?.(settings, nasbench201Space, 9),
    'input',
    /snas\.minTau 0\.5 is above snas\.tau 0\.1: set a smaller/,
  )
})

test('a row with the same alpha everywhere is drawn evenly', () => {
  tidy(() => {
    const even = Tensor.from(new Float32Array(4), [1, 4])
    assert.deepEqual([...concreteWeights(even, undefined, 0.03).floats()], [0.25, 0.25, 0.25, 0.25])
  })
})
