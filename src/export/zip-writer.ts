/** Writes a zip archive of stored entries as PyTorch does: the content of each begins at a multiple of 64 bytes. */
import { crc32 } from 'node:zlib'
import { DdsasError } from '../errors.ts'

/** Entries begin where a memory-mapped reader can use them as arrays. */
const alignment = 64
/** PyTorch's mark of the extra field that holds the padding. */
const paddingKind = 0x4246
const localBytes = 30
/** Names are UTF-8. */
const flags = 0x0800
/** 1980-01-01: the same weights give the same file, whenever they are written. */
const date = 0x0021
/** Zip64 records are not written: beyond this nothing in Node could hold the file anyway. */
const limits = { bytes: 0xffffffff, entries: 0xffff } as const

interface Written {
  readonly name: Buffer
  readonly content: Uint8Array
  readonly checksum: number
  readonly offset: number
}

/**
 * The bytes of an archive with these entries, in this order, not compressed.
 * @throws {DdsasError} `input` when it would have more than 4 GiB or 65,535 entries.
 */
export function writeZip(entries: Iterable<readonly [string, Uint8Array]>): Uint8Array {
  const parts: Uint8Array[] = []
  const written: Written[] = []
  let offset = 0
  for (const [text, content] of entries) {
    const entry = { name: Buffer.from(text), content, checksum: crc32(content), offset }
    const header = localHeader(entry)
    parts.push(header, content)
    written.push(entry)
    offset += header.length + content.length
    if (offset > limits.bytes || written.length > limits.entries)
      throw new DdsasError('input', 'the weights do not fit in a zip archive of 4 GiB and 65,535 entries')
  }
  const directory = Buffer.concat(written.map(centralHeader))
  return Buffer.concat([...parts, directory, endRecord(written.length, directory.length, offset)])
}

/** What local and central header share, from the version needed to the sizes. */
function commonFields({ content, checksum }: Written): Buffer {
  const fields = Buffer.alloc(22)
  fields.writeUInt16LE(20, 0)
  fields.writeUInt16LE(flags, 2)
  fields.writeUInt16LE(date, 8)
  fields.writeUInt32LE(checksum, 10)
  fields.writeUInt32LE(content.length, 14)
  fields.writeUInt32LE(content.length, 18)
  return fields
}

function localHeader(entry: Written): Buffer {
  const { name, offset } = entry
  const unpadded = offset + localBytes + name.length + 4
  const padding = (alignment - (unpadded % alignment)) % alignment
  const lengths = Buffer.alloc(4)
  lengths.writeUInt16LE(name.length, 0)
  lengths.writeUInt16LE(4 + padding, 2)
  const extra = Buffer.alloc(4 + padding)
  extra.writeUInt16LE(paddingKind, 0)
  extra.writeUInt16LE(padding, 2)
  return Buffer.concat([Buffer.from('PK\x03\x04'), commonFields(entry), lengths, name, extra])
}

function centralHeader(entry: Written): Buffer {
  const start = Buffer.from('PK\x01\x02\x14\x00', 'latin1')
  const rest = Buffer.alloc(18)
  rest.writeUInt16LE(entry.name.length, 0)
  rest.writeUInt32LE(entry.offset, 14)
  return Buffer.concat([start, commonFields(entry), rest, entry.name])
}

function endRecord(count: number, bytes: number, offset: number): Buffer {
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 0, 'latin1')
  end.writeUInt16LE(count, 8)
  end.writeUInt16LE(count, 10)
  end.writeUInt32LE(bytes, 12)
  end.writeUInt32LE(offset, 16)
  return end
}
