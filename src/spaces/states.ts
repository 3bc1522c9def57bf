/** The node states of a cell in one forward pass: each is handed out to the readers that were named before. */
import { DdsasError } from '../errors.ts'
import { type Entry, fanOut, type Images, type Tensor } from '../torch/index.ts'

/** Hands each state to its readers; what they take is computed at once, and all gradients that come back are added in one pass. */
export class States {
  readonly #readers: readonly (readonly Entry[])[]
  readonly #handles: Images[][] = []

  /** `readers`: of each state, in the order in which they will take it; the cell's inputs first, then its nodes. */
  constructor(readers: readonly (readonly Entry[])[]) {
    this.#readers = readers
  }

  /** Adds the next state [n, c, h, w]. */
  push(x: Tensor): void {
    this.#handles.push(fanOut(x, this.#readers[this.#handles.length]))
  }

  /** What the next reader of a state takes. */
  take(index: number): Images {
    const handle = this.#handles[index].shift()
    if (handle !== undefined) return handle
    throw new DdsasError('torch', `state ${index} has more readers than were named`)
  }
}

/** A reader, and the state that it reads. */
export interface Reading {
  readonly state: number
  readonly entry?: Entry
}

/** The readers of each of `count` states, in the order given. */
export function readersOf(count: number, readings: readonly Reading[]): Entry[][] {
  const readers: Entry[][] = Array.from({ length: count }, () => [])
  for (const { state, entry } of readings) readers[state].push(entry)
  return readers
}
