/** A file read part by part: as much in memory as its reader needs, however large it is. */
import { readSync } from 'node:fs'
import type { NextBytes } from './byte-reader.ts'

const partBytes = 2 ** 20

/**
 * What gives the bytes of an open file from `start` up to `end`.
 * @param onPart sees each part as it is read.
 */
export function fileParts(
  file: number,
  start: number,
  end: number,
  onPart: (part: Uint8Array) => void = () => {},
): NextBytes {
  let position = start
  return () => {
    const part = Buffer.allocUnsafeSlow(Math.max(0, Math.min(partBytes, end - position)))
    const bytes = part.length === 0 ? 0 : readSync(file, part, 0, part.length, position)
    position += bytes
    const read = part.subarray(0, bytes)
    if (bytes > 0) onPart(read)
    return read
  }
}
