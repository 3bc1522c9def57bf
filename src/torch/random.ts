/** Seeded random numbers whose state can be saved: xoroshiro128+ of `pure-rand`, the same on every device. */
import { createHash } from 'node:crypto'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'
import { DdsasError } from '../errors.ts'

export type GeneratorState = readonly number[]

/** Four 32-bit words that differ in half their bits for any two seeds or stream names. */
function scatter(seed: number, stream: string): number[] {
  const digest = createHash('sha256').update(`${seed} ${stream}`).digest()
  return [0, 4, 8, 12].map((offset) => digest.readInt32LE(offset))
}

/** A stream of random numbers; different seeds, and different stream names under one seed, give independent ones. */
export class Generator {
  #source: ReturnType<typeof xoroshiro128plusFromState>

  constructor(seed: number, stream = '') {
    this.#source = xoroshiro128plusFromState(scatter(seed, stream))
  }

  /** Where the stream stands; `load` continues from there. */
  state(): GeneratorState {
    return this.#source.getState()
  }

  /** Throws DdsasError 'checkpoint' for anything but four 32-bit integers. */
  load(state: GeneratorState): void {
    if (state.length !== 4 || state.some((word) => (word | 0) !== word))
      throw new DdsasError('checkpoint', `the state of a generator is four 32-bit integers, not [${state}]`)
    this.#source = xoroshiro128plusFromState(state)
  }

  /** A whole number, 0 <= n < bound, unbiased. */
  below(bound: number): number {
    if (!Number.isSafeInteger(bound) || bound < 1)
      throw new DdsasError(
        'input',
        `there is no whole number below ${bound} to draw; ask for a bound of 1 or more`,
      )
    return uniformInt(this.#source, 0, bound - 1)
  }

  /** Uniform in [0, 1), 32 random bits. */
  uniform(): number {
    return (this.#source.next() >>> 0) / 0x1_0000_0000
  }

  /** Standard normal (Box and Muller's transform). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }

  /** The numbers 0 … count - 1 in random order (Fisher and Yates' shuffle). */
  permutation(count: number): number[] {
    const order = Array.from({ length: count }, (_, index) => index)
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const swapped = order[i]
      order[i] = order[j]
      order[j] = swapped
    }
    return order
  }
}
