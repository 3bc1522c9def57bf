/** Learning-rate schedules against the published recipes' own formulas. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cosineLr, linearLr, warmUp } from '../../../src/nn/index.ts'
import { trainPresets } from '../../../src/retrain/presets.ts'
import { lrOf } from '../../../src/retrain/train.ts'

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
