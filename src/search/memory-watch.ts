/** What subspaces are filled up to while a search runs: `memory.limit`, or less where less is really at hand. */
import { z } from 'zod'
import { availableMemory } from '../budget/memory-available.ts'
import { type MemoryModel, memoryModelSchema, predictMemory } from '../budget/memory-model.ts'
import { type MemoryParts, memoryParts } from '../budget/memory-parts.ts'
import { formatSize } from '../budget/memory-size.ts'
import type { Picks } from '../spaces/space.ts'
import type { SubspaceBudget } from '../strategies/strategy.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import { checkpointBytes, type Look, tensorRoom } from './memory-room.ts'

/** Of a checkpoint: a resumed search goes by what was measured and followed before. */
export const memoryStateSchema = z.object({
  model: memoryModelSchema,
  /** Bytes that were at hand where that is less than the limit. */
  reduced: z.int().nonnegative().nullable(),
  /** The part of all that is taken since steps came to the limit. */
  part: z.number().gt(0).max(1),
})

type MemoryState = z.infer<typeof memoryStateSchema>

/** JavaScript's memory goes on growing a little. */
const growth = 64 * 2 ** 20
/** Below what is at hand, so that the next small change is none. */
const slack = 0.97
/** More has to be at hand than before by this factor before more is taken. */
const rise = 1.1

/**
 * What may be taken where `limit` is given and `room` is at hand: the limit, unless there is less. Changes that are no more than
 * noise are not followed. `last`: what was taken of the room before; null: all that is given. Returns the same again.
 */
export function followRoom(limit: number, last: number | null, room: number | undefined): number | null {
  if (room === undefined) return null
  const now = Math.min(last ?? limit, limit)
  if (room >= now && (room <= rise * now || now === limit)) return now === limit ? null : now
  const next = Math.floor(slack * room)
  return next >= limit ? null : next
}

/** A step came to the limit: from now on so much of all is taken. */
const lowered = 0.95

export interface MemoryWatch {
  readonly config: SearchConfig
  readonly parts: SearchParts
  readonly device: string
  readonly model: MemoryModel
  /** Classes of the data set. */
  readonly classes: number
  readonly available?: Look
}

export class SubspaceMemory implements SubspaceBudget {
  readonly #counted: MemoryParts
  readonly #device: string
  readonly #available: Look
  readonly #toCome: number
  readonly #least: number
  #limit: number
  #state: MemoryState
  #reason: string | undefined

  constructor({ config, parts, device, model, classes, available = availableMemory }: MemoryWatch) {
    this.#counted = partsOfConfig(config, parts, classes)
    this.#device = device
    this.#available = available
    this.#toCome = growth + checkpointBytes(config, parts)
    this.#limit = config.memory.limit
    this.#state = { model, reduced: null, part: 1 }
    this.#least = leastMemory(parts, (runs) => this.predict(runs))
  }

  predict(runs: Picks): number {
    return predictMemory(this.#state.model, this.#counted.count(runs))
  }

  allowed(): number {
    const free = this.#available(this.#device)
    const room = free && tensorRoom(free.bytes, this.#device, this.#toCome)
    const before = this.#state.reduced
    const reduced = followRoom(this.#limit, before, room)
    if (reduced !== before)
      this.#reason = free ? `${formatSize(Math.max(0, free.bytes))} ${free.where}` : 'memory is as before'
    this.#state = { ...this.#state, reduced }
    return this.bytes
  }

  /** What the last window was allowed. */
  get bytes(): number {
    const { reduced, part } = this.#state
    return Math.floor(Math.min(this.#limit, reduced ?? this.#limit) * part)
  }

  /** Why what is allowed changed since this was asked for last. */
  takeReason(): string | undefined {
    const reason = this.#reason
    this.#reason = undefined
    return reason
  }

  /** After a step that came to the limit: less is taken from now on. False where hardly any subspace would be left. */
  lower(): boolean {
    const part = lowered * this.#state.part
    if (lowered * this.bytes < this.#least) return false
    this.#state = { ...this.#state, part }
    this.#reason = 'a step came to the limit'
    return true
  }

  state(): MemoryState {
    return this.#state
  }

  load(state: MemoryState): void {
    this.#state = state
  }
}

/** What subspaces of a configuration consist of. */
export function partsOfConfig(
  { network, data }: SearchConfig,
  { space }: SearchParts,
  classes: number,
): MemoryParts {
  return memoryParts(space, { ...network, classes }, [3, data.imageSize, data.imageSize])
}

/**
 * The least that will do: where the cheapest candidate of every row runs, and any one more, so that each can run at some time.
 */
export function leastMemory({ space }: SearchParts, predict: (runs: Picks) => number): number {
  const sampled = space.choices.filter(({ run }) => run === 'sampled')
  const columnsOf = ({ candidates, none }: (typeof sampled)[number]) =>
    candidates.flatMap((_, column) => (column === none ? [] : [column]))
  const cheapest = new Map(
    sampled.map((group) => {
      const rows = Array.from({ length: group.rows }, (_, row) => {
        const alone = (column: number) =>
          predict(
            new Map([
              [group.name, Array.from({ length: row + 1 }, (__, at) => (at === row ? [column] : []))],
            ]),
          )
        return [columnsOf(group).reduce((best, column) => (alone(column) < alone(best) ? column : best))]
      })
      return [group.name, rows] as const
    }),
  )
  const withOneMore = sampled.flatMap((group) =>
    Array.from({ length: group.rows }, (_, row) =>
      columnsOf(group).map((column) => {
        const rows = cheapest
          .get(group.name)
          ?.map((own, at) => (at === row ? [...new Set([...own, column])] : own))
        return predict(new Map([...cheapest, [group.name, rows ?? []]]))
      }),
    ).flat(),
  )
  return Math.max(...withOneMore)
}
