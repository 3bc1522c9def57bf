/** The bzip2 decoder, against Python's: streams of all sizes, damage, and bombs. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { unpackBzip2 } from '../../../src/formats/bzip2.ts'
import { applyChanges, changes } from '../export/damage.ts'
import { temporaryFolder } from '../runs/temporary.ts'

class Refused extends Error {}

const refuse = (what: string) => new Refused(what)
const most = 2 ** 24
const unpack = (data: Uint8Array) => unpackBzip2(data, most, refuse)

const python = process.env.DDSAS_PYTHON ?? 'python3'
const hasPython = (() => {
  try {
    execFileSync(python, ['-c', 'import bz2'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
const skip = hasPython ? false : `${python} has no module bz2`

/** Packed by Python's bz2 at level 9: this text, and nothing. */
const hello = Buffer.from(
  '425a6839314159265359e5b5f3090000045100001040000244a00021b5180c029069c2a30bb9229c284872daf98480',
  'hex',
)
const helloText = 'hello hello hello\n'
const empty = Buffer.from('425a683917724538509000000000', 'hex')

const packs = `
import bz2, sys
data = open(sys.argv[1], 'rb').read()
open(sys.argv[2], 'wb').write(bz2.compress(data, int(sys.argv[3])))
`

/** Seeded noise of few different bytes, with runs. */
function noise(length: number, kinds: number): Buffer {
  const data = Buffer.alloc(length)
  let state = 1
  for (let at = 0; at < length; ) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    const run = state % 97 === 0 ? 300 : 1
    data.fill((state >>> 16) % kinds, at, Math.min(length, at + run))
    at += run
  }
  return data
}

test('what Python packs, of one block and many, at each end of the levels', { skip }, (t) => {
  const folder = temporaryFolder(t)
  const [raw, packed] = [join(folder, 'raw'), join(folder, 'packed')]
  const contents = [
    Buffer.alloc(0),
    Buffer.from('a'),
    ...[3, 4, 5, 254, 255, 256, 259, 260, 1000].map((length) => Buffer.alloc(length, 'x')),
    noise(250_000, 256),
    noise(950_000, 3),
    Buffer.alloc(1_000_000),
  ]
  for (const content of contents)
    for (const level of ['1', '9']) {
      writeFileSync(raw, content)
      execFileSync(python, ['-c', packs, raw, packed, level])
      const data = readFileSync(packed)
      assert.ok(Buffer.from(unpack(data)).equals(content), `${content.length} bytes at level ${level}`)
      if (content.length < 1000)
        assert.equal(unpack(Buffer.concat([data, data])).length, 2 * content.length, 'two streams')
    }
})

test('a text, nothing, and several streams one after the other', () => {
  assert.equal(Buffer.from(unpack(hello)).toString(), helloText)
  assert.equal(unpack(empty).length, 0)
  assert.equal(Buffer.from(unpack(Buffer.concat([hello, empty, hello]))).toString(), helloText.repeat(2))
})

function refused(data: Uint8Array, pattern: RegExp, limit = most): void {
  assert.throws(
    () => unpackBzip2(data, limit, refuse),
    (error) => error instanceof Refused && pattern.test(error.message),
  )
}

test('what is cut, damaged or no bzip2 is refused, wherever that is', () => {
  for (let length = 0; length < hello.length; length++)
    refused(hello.subarray(0, length), /truncated|not packed by bzip2/)
  refused(Buffer.from('BZh0'), /not packed/)
  refused(Buffer.from('BZh91AY&SX00000000'), /no bzip2 block/)
  refused(Buffer.concat([hello, Buffer.from('and more')]), /not packed/)
  refused(hello, /more than 17 bytes/, 17)
  for (let bit = 0; bit < 8 * hello.length; bit++) {
    const data = Buffer.from(hello)
    data[bit >> 3] ^= 0x80 >> (bit & 7)
    try {
      // a bit that says nothing: the level, what pads the end
      assert.equal(Buffer.from(unpack(data)).toString(), helloText, `bit ${bit}`)
    } catch (error) {
      assert.ok(error instanceof Refused, error instanceof Error ? error.stack : String(error))
    }
  }
})

test('bombs stop at the limit', { skip }, (t) => {
  const folder = temporaryFolder(t)
  const [raw, packed] = [join(folder, 'raw'), join(folder, 'packed')]
  writeFileSync(raw, Buffer.alloc(60_000_000))
  execFileSync(python, ['-c', packs, raw, packed, '9'])
  const data = readFileSync(packed)
  assert.ok(data.length < 1000)
  refused(data, /more than 16777216 bytes/)
})

test('random changes and random bytes: unpacked or refused, soon', () => {
  const body = fc.oneof(
    changes.map((list) => applyChanges(hello, list)),
    fc.uint8Array({ maxLength: 200 }).map((rest) => Buffer.concat([hello.subarray(0, 14), rest])),
  )
  fc.assert(
    fc.property(body, (data) => {
      try {
        unpack(data)
      } catch (error) {
        assert.ok(error instanceof Refused, error instanceof Error ? error.stack : String(error))
      }
    }),
    { numRuns: 3000 },
  )
})
