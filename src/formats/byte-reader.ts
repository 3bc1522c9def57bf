/** A cursor over little-endian bytes, held in memory or read as they are needed, that refuses to read past their end. */

/** Makes the error that is thrown, from what is wrong with the file; it adds the file's name. */
export type Refuse = (what: string) => Error

/** The next part of what is read, of any length; empty at the end. */
export type NextBytes = () => Uint8Array

/** The longest text that is read: far above any name or note, far below what JavaScript can hold as one string. */
const maxTextBytes = 2 ** 24
/** The most that is taken at once of what is not in memory yet. */
const maxTakenBytes = 2 ** 26
/** Up to here it is quicker to look at each byte than to ask the decoder. */
const maxNameBytes = 64

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

export class ByteReader {
  #at: number
  #data: Buffer
  /** How many bytes lie before `#data`. */
  #passed = 0
  readonly #next: NextBytes | undefined
  readonly #refuse: Refuse

  /** Begins at `position` of `data`; where those end, with what `next` gives, if there is such. */
  constructor(data: Uint8Array, position: number, refuse: Refuse, next?: NextBytes) {
    this.#data = bufferOf(data)
    this.#refuse = refuse
    this.#at = position
    this.#next = next
  }

  /** Index of the next byte. */
  get position(): number {
    return this.#passed + this.#at
  }

  /** Where the next `count` bytes begin; moves past them. Throws where the data end before. */
  #advance(count: number): number {
    if (count > this.#data.length - this.#at && !this.#fetch(count))
      throw this.#refuse(`it is truncated at byte ${this.position}`)
    const start = this.#at
    this.#at = start + count
    return start
  }

  /** Puts what comes next behind what is left; false where that ends before `count` bytes. What was taken stays as it is. */
  #fetch(count: number): boolean {
    if (this.#next === undefined || count > maxTakenBytes) return false
    const parts = [this.#data.subarray(this.#at)]
    let bytes = parts[0].length
    while (bytes < count) {
      const part = this.#next()
      if (part.length === 0) return false
      parts.push(bufferOf(part))
      bytes += part.length
    }
    this.#passed += this.#at
    this.#at = 0
    this.#data = Buffer.concat(parts)
    return true
  }

  /** The next `count` bytes, not copied. */
  take(count: number): Uint8Array {
    const start = this.#advance(count)
    return this.#data.subarray(start, start + count)
  }

  /** Passes over `count` bytes. */
  skip(count: number): void {
    this.#advance(count)
  }

  uint8(): number {
    // first this: it may put other data in place of these
    const start = this.#advance(1)
    return this.#data[start]
  }

  uint16(): number {
    const start = this.#advance(2)
    return this.#data.readUInt16LE(start)
  }

  uint32(): number {
    const start = this.#advance(4)
    return this.#data.readUInt32LE(start)
  }

  int32(): number {
    const start = this.#advance(4)
    return this.#data.readInt32LE(start)
  }

  /** Eight bytes that hold a size; numbers beyond 2^53 lose digits, but stay too large for any file. */
  size64(): number {
    const start = this.#advance(8)
    return Number(this.#data.readBigUInt64LE(start))
  }

  /** Pickle's one big-endian field. */
  float64BigEndian(): number {
    const start = this.#advance(8)
    return this.#data.readDoubleBE(start)
  }

  /** UTF-8 text of `bytes` bytes. */
  text(bytes: number): string {
    const position = this.position
    if (bytes > maxTextBytes) throw this.#refuse(`the text at byte ${position} is ${bytes} bytes long`)
    const start = this.#advance(bytes)
    const end = start + bytes
    if (bytes <= maxNameBytes && this.#isAscii(start, end)) return this.#data.toString('latin1', start, end)
    try {
      return decoder.decode(this.#data.subarray(start, end))
    } catch (error) {
      if (error instanceof TypeError) throw this.#refuse(`the text at byte ${position} is not UTF-8`)
      throw error
    }
  }

  #isAscii(start: number, end: number): boolean {
    for (let index = start; index < end; index++) if (this.#data[index] >= 0x80) return false
    return true
  }

  /** Text up to a line feed, which is passed over. */
  line(maxBytes: number): string {
    const position = this.position
    const limit = Math.min(maxBytes, maxTextBytes)
    for (let length = 0; length < limit; length++) {
      if (length >= this.#data.length - this.#at && !this.#fetch(length + 1)) break
      if (this.#data[this.#at + length] !== 10) continue
      const text = this.text(length)
      this.#at++
      return text
    }
    throw this.#refuse(`the line at byte ${position} has no end`)
  }
}
