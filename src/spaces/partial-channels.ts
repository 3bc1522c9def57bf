/**
 * Partial channels (PC-DARTS, Eq. 2): on each edge the candidates see the first K-th of the channels, the others pass by them, and
 * both are shuffled, so that the next edges see others. All of that is linear, so that a node adds up first and shuffles once.
 */
import { DdsasError } from '../errors.ts'
import {
  channelShuffle,
  channels,
  functional,
  pool2d,
  type State,
  type StateId,
  type Term,
} from '../nn/index.ts'

/** An edge into a node: the state that it reads, and the candidates of its row on a part of the channels of it. */
export interface PartialEdge {
  readonly input: StateId
  /** What does not see the candidates is halved by 2x2 maxima. */
  readonly stride: 1 | 2
  readonly terms: (channels: number, input: StateId) => readonly Term[]
}

/** A node that has such edges into it. */
export interface PartialNode {
  readonly id: StateId
  readonly block: string
  readonly label: string
  readonly edges: readonly PartialEdge[]
}

/** How many channels candidates see. Throws DdsasError 'input' where K does not divide the channels. */
export function seenChannels(channels: number, partial: number): number {
  if (channels % partial === 0) return channels / partial
  throw new DdsasError(
    'input',
    `${channels} channels cannot be divided by partialChannels ${partial}: set network.channels to a multiple of it, or network.partialChannels to 1`,
  )
}

/** Parts of states, each made before its first reader. */
export class PartialChannels {
  readonly #width: number
  readonly #seen: number
  readonly #groups: number
  readonly #made = new Set<StateId>()

  /** `width`: channels of the states; `groups`: K. */
  constructor(width: number, groups: number) {
    this.#width = width
    this.#groups = groups
    this.#seen = seenChannels(width, groups)
  }

  /** The states of a node, parts of its inputs that nobody read yet among them; `id` is the last. */
  node({ id, block, label, edges }: PartialNode): State[] {
    const parts = edges.flatMap(({ input, stride }) => this.#parts(input, stride, block))
    const candidates = edges.map(({ terms, input }) => terms(this.#seen, seenOf(input)))
    const others = edges.map(({ input, stride }, index): Term => {
      const { choice } = candidates[index][0]
      const passing = { input: othersOf(input, stride), name: '', layers: [], operation: '' }
      return choice ? { ...passing, beside: { group: choice.group, row: choice.row } } : passing
    })
    const sums: readonly State[] = [
      { id: `${id}/mixed`, block, kind: 'sum', terms: candidates.flat() },
      { id: `${id}/passed`, block, kind: 'sum', terms: others },
      { id: `${id}/both`, block, kind: 'concat', inputs: [`${id}/mixed`, `${id}/passed`] },
    ]
    const layers = [functional(channelShuffle(this.#width, this.#groups))]
    return [...parts, ...sums, { id, block, label, kind: 'layers', input: `${id}/both`, name: '', layers }]
  }

  #parts(input: StateId, stride: 1 | 2, block: string): State[] {
    const rest = channels(this.#seen, this.#width)
    const wanted = [
      { id: seenOf(input), layers: [functional(channels(0, this.#seen))] },
      {
        id: othersOf(input, stride),
        layers: stride === 1 ? [functional(rest)] : [functional(rest), functional(pool2d('max', 2, 2, 0))],
      },
    ]
    return wanted.flatMap(({ id, layers }): State[] => {
      if (this.#made.has(id)) return []
      this.#made.add(id)
      return [{ id, block, kind: 'layers', input, name: '', layers }]
    })
  }
}

const seenOf = (input: StateId): StateId => `${input}/seen`
const othersOf = (input: StateId, stride: 1 | 2): StateId => `${input}/others${stride === 1 ? '' : ' halved'}`
