/** The zip reader and writer: round trips, Python-like archives, and archives that lie about themselves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import { writeZip } from '../../../src/export/zip-writer.ts'
import { allowance, ZipArchive } from '../../../src/formats/zip-reader.ts'
import { assertRefuses } from '../runs/temporary.ts'

const refuse = (what: string) => new DdsasError('data', what)
const open = (data: Uint8Array) => new ZipArchive(data, refuse)
const refuses = (data: Uint8Array, ...patterns: RegExp[]) =>
  assertRefuses(
    () => {
      const archive = open(data)
      for (const name of archive.names) archive.read(name)
    },
    'data',
    ...patterns,
  )

const pair = writeZip([
  ['a/one', Buffer.from('first')],
  ['a/two', Buffer.from('second')],
])

/** Where the directory of an archive without comment begins. */
const directoryAt = (data: Uint8Array) => Buffer.from(data).readUInt32LE(data.length - 6)

function changed(data: Uint8Array, at: number, write: (target: Buffer, at: number) => void): Buffer {
  const copy = Buffer.from(data)
  write(copy, at)
  return copy
}

/** An archive of one stored entry turned into a deflated one that promises `size` bytes. */
function deflated(content: Uint8Array, size = content.length): Buffer {
  const packed = deflateRawSync(content)
  const data = Buffer.from(writeZip([['a/x', packed]]))
  const crc = Buffer.from(writeZip([['a/x', content]])).readUInt32LE(14)
  const central = directoryAt(data)
  data.writeUInt16LE(8, 8)
  data.writeUInt16LE(8, central + 10)
  data.writeUInt32LE(crc, central + 16)
  data.writeUInt32LE(size, central + 24)
  return data
}

test('what is written is read back, each entry at a multiple of 64 bytes', () => {
  const names = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })
  const entries = fc.uniqueArray(fc.tuple(names, fc.uint8Array({ maxLength: 300 })), {
    selector: ([name]) => name,
  })
  fc.assert(
    fc.property(entries, (given) => {
      const data = writeZip(given)
      const archive = open(data)
      assert.deepEqual(
        archive.names,
        given.map(([name]) => name),
      )
      for (const [name, content] of given) {
        const found = archive.read(name)
        assert.ok(found)
        assert.deepEqual([...found], [...content])
        assert.equal((found.byteOffset - data.byteOffset) % 64, 0)
      }
      assert.equal(archive.read('none'), undefined)
    }),
    { numRuns: 50 },
  )
})

test('deflated entries, a comment at the end, and the same bytes whenever they are written', () => {
  const text = Buffer.from('weights '.repeat(100))
  assert.deepEqual(Buffer.from(open(deflated(text)).read('a/x') ?? []), text)
  const comment = Buffer.concat([pair.subarray(0, -2), Buffer.from([3, 0]), Buffer.from('abc')])
  assert.deepEqual(Buffer.from(open(comment).read('a/two') ?? []), Buffer.from('second'))
  assert.deepEqual(writeZip([['x', text]]), writeZip([['x', text]]))
})

test('zip64: sizes and positions in the records that large archives have', () => {
  const data = Buffer.from(pair)
  const central = directoryAt(data)
  const end64 = Buffer.alloc(56)
  end64.writeUInt32LE(0x06064b50)
  end64.writeBigUInt64LE(2n, 32)
  end64.writeBigUInt64LE(BigInt(data.length - 22 - central), 40)
  end64.writeBigUInt64LE(BigInt(central), 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50)
  locator.writeBigUInt64LE(BigInt(data.length - 22), 8)
  const end = Buffer.from(data.subarray(-22))
  end.writeUInt16LE(0xffff, 8)
  end.writeUInt16LE(0xffff, 10)
  end.writeUInt32LE(0xffffffff, 16)
  const large = Buffer.concat([data.subarray(0, -22), end64, locator, end])
  assert.deepEqual(open(large).names, ['a/one', 'a/two'])
  refuses(Buffer.concat([data.subarray(0, -22), end64, end]), /zip64/)
  refuses(
    changed(large, large.length - 42 + 8, (target, at) => target.writeBigUInt64LE(2n ** 60n, at)),
    /truncated|zip64/,
  )
})

test('archives that are damaged or lie', () => {
  const central = directoryAt(pair)
  refuses(pair.subarray(0, -1), /without its end/)
  refuses(pair.subarray(0, 40), /without its end/)
  refuses(
    changed(pair, 65, (target, at) => target.writeUInt8(0, at)),
    /'a\/one' is damaged/,
  )
  refuses(
    changed(pair, central, (target, at) => target.writeUInt8(0, at)),
    /directory is damaged/,
  )
  refuses(
    changed(pair, central + 8, (target, at) => target.writeUInt16LE(0x0801, at)),
    /encrypted/,
  )
  refuses(
    changed(pair, central + 10, (target, at) => target.writeUInt16LE(12, at)),
    /method 12/,
  )
  refuses(
    changed(pair, central + 24, (target, at) => target.writeUInt32LE(4, at)),
    /two sizes/,
  )
  refuses(
    changed(pair, central + 50, (target, at) => target.write('X', at)),
    /differs from the zip directory/,
  )
  refuses(
    changed(pair, central + 42, (target, at) => target.writeUInt32LE(9, at)),
    /differs|truncated/,
  )
  refuses(
    changed(pair, pair.length - 12, (target, at) => target.writeUInt16LE(1, at)),
    /one part of/,
  )
  refuses(
    changed(pair, pair.length - 10, (target, at) => target.writeUInt32LE(9, at)),
    /truncated/,
  )
  refuses(
    changed(pair, pair.length - 6, (target, at) => target.writeUInt32LE(2 ** 31, at)),
    /beyond its end/,
  )
  const one = writeZip([['a/one', Buffer.alloc(3)]])
  refuses(
    changed(one, one.length - 12, (target, at) => target.fill(0, at, at + 2).fill(0, at - 2, at)),
    /longer than its entries/,
  )
})

test('an entry twice, and entries that lie on one another', () => {
  const twice = writeZip([
    ['a', Buffer.from('1')],
    ['a', Buffer.from('2')],
  ])
  refuses(twice, /'a' twice/)
  const second = directoryAt(pair) + 51
  refuses(
    changed(pair, second + 42, (target, at) => target.writeUInt32LE(0, at)),
    /lies on another/,
  )
})

test('zip bombs: neither what an entry promises nor what it unpacks to is believed', () => {
  const zeros = Buffer.alloc(2 * 1024 ** 2)
  refuses(deflated(zeros, 100), /does not unpack to the 100 bytes/)
  refuses(deflated(zeros, zeros.length + 1), /does not unpack/)
  refuses(deflated(zeros, 4_000_000_000), /unpacks to 4000000000 bytes/)
  refuses(deflated(zeros, 0), /does not unpack/)
  assert.ok(allowance(100) < 100 * 1024 ** 2)
})
