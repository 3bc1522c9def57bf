/** The halves of an image folder: every class in both, nothing twice, in proportion from the beginning on; and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { applySettings, type SearchConfig } from '../../../src/search/config.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { type Labelled, splitByClass } from '../../../src/search/split.ts'
import { assertRefuses } from '../runs/temporary.ts'

const preset = searchPreset('folder')
const config = (seed: number, ...settings: readonly string[]): SearchConfig =>
  applySettings(preset, [`seed=${seed}`, ...settings])

/** Images by class, as a folder lists them. */
function labelled(counts: readonly number[]): Labelled {
  return {
    classes: counts.map((_, label) => `c${label}`),
    labels: counts.flatMap((count, label) => Array.from({ length: count }, () => label)),
  }
}

function countsAt({ labels, classes }: Labelled, positions: readonly number[]): number[] {
  return classes.map((_, label) => positions.filter((position) => labels[position] === label).length)
}

const distinct = (positions: readonly number[]) => new Set(positions).size === positions.length
const sizes = fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 1, maxLength: 12 })
const seeds = fc.nat(1000)

test('halves hold every image once; of a class, and of all, they differ by one at most', () => {
  fc.assert(
    fc.property(sizes, seeds, (counts, seed) => {
      const images = labelled(counts)
      const { train, valid } = splitByClass(images, config(seed))
      const all = [...train, ...valid].sort((a, b) => a - b)
      assert.deepEqual(
        all,
        Array.from({ length: images.labels.length }, (_, index) => index),
      )
      const [a, b] = [countsAt(images, train), countsAt(images, valid)]
      for (const [label, count] of a.entries()) assert.ok(Math.abs(count - (b[label] ?? 0)) <= 1)
      assert.ok(valid.length - train.length === 0 || valid.length - train.length === 1)
      assert.deepEqual(splitByClass(images, config(seed)), { train, valid }, 'the same by the same seed')
    }),
  )
  const many = labelled([20, 20])
  assert.notDeepEqual(splitByClass(many, config(0)), splitByClass(many, config(1)))
})

test('every beginning of a half holds the classes as the whole does', () => {
  fc.assert(
    fc.property(sizes, seeds, (counts, seed) => {
      const images = labelled(counts)
      for (const half of Object.values(splitByClass(images, config(seed)))) {
        const whole = countsAt(images, half)
        for (let first = 1; first <= half.length; first++)
          for (const [label, count] of countsAt(images, half.slice(0, first)).entries()) {
            const share = (whole[label] ?? 0) / half.length
            // each class is rounded once, and so are all that came before
            const most = 0.5 + (share * counts.length) / 2 + 1e-9
            assert.ok(Math.abs(count - first * share) <= most, `${count} of ${first}, ${share}`)
          }
      }
    }),
    { numRuns: 30 },
  )
  // ten of one class and thirty of the other: of the first four one and three
  const images = labelled([20, 60])
  for (const half of Object.values(splitByClass(images, config(3)))) {
    assert.deepEqual(countsAt(images, half.slice(0, 4)), [1, 3])
    assert.deepEqual(countsAt(images, half.slice(0, 20)), [5, 15])
  }
})

test('fractions are shares of each class, apart from each other', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 20, max: 200 }), { minLength: 1, maxLength: 6 }),
      seeds,
      fc.integer({ min: 3, max: 50 }),
      fc.integer({ min: 3, max: 50 }),
      (counts, seed, a, b) => {
        const images = labelled(counts)
        const fractions = [`data.trainFraction=${a / 100}`, `data.validFraction=${b / 100}`]
        const { train, valid } = splitByClass(images, config(seed, ...fractions))
        assert.ok(distinct([...train, ...valid]))
        const wanted = (share: number) => counts.map((count) => Math.round((share / 100) * count))
        assert.deepEqual(countsAt(images, train), wanted(a))
        const room = countsAt(images, train).map((taken, label) => (counts[label] ?? 0) - taken)
        assert.deepEqual(
          countsAt(images, valid),
          wanted(b).map((count, label) => Math.min(count, room[label] ?? 0)),
        )
      },
    ),
  )
  // ImageNet's, of a class of 1300
  const { train, valid } = splitByClass(
    labelled([1300]),
    config(0, 'data.trainFraction=0.1', 'data.validFraction=0.025'),
  )
  assert.deepEqual([train.length, valid.length], [130, 33])
})

test('data.images takes each class in its proportion', () => {
  const images = labelled([10, 30, 60])
  const { train, valid } = splitByClass(images, config(0, 'data.images=20'))
  assert.ok(distinct([...train, ...valid]))
  assert.deepEqual(countsAt(images, [...train, ...valid]), [2, 6, 12])
})

test('what cannot be split is refused by the name of its class', () => {
  assertRefuses(
    () => splitByClass(labelled([4, 1, 4]), config(0)),
    'input',
    /^the class c1 has 1 image, which cannot be in both halves: add another, or remove the class$/,
  )
  assertRefuses(
    () => splitByClass(labelled([4, 400]), config(0, 'data.images=50')),
    'input',
    /^the class c0 has [01] images? among data\.images = 50, too few for two halves: ask for more$/,
  )
  assertRefuses(
    () => splitByClass(labelled([100, 12]), config(0, 'data.trainFraction=0.1', 'data.validFraction=0.025')),
    'input',
    /^data\.validFraction = 0\.025 of the 12 images of the class c1 is none: use at least 0\.042, or more images$/,
  )
  assertRefuses(
    () => splitByClass(labelled([4, 4]), config(0, 'data.images=9')),
    'input',
    /the training set has 8/,
  )
})
