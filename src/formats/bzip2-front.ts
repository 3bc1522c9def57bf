/** A list of up to 256 bytes whose items move to the front: in sixteen pieces, so that each move shifts a few bytes only. */

const piece = 16
const pieces = 16
/** Room in which pieces wander towards the beginning; then they are put back to the end. */
const room = 4096
const home = room - piece * pieces

export class FrontList {
  readonly #items = new Uint8Array(room)
  /** Where each piece begins. */
  readonly #starts = new Int32Array(pieces)

  constructor(bytes: Uint8Array) {
    this.#items.set(bytes, home)
    for (let index = 0; index < pieces; index++) this.#starts[index] = home + piece * index
  }

  get first(): number {
    return this.#items[this.#starts[0]]
  }

  /** Moves the byte at `place`, 0 to 255, to the front and returns it. */
  take(place: number): number {
    const items = this.#items
    const starts = this.#starts
    let index = place >> 4
    const start = starts[index]
    let at = start + (place & (piece - 1))
    const byte = items[at]
    for (; at > start; at--) items[at] = items[at - 1]
    if (index === 0) {
      items[at] = byte
      return byte
    }
    // the piece has room at its beginning now: the last byte of the one before goes there, and so on
    starts[index]++
    for (; index > 0; index--) {
      const next = --starts[index]
      items[next] = items[starts[index - 1] + piece - 1]
    }
    const front = --starts[0]
    items[front] = byte
    if (front === 0) this.#putBack()
    return byte
  }

  #putBack(): void {
    const list = Buffer.concat([...this.#starts].map((start) => this.#items.subarray(start, start + piece)))
    this.#items.set(list, home)
    for (let index = 0; index < pieces; index++) this.#starts[index] = home + piece * index
  }
}
