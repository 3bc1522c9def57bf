/** A cursor over little-endian bytes that refuses to read past their end. */

/** Makes the error that is thrown, from what is wrong with the file; it adds the file's name. */
export type Refuse = (what: string) => Error

/** The longest text that is read: far above any name or note, far below what JavaScript can hold as one string. */
const maxTextBytes = 2 ** 24

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class ByteReader {
  /** Index of the next byte. */
  position: number
  readonly #data: Uint8Array
  readonly #view: DataView
  readonly #refuse: Refuse

  constructor(data: Uint8Array, position: number, refuse: Refuse) {
    this.#data = data
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    this.#refuse = refuse
    this.position = position
  }

  /** Where the next `count` bytes begin; moves past them. Throws where the data end before. */
  #advance(count: number): number {
    const start = this.position
    if (count > this.#data.length - start) throw this.#refuse(`it is truncated at byte ${start}`)
    this.position = start + count
    return start
  }

  /** The next `count` bytes, not copied. */
  take(count: number): Uint8Array {
    const start = this.#advance(count)
    return this.#data.subarray(start, start + count)
  }

  uint8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  uint16(): number {
    return this.#view.getUint16(this.#advance(2), true)
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4), true)
  }

  int32(): number {
    return this.#view.getInt32(this.#advance(4), true)
  }

  /** Eight bytes that hold a size; numbers beyond 2^53 lose digits, but stay too large for any file. */
  size64(): number {
    return Number(this.#view.getBigUint64(this.#advance(8), true))
  }

  /** Pickle's one big-endian field. */
  float64BigEndian(): number {
    return this.#view.getFloat64(this.#advance(8))
  }

  /** UTF-8 text of `bytes` bytes. */
  text(bytes: number): string {
    const start = this.position
    if (bytes > maxTextBytes) throw this.#refuse(`the text at byte ${start} is ${bytes} bytes long`)
    try {
      return decoder.decode(this.take(bytes))
    } catch (error) {
      if (error instanceof TypeError) throw this.#refuse(`the text at byte ${start} is not UTF-8`)
      throw error
    }
  }

  /** Text up to a line feed, which is passed over. */
  line(maxBytes: number): string {
    const length = this.#data.subarray(this.position, this.position + maxBytes).indexOf(10)
    if (length < 0) throw this.#refuse(`the line at byte ${this.position} has no end`)
    const text = this.text(length)
    this.position++
    return text
  }
}
