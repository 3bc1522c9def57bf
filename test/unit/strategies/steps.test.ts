/** The two steps of a search: each moves its own parameters alone, and a hundred of them leave nothing behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namedParameters } from '../../../src/nn/index.ts'
import { weightStep } from '../../../src/search/weight-step.ts'
import { cellTypes } from '../../../src/spaces/darts/genotype.ts'
import {
  crossEntropy,
  grad,
  liveSlots,
  noGrad,
  sum,
  Tensor,
  tensorMemory,
  tidy,
} from '../../../src/torch/index.ts'
import { archStep, progressOf, supernetLogits, type Tiny, withTiny } from './tiny.ts'

const bytesOf = (tensors: ReadonlyMap<string, Tensor>) =>
  new Map([...tensors].map(([name, tensor]) => [name, tensor.bytes()]))

/** Whether a forward pass would record anything for this leaf. */
function recordsGradient(leaf: Tensor): boolean {
  try {
    return tidy(() => grad(sum(leaf), [leaf])[0] !== null)
  } catch {
    return false
  }
}

/** Alpha, zeta and every ninth weight: asking a leaf that records nothing takes libtorch a millisecond. */
function watched({ supernet, strategy }: Tiny): [string, Tensor][] {
  const some = [...namedParameters(supernet)].filter((_, index) => index % 9 === 0)
  return [...some, ...strategy.parameters()]
}

/** Runs `step` and says for which of the watched parameters its forward pass recorded gradients. */
function recordedBy(tiny: Tiny, step: () => void): Set<string> {
  const recorded = new Set<string>()
  const { supernet } = tiny
  const forward = supernet.forward.bind(supernet)
  supernet.forward = (...args: Parameters<typeof forward>) => {
    for (const [name, leaf] of watched(tiny)) if (recordsGradient(leaf)) recorded.add(name)
    return forward(...args)
  }
  tidy(step)
  supernet.forward = forward
  return recorded
}

const stepOptions = { lr: 0.1, gradClip: 5 }

test('the architecture step moves alpha and zeta, records nothing for weights and leaves them as they are', () => {
  withTiny({}, (tiny) => {
    const { supernet, strategy } = tiny
    const [weights, architecture] = [bytesOf(namedParameters(supernet)), bytesOf(strategy.parameters())]
    strategy.prepareStep(progressOf(0, 9))
    const recorded = recordedBy(tiny, () => archStep(tiny))
    assert.deepEqual(recorded, new Set(strategy.parameters().keys()))
    assert.deepEqual(bytesOf(namedParameters(supernet)), weights)
    for (const [name, bytes] of bytesOf(strategy.parameters()))
      assert.notDeepEqual(bytes, architecture.get(name), name)
    for (const [, leaf] of watched(tiny)) assert.equal(recordsGradient(leaf), false)
  })
})

test('the weight step moves the weights that take part, and leaves alpha, zeta and all others as they are', () => {
  withTiny({}, (tiny) => {
    const { supernet, strategy, train, optimizer } = tiny
    strategy.prepareStep(progressOf(0, 9))
    tidy(() => archStep(tiny))
    const [weights, architecture] = [bytesOf(namedParameters(supernet)), bytesOf(strategy.parameters())]
    const recorded = recordedBy(tiny, () => weightStep(supernet, strategy, train, optimizer, stepOptions))
    const names = watched(tiny).map(([name]) => name)
    assert.deepEqual(recorded, new Set(names.filter((name) => weights.has(name))))
    assert.deepEqual(bytesOf(strategy.parameters()), architecture)
    let moved = 0
    for (const [name, tensor] of namedParameters(supernet)) {
      const [, cell, edge, k] = /^cells\.(\d)\._ops\.(\d+)\._ops\.(\d)/.exec(name) ?? []
      const { mask } = strategy.memory(cell === '0' ? 'normal' : 'reduce')
      const active = cell === undefined || mask[Number(edge)][Number(k)]
      assert.equal(Buffer.compare(tensor.bytes(), weights.get(name) ?? new Uint8Array(0)) !== 0, active, name)
      moved += Number(active)
    }
    for (const [, leaf] of watched(tiny)) assert.equal(recordsGradient(leaf), false)
    assert.ok(moved > 20 && moved < weights.size)
  })
})

test('the step is SGD on the clipped gradient of the loss it reports', () => {
  withTiny({}, (tiny) => {
    const { supernet, strategy, train, optimizer } = tiny
    tidy(() => {
      strategy.prepareStep(progressOf(0, 9))
      archStep(tiny)
      const bias = namedParameters(supernet).get('classifier.bias')
      assert.ok(bias)
      const before = bias.floats()
      const logits = noGrad(() => supernetLogits(supernet, strategy, train.images))
      const wanted = crossEntropy(logits, train.labels).item()
      const clip = 0.5
      const outcome = weightStep(supernet, strategy, train, optimizer, { lr: 0.1, gradClip: clip })
      assert.ok(Math.abs(outcome.loss.item() - wanted) < 1e-5)
      const norm = outcome.gradNorm.item()
      assert.ok(norm > clip, `the gradient's norm is ${norm}: nothing is clipped`)
      // d loss / d bias = mean over the batch of softmax - one-hot
      const labels = [3, 8]
      const gradient = [...before.keys()].map((c) => {
        const parts = logits.matrix().map((row, i) => {
          const powers = row.map(Math.exp)
          return powers[c] / powers.reduce((total, power) => total + power, 0) - Number(labels[i] === c)
        })
        return (parts[0] + parts[1]) / 2
      })
      for (const [c, value] of bias.floats().entries()) {
        const clipped = gradient[c] * (clip / (norm + 1e-6))
        const expected = before[c] - 0.1 * (clipped + 3e-4 * before[c])
        assert.ok(Math.abs(value - expected) < 1e-6, `bias[${c}]: ${value}, expected ${expected}`)
      }
    })
  })
})

test('a loss that is not finite changes no weight', () => {
  withTiny({}, (tiny) => {
    const { supernet, strategy, train, optimizer } = tiny
    strategy.prepareStep(progressOf(0, 9))
    tidy(() => archStep(tiny))
    const weights = bytesOf(namedParameters(supernet))
    tidy(() => {
      const images = train.images.floats()
      images[5] = Number.NaN
      const broken = { ...train, images: Tensor.from(images, train.images.shape) }
      const outcome = weightStep(supernet, strategy, broken, optimizer, stepOptions)
      assert.equal(Number.isFinite(outcome.gradNorm.item()), false)
    })
    assert.deepEqual(bytesOf(namedParameters(supernet)), weights)
  })
})

test('a hundred steps hold no more tensors and bytes than after the first, but for velocities of new operations', () => {
  const outside = [liveSlots(), tensorMemory().live]
  withTiny({ window: 7 }, (tiny) => {
    const { supernet, strategy, train, optimizer } = tiny
    const baseline: number[] = []
    for (let globalStep = 0; globalStep < 100; globalStep++) {
      const at = progressOf(globalStep, 30)
      tidy(() => {
        if (at.step === 0) strategy.beginEpoch(at.epoch)
        strategy.prepareStep(at)
        archStep(tiny)
        weightStep(supernet, strategy, train, optimizer, stepOptions)
      })
      const velocities = [...optimizer.state().values()]
      const bytes = velocities.reduce((all, velocity) => all + 4 * velocity.size, 0)
      const held = [liveSlots() - velocities.length, tensorMemory().live - bytes]
      if (globalStep === 0) baseline.push(...held)
      assert.deepEqual(held, baseline, `after step ${globalStep}`)
    }
    const sampled = cellTypes.map(
      (cell) =>
        strategy
          .memory(cell)
          .pulls.flat()
          .filter((count) => count > 1).length,
    )
    assert.ok(Math.min(...sampled) > 50, 'the subspaces changed on the way')
  })
  assert.deepEqual([liveSlots(), tensorMemory().live], outside, 'all is freed with its owners')
})
