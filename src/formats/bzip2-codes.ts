/** Bits, the highest of a byte first, and the Huffman codes of bzip2 read from them by a table. */
import type { Refuse } from './byte-reader.ts'

export const maxCodeLength = 20
/** How many symbols are read by one table. */
export const symbolsPerTable = 50
/** Codes up to this length are found by one look. */
const quickBits = 12
const quickMask = (1 << quickBits) - 1

export interface HuffmanTable {
  /** By the next bits: the symbol and in the five bits below it the length of its code; 0 where the code is longer, or none. */
  readonly quick: Uint16Array
  /** By length: the first code of it, how many there are, and where their symbols begin. */
  readonly first: Uint32Array
  readonly counts: Uint32Array
  readonly starts: Uint32Array
  readonly symbols: Uint16Array
}

/** The canonical code of these lengths: shorter codes first, and among equals in the order of the symbols. */
export function huffmanTable(lengths: Uint8Array): HuffmanTable {
  const counts = new Uint32Array(maxCodeLength + 2)
  for (const length of lengths) counts[length]++
  const first = new Uint32Array(maxCodeLength + 2)
  const starts = new Uint32Array(maxCodeLength + 2)
  for (let length = 1; length <= maxCodeLength; length++) {
    first[length + 1] = (first[length] + counts[length]) * 2
    starts[length + 1] = starts[length] + counts[length]
  }
  const symbols = new Uint16Array(lengths.length)
  const quick = new Uint16Array(1 << quickBits)
  const next = starts.slice()
  for (const [symbol, length] of lengths.entries()) {
    const place = next[length]++
    symbols[place] = symbol
    if (length > quickBits) continue
    const code = (first[length] + place - starts[length]) << (quickBits - length)
    quick.fill((symbol << 5) | length, code, code + (1 << (quickBits - length)))
  }
  return { quick, first, counts, starts, symbols }
}

export class BitReader {
  readonly #data: Uint8Array
  readonly #refuse: Refuse
  #position = 0
  /** The last bytes read; of them the lowest `#count` bits are still to come. */
  #buffer = 0
  #count = 0

  constructor(data: Uint8Array, refuse: Refuse) {
    this.#data = data
    this.#refuse = refuse
  }

  /** The next bits as a number, at most 24. */
  bits(count: number): number {
    if (this.#count < count) this.#fill()
    if (this.#count < count) throw this.#truncated()
    this.#count -= count
    return (this.#buffer >>> this.#count) & ((1 << count) - 1)
  }

  /**
   * Reads up to fifty symbols, the last of them `end` where that comes before; returns how many. The reader's state is kept in
   * variables meanwhile: most of the time of unpacking is spent here.
   */
  symbols(table: HuffmanTable, end: number, into: Uint16Array): number {
    const { quick } = table
    const data = this.#data
    let position = this.#position
    let buffer = this.#buffer
    let count = this.#count
    let read = 0
    while (read < symbolsPerTable && position + 2 < data.length) {
      if (count < quickBits) {
        buffer = (buffer << 16) | (data[position] << 8) | data[position + 1]
        position += 2
        count += 16
      }
      const found = quick[(buffer >>> (count - quickBits)) & quickMask]
      if (found === 0) break
      count -= found & 0x1f
      into[read] = found >>> 5
      if (into[read++] === end) break
    }
    this.#position = position
    this.#buffer = buffer
    this.#count = count
    if (read === symbolsPerTable || (read > 0 && into[read - 1] === end)) return read
    // a long code, or the last bytes: one by one
    while (read < symbolsPerTable) {
      into[read] = this.#symbol(table)
      if (into[read++] === end) break
    }
    return read
  }

  #symbol(table: HuffmanTable): number {
    if (this.#count < maxCodeLength) this.#fill()
    // zeros stand behind the end
    const missing = quickBits - this.#count
    const look = missing > 0 ? this.#buffer << missing : this.#buffer >>> -missing
    const found = table.quick[look & quickMask]
    const length = found & 0x1f
    if (length === 0) return this.#longSymbol(table)
    if (length > this.#count) throw this.#truncated()
    this.#count -= length
    return found >>> 5
  }

  #longSymbol({ first, counts, starts, symbols }: HuffmanTable): number {
    let code = 0
    for (let length = 1; length <= maxCodeLength; length++) {
      code = (code << 1) | this.bits(1)
      const place = code - first[length]
      if (place >= 0 && place < counts[length]) return symbols[starts[length] + place]
    }
    throw this.#refuse('it is damaged (a bzip2 code that is none)')
  }

  /** Passes over what is left of a byte. */
  align(): void {
    this.#count -= this.#count % 8
  }

  hasBytes(): boolean {
    return this.#position < this.#data.length || this.#count >= 8
  }

  #fill(): void {
    while (this.#count <= 24 && this.#position < this.#data.length) {
      this.#buffer = (this.#buffer << 8) | this.#data[this.#position++]
      this.#count += 8
    }
  }

  #truncated(): Error {
    return this.#refuse(`it is truncated at byte ${this.#data.length}`)
  }
}
