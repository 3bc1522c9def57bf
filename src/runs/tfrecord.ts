/** TFRecord framing: length, its checksum, data, its checksum. */
import { maskedCrc32c } from '../formats/crc32c.ts'

/** One record: 8 bytes length, 4 bytes checksum, data, 4 bytes checksum, all little-endian. */
export function frameRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16)
  record.writeBigUInt64LE(BigInt(data.length), 0)
  record.writeUInt32LE(maskedCrc32c(record.subarray(0, 8)), 8)
  record.set(data, 12)
  record.writeUInt32LE(maskedCrc32c(data), data.length + 12)
  return record
}
