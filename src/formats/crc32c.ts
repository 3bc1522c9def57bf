/** CRC-32C (Castagnoli), and how TFRecord stores it: rotated and offset ("masked"). */

/** Reflected polynomial. */
const polynomial = 0x82f63b78

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0)
  return remainder
})

/** CRC-32C of `data`, as an unsigned 32-bit number. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (let at = 0; at < data.length; at++) crc = (crc >>> 8) ^ table[(crc ^ data[at]) & 0xff]
  return (crc ^ 0xffffffff) >>> 0
}

/** A CRC of data that itself holds CRCs would be weak, so it is masked. */
export function maskedCrc32c(data: Uint8Array): number {
  const crc = crc32c(data)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
