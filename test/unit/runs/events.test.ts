/** TensorBoard files: checksums by known vectors, and every event read back from the bytes by an own small decoder. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs/light.js'
import { crc32c, maskedCrc32c } from '../../../src/formats/crc32c.ts'
import { EventWriter } from '../../../src/runs/events.ts'
import { frameRecord } from '../../../src/runs/tfrecord.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

test('crc32c: the vectors of RFC 3720, B.4, and the check value', () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index)
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  assert.equal(crc32c(ascending), 0x46dd794e)
  assert.equal(crc32c(ascending.toReversed()), 0x113fdb5c)
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(new Uint8Array()), 0)
})

test('masking can be undone, as readers do', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (data) => {
      const rotated = (maskedCrc32c(data) - 0xa282ead8) >>> 0
      assert.equal(((rotated >>> 17) | (rotated << 15)) >>> 0, crc32c(data))
    }),
  )
})

/** The payloads of the records; fails on a wrong checksum or a rest. */
function records(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at))
    assert.equal(bytes.readUInt32LE(at + 8), maskedCrc32c(bytes.subarray(at, at + 8)))
    const data = bytes.subarray(at + 12, at + 12 + length)
    assert.equal(bytes.readUInt32LE(at + 12 + length), maskedCrc32c(data))
    found.push(data)
    at += length + 16
  }
  return found
}

/** Fields of a message by number: `Event` and `Summary.Value` use each number once but `Summary.value`. */
function fields(data: Uint8Array): Map<number, unknown[]> {
  const reader = protobuf.Reader.create(data)
  const found = new Map<number, unknown[]>()
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    const wire = tag & 7
    const value =
      wire === 0
        ? Number(reader.int64())
        : wire === 1
          ? reader.double()
          : wire === 5
            ? reader.float()
            : reader.bytes()
    found.set(tag >>> 3, [...(found.get(tag >>> 3) ?? []), value])
  }
  return found
}

interface Decoded {
  wallTime: unknown
  step: unknown
  version?: string
  session?: unknown
  scalars?: Record<string, unknown>
}

function decode(path: string): Decoded[] {
  const bytesOf = (value: unknown): Uint8Array => {
    assert.ok(value instanceof Uint8Array)
    return value
  }
  return records(readFileSync(path)).map((record) => {
    const event = fields(record)
    const decoded: Decoded = { wallTime: event.get(1)?.[0], step: event.get(2)?.[0] ?? 0 }
    const [version, summary, session] = [3, 5, 7].map((id) => event.get(id)?.[0])
    if (version !== undefined) decoded.version = Buffer.from(bytesOf(version)).toString()
    if (session !== undefined) decoded.session = fields(bytesOf(session)).get(1)?.[0]
    if (summary !== undefined) {
      const values = (fields(bytesOf(summary)).get(1) ?? []).map((value) => fields(bytesOf(value)))
      decoded.scalars = Object.fromEntries(
        values.map((value) => [Buffer.from(bytesOf(value.get(1)?.[0])).toString(), value.get(2)?.[0]]),
      )
    }
    return decoded
  })
}

test('a file opens with the version; scalars come back as float32, zeros and infinities too', (t) => {
  const folder = temporaryFolder(t)
  const writer = new EventWriter(folder)
  assert.match(basename(writer.path), new RegExp(`^events\\.out\\.tfevents\\.\\d{10}\\.${hostname()}$`))
  writer.scalars(0, { 'loss/train': 2.5, zero: 0, größe: Number.POSITIVE_INFINITY }, 1000.5)
  writer.scalars(2 ** 40, { rate: 0.1 }, 1001)
  writer.scalars(5, {})
  const [version, first, second, ...more] = decode(writer.path)
  writer.close()
  assert.equal(version?.version, 'brain.Event:2')
  const scalars = { 'loss/train': 2.5, zero: 0, größe: Number.POSITIVE_INFINITY }
  assert.deepEqual(first, { wallTime: 1000.5, step: 0, scalars })
  assert.deepEqual(second, { wallTime: 1001, step: 2 ** 40, scalars: { rate: Math.fround(0.1) } })
  assert.deepEqual(more, [])
})

test('a resumed run has a second file that sorts after the first and says from where to forget', (t) => {
  const folder = temporaryFolder(t)
  const first = new EventWriter(folder)
  const second = new EventWriter(folder, 120)
  const third = new EventWriter(folder, 0)
  assert.deepEqual(
    readdirSync(folder).sort(),
    [first, second, third].map((writer) => basename(writer.path)),
  )
  const [version, ...starts] = decode(second.path)
  assert.equal(version?.version, 'brain.Event:2')
  const start = { wallTime: starts[0]?.wallTime, step: 120, session: 1 }
  assert.deepEqual(starts, [start, start], 'the first is taken for the start of the run, the second forgets')
  assert.equal(decode(third.path)[1]?.step, 0)
  for (const writer of [first, second, third]) writer.close()
})

test('a file of the future and odd names do not confuse the order', (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'events.out.tfevents.9999999998.other'), '')
  writeFileSync(join(folder, `events.out.tfevents.${'9'.repeat(100)}.other`), '')
  writeFileSync(join(folder, 'events.out.tfevents.none'), '')
  const writer = new EventWriter(folder)
  assert.equal(basename(writer.path), `events.out.tfevents.9999999999.${hostname()}`)
  writer.close()
  assertRefuses(() => new EventWriter(join(folder, 'none')), 'disk', /none: ENOENT/)
})

test('property: framed records are found again', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (data) => {
      const bytes = Buffer.concat(data.map(frameRecord))
      assert.deepEqual(
        records(bytes).map((record) => [...record]),
        data.map((part) => [...part]),
      )
    }),
  )
})
