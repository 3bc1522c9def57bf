/** The variant `extended`: neutral settings change no bit, each change follows its formula, and states are resumed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { dartsSpace } from '../../../../src/spaces/darts/cell-space.ts'
import {
  type ExtendedSettings,
  explorationAt,
  extendedSettings,
  published,
} from '../../../../src/strategies/ddsas/extended.ts'
import { closeWindow, emptyState } from '../../../../src/strategies/ddsas/saliency.ts'
import { checkSettings, defaultSettings } from '../../../../src/strategies/ddsas/settings.ts'
import { parseWindow } from '../../../../src/strategies/ddsas/window-record.ts'
import { assertRefuses } from '../../runs/temporary.ts'
import { type DdsasOptions, makeStrategy, progressOf, withTiny } from '../tiny.ts'
import { matrices, members, smallSpaces } from './spaces.ts'
import { fingerprint, free, perEpoch, saved, update } from './states.ts'

const changed = (changes: Partial<ExtendedSettings>): DdsasOptions => ({
  variant: 'extended',
  window: 4,
  extended: { ...published, ...changes },
})

/** Each change by itself. */
const changes: readonly Partial<ExtendedSettings>[] = [
  { exploration: 0.1, explorationLeft: 0.01 },
  { saliencyDecay: 0.9 },
  { betaDecay: 20 },
  { reward: 'gradient' },
]

test('extended with the settings as they are is the published search to the bit', () => {
  const [wanted, found] = (['authors-code', 'extended'] as const).map((variant) => {
    let end: unknown
    withTiny({ variant, window: 4 }, (tiny) => {
      for (let total = 0; total < 3 * perEpoch; total++) update(tiny, total)
      tiny.strategy.finish(progressOf(3 * perEpoch, perEpoch))
      end = { ...fingerprint(tiny.strategy), record: tiny.strategy.takeRecord() }
    })
    return end
  })
  assert.deepEqual(found, wanted)
})

for (const change of changes)
  test(`${Object.keys(change)}: changes the search; another goes on from a saved state to the bit`, () => {
    const options = changed(change)
    let usual: unknown
    withTiny(changed({}), (tiny) => {
      for (let total = 0; total < 13; total++) update(tiny, total)
      usual = fingerprint(tiny.strategy)
    })
    withTiny(options, (tiny) => {
      for (let total = 0; total < 7; total++) update(tiny, total)
      const state = saved(tiny.strategy)
      for (let total = 7; total < 13; total++) update(tiny, total)
      assert.notDeepEqual(fingerprint(tiny.strategy), usual)
      const other = makeStrategy(options, 77)
      other.load(state)
      free(state)
      for (let total = 7; total < 13; total++) update({ ...tiny, strategy: other }, total)
      assert.deepEqual(fingerprint(other), fingerprint(tiny.strategy))
      other.dispose()
    })
  })

test('other variants refuse what they would leave unread, by its name', () => {
  const { ddsas, ...rest } = defaultSettings(dartsSpace)
  const check = (options: DdsasOptions) =>
    checkSettings({ ...rest, ddsas: { ...ddsas, ...options } }, dartsSpace, 50)
  const all = [...changes, { selection: 'loss', selectionImages: 5 } as const]
  for (const variant of ['authors-code', 'paper'] as const) {
    check({ variant, extended: published })
    for (const change of all)
      for (const [key, value] of Object.entries(change))
        assertRefuses(
          () => check({ variant, extended: { ...published, [key]: value } }),
          'input',
          new RegExp(`ddsas\\.extended\\.${key} = ${value} is read by the variant 'extended' alone`),
          /set ddsas\.variant to extended/,
        )
  }
  for (const change of all) check({ variant: 'extended', extended: { ...published, ...change } })
})

test('settings out of their ranges are refused', () => {
  const bad = {
    exploration: [0, -1, Number.NaN, 1e7],
    explorationLeft: [0, 1.01],
    saliencyDecay: [0, 1.01, '1'],
    selection: ['size', 0],
    selectionImages: [-1, 0.5],
    betaDecay: [-1, Number.POSITIVE_INFINITY],
    reward: ['alpha'],
  }
  for (const [key, values] of Object.entries(bad))
    for (const value of values) assert.ok(!extendedSettings.safeParse({ [key]: value }).success, key)
})

test('c falls by one factor from epoch to epoch, from the first to the part that is left in the last', () => {
  const settings = { ...published, exploration: 0.8, explorationLeft: 0.01 }
  const all = Array.from({ length: 50 }, (_, epoch) => explorationAt(settings, epoch, 50))
  assert.equal(all[0], 0.8)
  assert.ok(Math.abs(all[49] - 0.008) < 1e-15)
  for (const [epoch, c] of all.slice(1).entries())
    assert.ok(Math.abs(c / all[epoch] - Math.exp(Math.log(0.01) / 49)) < 1e-12)
  assert.equal(explorationAt(settings, 0, 1), 0.8)
  for (const epoch of [0, 7, 49]) assert.equal(explorationAt(published, epoch, 50), 1.44)
})

test('records of windows hold the c of their epoch, by which their bonus was', () => {
  const settings = { ...published, exploration: 0.5, explorationLeft: 0.25 }
  withTiny(changed(settings), (tiny) => {
    for (let total = 0; total < 3 * perEpoch; total++) {
      update(tiny, total)
      const record = tiny.strategy.takeRecord()
      if (record === undefined) continue
      const { epoch, exploration, totalPulls, groups } = parseWindow(JSON.parse(JSON.stringify(record)), 'it')
      // the strategies of these tests are of searches of 50 epochs
      assert.ok(Math.abs(exploration - 0.5 * 0.25 ** (epoch / 49)) < 1e-12)
      const { bonus, pulls } = groups.normal
      assert.equal(bonus[3][2], exploration * Math.sqrt(Math.log(totalPulls) / pulls[3][2]))
    }
  })
})

test('decayed saliency: windows weigh decay to the power of how many ended after them', () => {
  const histories = smallSpaces.chain((space) =>
    fc.record({
      space: fc.constant(space),
      decay: fc.constantFrom(0.3, 0.9, 0.99),
      prior: fc.constantFrom(0, 1),
      windows: fc.array(
        fc.record({
          mask: matrices(space, fc.boolean()),
          weights: matrices(space, fc.double({ min: 0, max: 1, noNaN: true })),
        }),
        { maxLength: 12 },
      ),
    }),
  )
  fc.assert(
    fc.property(histories, ({ space, decay, prior, windows }) => {
      let memory = emptyState(space.edges, space.operations, prior)
      for (const { mask, weights } of windows) memory = closeWindow({ ...memory, mask }, weights, decay)
      for (const { edge, k } of members(memory.available)) {
        const own = windows.flatMap(({ mask, weights }, i) =>
          mask[edge][k] ? [{ weight: weights[edge][k], after: windows.length - 1 - i }] : [],
        )
        const sum = (of: (weight: number) => number) =>
          own.reduce((total, { weight, after }) => total + of(weight) * decay ** after, 0)
        // a prior is a window of weight 0 before all others
        const wanted =
          own.length === 0 ? 0 : sum((weight) => weight) / (sum(() => 1) + prior * decay ** windows.length)
        const found = memory.saliency[edge][k]
        assert.ok(Math.abs(found - wanted) < 1e-9, `${found}, ${wanted}`)
        assert.equal(memory.pulls[edge][k], own.length + prior)
      }
    }),
  )
})
