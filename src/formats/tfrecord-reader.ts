/** Reads TFRecord files: for each record its length, that one's checksum, data, their checksum; all little-endian. */
import type { ByteReader, Refuse } from './byte-reader.ts'
import { maskedCrc32c } from './crc32c.ts'

/** Length and its checksum. */
const headBytes = 12

function checksumAt(data: Uint8Array, at: number): number {
  return new DataView(data.buffer, data.byteOffset + at, 4).getUint32(0, true)
}

/** Whether a file begins with the length of a record. */
export function isTfRecord(head: Uint8Array): boolean {
  return head.length >= headBytes && maskedCrc32c(head.subarray(0, 8)) === checksumAt(head, 8)
}

/**
 * The records up to `end`, not copied: each is good until the next is asked for.
 * @param most bytes of a record; a longer one is refused before it is read.
 */
export function* readTfRecords(
  reader: ByteReader,
  end: number,
  most: number,
  refuse: Refuse,
): Generator<Uint8Array> {
  for (let number = 0; reader.position < end; number++) {
    const wrong = (what: string) => refuse(`its record ${number} ${what}`)
    const head = reader.take(headBytes)
    if (!isTfRecord(head)) throw wrong('is damaged (the checksum of its length differs)')
    const length = Buffer.from(head.buffer, head.byteOffset, 8).readBigUInt64LE()
    if (length > most) throw wrong(`has ${length} bytes, more than ${most}`)
    const data = reader.take(Number(length) + 4)
    const record = data.subarray(0, -4)
    if (maskedCrc32c(record) !== checksumAt(data, record.length))
      throw wrong('is damaged (its checksum differs)')
    yield record
  }
}
