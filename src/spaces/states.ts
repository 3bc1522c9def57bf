/** The node states of a cell in one forward pass: each is handed out to the readers that were counted before. */
import { DdsasError } from '../errors.ts'
import { fanOut, type Tensor } from '../torch/index.ts'

/** One handle for each reader of a state, so that all gradients that come back to it are added in one pass. */
export class States {
  readonly #readers: readonly number[]
  readonly #handles: Tensor[][] = []

  /** `readers`: how often each state will be taken; the cell's inputs first, then its nodes. */
  constructor(readers: readonly number[]) {
    this.#readers = readers
  }

  /** Adds the next state [n, c, h, w]. */
  push(x: Tensor): void {
    this.#handles.push(fanOut(x, this.#readers[this.#handles.length]))
  }

  /** The next unused handle of a state. */
  take(index: number): Tensor {
    const handle = this.#handles[index].pop()
    if (handle !== undefined) return handle
    throw new DdsasError('torch', `state ${index} has more readers than were counted`)
  }
}

/** How often each of `count` states is named by `reads`. */
export function countReaders(count: number, reads: readonly number[]): number[] {
  const counts = Array.from({ length: count }, () => 0)
  for (const state of reads) counts[state] += 1
  return counts
}
