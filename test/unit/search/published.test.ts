/** Settings that differ from those a strategy was published with are allowed, and named. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applySettings, partsOf, withParts } from '../../../src/search/config.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { publishedWarnings } from '../../../src/search/published.ts'

test('what differs from the published settings is said in one line, with the way back', () => {
  const parts = partsOf({ space: 'darts', strategy: 'snas' })
  const config = withParts(searchPresets.cifar10, parts)
  assert.deepEqual(publishedWarnings(config, parts), [])
  const set = (...settings: readonly string[]) => publishedWarnings(applySettings(config, settings), parts)
  assert.deepEqual(set('epochs=50'), ["epochs 50: 'snas' was published for 'darts' with --set epochs=150"])
  assert.match(
    set('epochs=50', 'snas.minTau=0.5')[0],
    /^epochs 50, snas\.minTau 0\.5: .* with --set epochs=150 --set snas\.minTau=0\.03$/,
  )
})

test('nothing is said of a space that a strategy was not published for, or of a strategy that names no settings', () => {
  for (const [space, strategy] of [
    ['nasbench201', 'snas'],
    ['darts', 'random'],
  ]) {
    const parts = partsOf({ space, strategy })
    assert.deepEqual(publishedWarnings(withParts(searchPresets.demo, parts), parts), [])
  }
})
