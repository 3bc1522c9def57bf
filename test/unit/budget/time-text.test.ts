/** Amounts of time as text. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatTime, parseTime } from '../../../src/budget/time-text.ts'

test('text as seconds', () => {
  const given = {
    '2h': 7200,
    '90m': 5400,
    '1h30m': 5400,
    '45s': 45,
    '1.5h': 5400,
    '1d': 86400,
    ' 1H 2m 3s ': 3723,
  }
  for (const [text, seconds] of Object.entries(given)) assert.equal(parseTime(text), seconds, text)
  for (const text of [
    '',
    ' ',
    '2',
    'h',
    '30m1h',
    '-1h',
    '1h1h',
    '0s',
    '2 hours',
    '1e3s',
    '99999999999999999999h',
  ])
    assert.equal(parseTime(text), undefined, text)
})

test('seconds as text are read back as no less, and as hardly more', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e6, noNaN: true }), (seconds) => {
      const back = parseTime(formatTime(seconds)) ?? Number.NaN
      assert.ok(back >= seconds - 1e-9 && back <= seconds + 61, `${seconds} ${formatTime(seconds)}`)
    }),
  )
})
