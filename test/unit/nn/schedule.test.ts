/** Learning-rate schedules against the published recipes' own formulas. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { carriedCosineLr, cosineLr, linearLr, warmUp } from '../../../src/nn/index.ts'
import { trainPresets } from '../../../src/retrain/presets.ts'
import { lrOf } from '../../../src/retrain/train.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { searchLr } from '../../../src/search/schedule.ts'

test('the ImageNet recipe: linear, gentler in the last five epochs, with a warm-up of five', () => {
  for (let epoch = 0; epoch < 250; epoch++) {
    const full = epoch < 245 ? (0.5 * (245 - epoch)) / 245 : (0.5 * (250 - epoch)) / 1225
    const wanted = epoch < 5 ? (full * (epoch + 1)) / 5 : full
    assert.ok(Math.abs(lrOf(epoch, trainPresets.imagenet) - wanted) < 1e-12, `epoch ${epoch}`)
  }
})

test('the CIFAR recipe: cosine from 0.025 to 0, and the last epoch still learns', () => {
  assert.equal(lrOf(0, trainPresets.cifar10), 0.025)
  assert.ok(Math.abs(lrOf(300, trainPresets.cifar10) - 0.0125) < 1e-12)
  assert.ok(lrOf(599, trainPresets.cifar10) > 0)
  assert.ok(Math.abs(cosineLr(600, 600, 0.025, 0)) < 1e-12)
})

test('any schedule starts at its rate, never rises after the warm-up and never reaches 0', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), (epochs) => {
      const rates = Array.from({ length: epochs }, (_, epoch) => linearLr(epoch, epochs, 1))
      assert.equal(rates[0], 1)
      rates.forEach((rate, epoch) => {
        assert.ok(rate > 0 && rate <= (rates[epoch - 1] ?? 1) + 1e-12)
      })
    }),
  )
  assert.deepEqual(
    [0, 1, 2, 3].map((epoch) => warmUp(epoch, 2)),
    [0.5, 1, 1, 1],
  )
  assert.equal(warmUp(0, 0), 1)
})

test('the cosine that the warm-up is carried into is the recursion of PyTorch, overwritten', () => {
  const arbitrary = [fc.integer({ min: 1, max: 80 }), fc.integer({ min: 0, max: 90 })] as const
  fc.assert(
    fc.property(...arbitrary, fc.double({ min: 0, max: 0.4, noNaN: true }), (epochs, rising, to) => {
      let rate = 0.5
      for (let epoch = 0; epoch < epochs; epoch++) {
        const [now, last] = [epoch + 1, epoch].map((at) => 1 + Math.cos((Math.PI * at) / epochs))
        rate = to + (now / last) * (rate - to)
        if (epoch < rising) rate = (0.5 * (epoch + 1)) / rising
        const own = carriedCosineLr(epoch, epochs, 0.5, to, rising)
        assert.ok(Math.abs(own - rate) < 1e-9, `epoch ${epoch}: ${own}, ${rate}`)
      }
    }),
  )
})

test('a search without other settings has the cosine, and a warm-up rises to it', () => {
  const { cifar10 } = searchPresets
  const rising = { ...cifar10, weightOptimizer: { ...cifar10.weightOptimizer, warmUp: 4 } }
  for (let epoch = 0; epoch < 50; epoch++) {
    const rate = cosineLr(epoch, 50, 0.025, 0.001)
    assert.equal(searchLr(epoch, cifar10), rate)
    assert.equal(searchLr(epoch, rising), rate * Math.min(1, (epoch + 1) / 4))
  }
})
