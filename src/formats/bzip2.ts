/** Unpacks bzip2, block by block: Huffman codes, move-to-front, Burrows and Wheeler's transform, runs; checksums are checked. */
import type { Refuse } from './byte-reader.ts'
import { BitReader, type HuffmanTable, huffmanTable, maxCodeLength, symbolsPerTable } from './bzip2-codes.ts'
import { FrontList } from './bzip2-front.ts'

const blockMagic = [0x314159, 0x265359] as const
const endMagic = [0x177245, 0x385090] as const
const blockUnit = 100_000
const runA = 0
const runB = 1

/** CRC-32 with the highest bit first, as bzip2 takes it. */
const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  return crc
})

/** What grows while a stream is unpacked. */
class Output {
  data: Uint8Array
  length = 0
  readonly #most: number
  readonly #refuse: Refuse

  constructor(expected: number, most: number, refuse: Refuse) {
    this.data = new Uint8Array(Math.min(expected, most))
    this.#most = most
    this.#refuse = refuse
  }

  /** Room for so many bytes more. */
  reserve(count: number): void {
    const needed = this.length + count
    if (needed > this.#most) throw this.#refuse(`it unpacks to more than ${this.#most} bytes`)
    if (needed <= this.data.length) return
    const larger = new Uint8Array(Math.min(this.#most, Math.max(needed, 2 * this.data.length)))
    larger.set(this.data.subarray(0, this.length))
    this.data = larger
  }
}

/** Scratch of the largest block, kept for the next file: 3.6 MB. */
let scratch = new Int32Array(0)

/**
 * Unpacks one or more bzip2 streams.
 * @param most bytes that may come out.
 * Throws what `refuse` makes of anything but sound streams, and of more than `most` bytes.
 */
export function unpackBzip2(data: Uint8Array, most: number, refuse: Refuse): Uint8Array {
  const reader = new BitReader(data, refuse)
  const output = new Output(5 * data.length + 1024, most, refuse)
  do unpackStream(reader, output, refuse)
  while (reader.hasBytes())
  return output.data.subarray(0, output.length)
}

function unpackStream(reader: BitReader, output: Output, refuse: Refuse): void {
  const level = reader.bits(24) === 0x425a68 ? reader.bits(8) - 0x30 : 0
  if (level < 1 || level > 9) throw refuse('it is not packed by bzip2')
  let combined = 0
  for (;;) {
    const magic = [reader.bits(24), reader.bits(24)]
    const checksum = (reader.bits(16) << 16) | reader.bits(16)
    if (magic[0] === endMagic[0] && magic[1] === endMagic[1]) {
      if (checksum !== combined) throw refuse('it is damaged (the checksum of a bzip2 stream differs)')
      reader.align()
      return
    }
    if (magic[0] !== blockMagic[0] || magic[1] !== blockMagic[1])
      throw refuse('it is damaged (no bzip2 block where one must be)')
    if (unpackBlock(reader, level * blockUnit, output, refuse) !== checksum)
      throw refuse('it is damaged (the checksum of a bzip2 block differs)')
    combined = ((combined << 1) | (combined >>> 31)) ^ checksum
  }
}

/** Appends a block's bytes to the output and returns their checksum. */
function unpackBlock(reader: BitReader, size: number, output: Output, refuse: Refuse): number {
  if (reader.bits(1) === 1) throw refuse('it is of bzip2 before 0.9.5; pack it again')
  const origin = reader.bits(24)
  const bytes = usedBytes(reader)
  if (bytes.length === 0) throw refuse('it is damaged (a bzip2 block of no bytes)')
  const tableCount = reader.bits(3)
  if (tableCount < 2 || tableCount > 6) throw refuse(`it is damaged (${tableCount} bzip2 tables)`)
  const selectors = readSelectors(reader, tableCount, refuse)
  const tables = Array.from({ length: tableCount }, () => readTable(reader, bytes.length + 2, refuse))
  if (scratch.length < size) scratch = new Int32Array(size)
  const block = scratch.subarray(0, size)
  const counts = new Uint32Array(256)
  const count = readBlock(reader, { selectors, tables, bytes, block, counts }, refuse)
  if (origin >= count) throw refuse('it is damaged (a bzip2 block begins beyond its end)')
  invert(block, count, counts)
  return writeRuns(block, count, origin, output)
}

/** The bytes that a block has, as two levels of flags say. */
function usedBytes(reader: BitReader): Uint8Array {
  const groups = reader.bits(16)
  const found: number[] = []
  for (let group = 0; group < 16; group++) {
    if ((groups & (0x8000 >> group)) === 0) continue
    const flags = reader.bits(16)
    for (let byte = 0; byte < 16; byte++) if (flags & (0x8000 >> byte)) found.push(16 * group + byte)
  }
  return Uint8Array.from(found)
}

/** Which table holds for each fifty symbols, written as places in a list that moves to the front. */
function readSelectors(reader: BitReader, tables: number, refuse: Refuse): Uint8Array {
  const count = reader.bits(15)
  if (count === 0) throw refuse('it is damaged (a bzip2 block without selectors)')
  const order = Array.from({ length: tables }, (_, index) => index)
  return Uint8Array.from({ length: count }, () => {
    let place = 0
    while (reader.bits(1) === 1) place++
    if (place >= tables) throw refuse('it is damaged (a bzip2 selector of no table)')
    const [table] = order.splice(place, 1)
    order.unshift(table)
    return table
  })
}

/** A table from the lengths of its codes, each written as the difference from the one before. */
function readTable(reader: BitReader, symbols: number, refuse: Refuse): HuffmanTable {
  let length = reader.bits(5)
  const lengths = Uint8Array.from({ length: symbols }, () => {
    for (;;) {
      if (length < 1 || length > maxCodeLength) throw refuse(`it is damaged (a bzip2 code of ${length} bits)`)
      if (reader.bits(1) === 0) return length
      length += reader.bits(1) === 0 ? 1 : -1
    }
  })
  return huffmanTable(lengths)
}

interface Block {
  readonly selectors: Uint8Array
  readonly tables: readonly HuffmanTable[]
  /** Those that are in the block, in their order. */
  readonly bytes: Uint8Array
  readonly block: Int32Array
  /** How often each byte is in the block. */
  readonly counts: Uint32Array
}

/** Reads the symbols of a block into the low bytes of `block`: runs and places in the list of bytes. Returns how many. */
function readBlock(
  reader: BitReader,
  { selectors, tables, bytes, block, counts }: Block,
  refuse: Refuse,
): number {
  const full = () => refuse('it is damaged (a bzip2 block longer than its size)')
  const end = bytes.length + 1
  let count = 0
  let run = 0
  let unit = 1
  const symbols = new Uint16Array(symbolsPerTable)
  const list = new FrontList(bytes)
  for (const selector of selectors) {
    const read = reader.symbols(tables[selector], end, symbols)
    for (let index = 0; index < read; index++) {
      const symbol = symbols[index]
      if (symbol <= runB) {
        run += symbol === runA ? unit : 2 * unit
        unit *= 2
        if (run > block.length) throw full()
        continue
      }
      if (run > 0) {
        if (count + run > block.length) throw full()
        block.fill(list.first, count, count + run)
        counts[list.first] += run
        count += run
        run = 0
        unit = 1
      }
      if (symbol === end) return count
      if (count === block.length) throw full()
      const byte = list.take(symbol - 1)
      block[count++] = byte
      counts[byte]++
    }
  }
  throw refuse('it is damaged (a bzip2 block without an end)')
}

/** Puts above each byte where the next one stands: the transform's inverse as a chain. */
function invert(block: Int32Array, count: number, counts: Uint32Array): void {
  const places = new Uint32Array(256)
  for (let byte = 1; byte < 256; byte++) places[byte] = places[byte - 1] + counts[byte - 1]
  for (let index = 0; index < count; index++) {
    const byte = block[index] & 0xff
    block[places[byte]++] |= index << 8
  }
}

/** Follows the chain; four equal bytes are followed by how many more there are. Returns the checksum of what it writes. */
function writeRuns(block: Int32Array, count: number, origin: number, output: Output): number {
  output.reserve(count)
  const start = output.length
  let entry = block[origin] >>> 8
  let repeats = 0
  let last = -1
  let length = start
  let data = output.data
  for (let index = 0; index < count; index++) {
    const found = block[entry]
    const byte = found & 0xff
    entry = found >>> 8
    if (repeats === 4) {
      output.length = length
      output.reserve(byte + count - index)
      data = output.data
      data.fill(last, length, length + byte)
      length += byte
      repeats = 0
      last = -1
    } else {
      repeats = byte === last ? repeats + 1 : 1
      last = byte
      data[length++] = byte
    }
  }
  output.length = length
  return checksum(data, start, length)
}

function checksum(data: Uint8Array, start: number, end: number): number {
  let crc = -1
  for (let index = start; index < end; index++) crc = (crc << 8) ^ crcTable[(crc >>> 24) ^ data[index]]
  return ~crc
}
