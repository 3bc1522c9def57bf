/** Fields of a message in protocol buffers' wire format, one after the other; what nobody asks for is passed over. */
import type { Refuse } from './byte-reader.ts'

/** How a field is written. */
export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

const known = new Set<number>(Object.values(wireTypes))

/** Ten bytes hold 64 bits, seven in each. */
const maxVarintBytes = 10

export class ProtobufReader {
  readonly #data: Buffer
  readonly #refuse: Refuse
  #at = 0
  /** Number and wire type of the field that `next` came to. */
  field = 0
  type = 0

  constructor(data: Uint8Array, refuse: Refuse) {
    this.#data = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    this.#refuse = refuse
  }

  /** Goes to the next field, whose value is then to be read or passed over; false at the end. */
  next(): boolean {
    if (this.#at === this.#data.length) return false
    const key = this.varint()
    this.field = Math.floor(key / 8)
    this.type = key % 8
    if (this.field === 0 || !known.has(this.type))
      throw this.#refuse(`a field of its message has number ${this.field} and type ${this.type}`)
    return true
  }

  /** A whole number; beyond 2^53 it loses digits. */
  varint(): number {
    let value = 0
    let scale = 1
    for (let count = 0; count < maxVarintBytes; count++) {
      if (this.#at >= this.#data.length) throw this.#truncated()
      const byte = this.#data[this.#at++]
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
    throw this.#refuse('a number of its message has no end')
  }

  double(): number {
    return this.#data.readDoubleLE(this.#pass(8))
  }

  /** Text, or a message inside. */
  bytes(): Uint8Array {
    const length = this.varint()
    const start = this.#pass(length)
    return this.#data.subarray(start, start + length)
  }

  /** Passes over the value of the field. */
  skip(): void {
    if (this.type === wireTypes.varint) this.varint()
    else if (this.type === wireTypes.bytes) this.bytes()
    else this.#pass(this.type === wireTypes.fixed64 ? 8 : 4)
  }

  #pass(count: number): number {
    const start = this.#at
    if (count > this.#data.length - start) throw this.#truncated()
    this.#at = start + count
    return start
  }

  #truncated(): Error {
    return this.#refuse('its message is truncated')
  }
}
