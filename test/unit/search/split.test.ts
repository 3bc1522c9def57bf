/** The two halves of the training set, and running averages. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { emptyAverage, include, means } from '../../../src/loop/averages.ts'
import { applySettings } from '../../../src/search/config.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { splitTrainVal } from '../../../src/search/split.ts'
import { assertRefuses } from '../runs/temporary.ts'

const preset = searchPreset('cifar10')

function withImages(images: number, seed = 0) {
  return applySettings(preset, [`data.images=${images}`, `seed=${seed}`])
}

test('all images: the first half for the weights, the second for the architecture, as in DARTS', () => {
  assert.deepEqual(splitTrainVal(5, preset), { train: [0, 1], valid: [2, 3, 4] })
  const { train, valid } = splitTrainVal(50_000, preset)
  assert.deepEqual([train.length, train.at(-1), valid[0], valid.length], [25_000, 24_999, 25_000, 25_000])
})

test('a part of them: that many different ones, the same for the same seed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 200 }), fc.nat(), fc.nat(1000), (count, part, seed) => {
      const images = 2 + (part % (count - 1))
      const config = withImages(images, seed)
      const { train, valid } = splitTrainVal(count, config)
      assert.equal(train.length, Math.floor(images / 2))
      const all = [...train, ...valid]
      assert.equal(new Set(all).size, images)
      assert.ok(all.every((position) => position >= 0 && position < count))
      assert.deepEqual(splitTrainVal(count, config), { train, valid })
    }),
  )
  assert.notDeepEqual(splitTrainVal(100, withImages(50, 0)), splitTrainVal(100, withImages(50, 1)))
})

test('too many or too few are refused', () => {
  assertRefuses(
    () => splitTrainVal(10, withImages(11)),
    'input',
    /data\.images = 11, the training set has 10/,
  )
  assertRefuses(() => splitTrainVal(10, withImages(1)), 'input', /1 image cannot be split/)
  assertRefuses(() => splitTrainVal(1, preset), 'input', /1 image cannot be split/)
})

test('an average weighs batches by their images', () => {
  const first = include(emptyAverage, { loss: 2, correct: 3, images: 4 })
  assert.deepEqual(means(first), { loss: 2, accuracy: 0.75 })
  const both = include(first, { loss: 8, correct: 0, images: 2 })
  assert.deepEqual(means(both), { loss: 4, accuracy: 0.5 })
  assert.deepEqual(emptyAverage, { loss: 0, correct: 0, images: 0 })
  assert.deepEqual(JSON.parse(JSON.stringify(both)), both)
})
