/** Pickles read piece by piece, with what is asked for again alone in memory: the same values as those read whole. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteReader, type NextBytes } from '../../../src/formats/byte-reader.ts'
import { type PickleOptions, readPickle } from '../../../src/formats/pickle.ts'
import { scanPickle } from '../../../src/formats/pickle-scan.ts'
import { bytes, int, pickle, text, tuple } from '../export/pickles.ts'

class Refused extends Error {}

const refuse = (what: string) => new Refused(what)
const options: PickleOptions<never> = {
  refuse,
  lookUp: (module, name) => {
    throw refuse(`name ${module}.${name}`)
  },
}

/** Data that come in parts of so many bytes. */
function inParts(data: Uint8Array, size: number): NextBytes {
  let at = 0
  return () => {
    const part = data.subarray(at, at + size)
    at += part.length
    return part
  }
}

const whole = (data: Uint8Array) => new ByteReader(data, 0, refuse)
const parts = (data: Uint8Array, size: number) =>
  new ByteReader(new Uint8Array(0), 0, refuse, inParts(data, size))

const memoized = pickle(
  bytes(']', 'q', 0, '('),
  bytes(text('unused'), 'q', 1),
  bytes(text('shared'), 'q', 2),
  bytes('h', 2, 'h', 2, int(7), 'N'),
  bytes(tuple(int(1), text('ä'.repeat(40))), 'q', 3, 'h', 3),
  bytes('e'),
)

test('parts of any size', () => {
  const expected = readPickle(whole(memoized), options)
  for (const size of [1, 2, 3, 7, 64, 1000]) {
    const reader = parts(memoized, size)
    assert.deepEqual(readPickle(reader, options), expected)
    assert.equal(reader.position, memoized.length)
    for (const cut of [1, memoized.length / 2, memoized.length - 1])
      assert.throws(() => readPickle(parts(memoized.subarray(0, cut), size), options), /truncated|no end/)
  }
})

test('the scan finds what is asked for again; with that alone the values are the same', () => {
  const uses = scanPickle(whole(memoized), 100, refuse)
  assert.deepEqual(
    [...uses],
    [
      [2, 2],
      [3, 1],
    ],
  )
  assert.deepEqual(readPickle(whole(memoized), { ...options, uses }), readPickle(whole(memoized), options))
  assert.throws(() => scanPickle(whole(memoized), 1, refuse), /more than 1 values again/)
})

test('the scan stops where the machine does, whatever the bytes are', () => {
  const machine = (data: Uint8Array) => {
    const reader = whole(data)
    readPickle(reader, options)
    return reader.position
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
      let end: number
      try {
        end = machine(pickle(data))
      } catch (error) {
        assert.ok(error instanceof Refused, String(error))
        return
      }
      const reader = whole(pickle(data))
      scanPickle(reader, 1000, refuse)
      assert.equal(reader.position, end)
    }),
    { numRuns: 3000 },
  )
})

test('values are counted: no more at once than allowed, and what is let go is gone', () => {
  const many = pickle(bytes(']', '('), Buffer.alloc(1000, '}'), bytes('e'))
  assert.throws(() => readPickle(whole(many), { ...options, mostValues: 500 }), /more than 500 values/)
  readPickle(whole(many), { ...options, mostValues: 1100 })
  const filled = bytes('}(', text('k'), int(1), 'u')
  const dictionaries = pickle(bytes(']', '('), ...Array.from({ length: 300 }, () => filled), bytes('e'))
  assert.throws(() => readPickle(whole(dictionaries), { ...options, mostValues: 500 }), /more than 500/)
  readPickle(whole(dictionaries), { ...options, mostValues: 500, grown: (map) => 2 * map.size })
})
