/** The processes of a run, ranks in the words of torch.distributed, as the loop sees them: one alone, or several that work as one. */
import { createHash } from 'node:crypto'
import { DdsasError } from '../errors.ts'
import {
  leaveGroup,
  onDevice,
  storeDelete,
  storeSet,
  storeWait,
  sumLater,
  Tensor,
  tidy,
} from '../torch/index.ts'

/** All ranks call the same methods in the same order: each waits for the others. */
export interface Ranks {
  readonly rank: number
  readonly world: number
  /** Among the ranks of this machine. */
  readonly localRank: number
  readonly localWorld: number
  /** Sums of tensors over all ranks, the same bits on each. */
  sum(tensors: readonly Tensor[]): Tensor[]
  /** Sums of float64 numbers. */
  total(values: readonly number[]): number[]
  /** Whether a flag is set on any of them. */
  any(flag: boolean): boolean
  /** What rank 0 gives. */
  broadcast(bytes: Uint8Array): Uint8Array
  /** Throws DdsasError 'rank' naming a rank that has another value for one of these keys than rank 0. */
  agree(facts: Readonly<Record<string, string>>): void
  /** Throws DdsasError 'rank' naming those whose bytes are not those of the most; `when`: "after step 30". */
  same(parts: Iterable<Uint8Array | string>, when: string): void
  /** This rank takes part no more. `error`: why, for those that wait for it. */
  leave(error?: unknown): void
}

/** A run of one process. */
export const oneProcess: Ranks = {
  rank: 0,
  world: 1,
  localRank: 0,
  localWorld: 1,
  sum: (tensors) => [...tensors],
  total: (values) => [...values],
  any: (flag) => flag,
  broadcast: (bytes) => bytes,
  agree: () => {},
  same: () => {},
  leave: () => {},
}

/** Threads for one operator of a process, of all that its machine may take. */
export function threadsFor(threads: number, { localWorld }: Pick<Ranks, 'localWorld'>): number {
  return Math.max(1, Math.floor(threads / localWorld))
}

interface GroupFacts extends Pick<Ranks, 'rank' | 'world' | 'localRank' | 'localWorld'> {
  /** What errors call each. */
  readonly names: readonly string[]
  readonly device: string
}

const decode = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')

/** The ranks of a group that was opened. */
export function groupOf({ names, device, ...place }: GroupFacts): Ranks {
  const { rank, world } = place
  let exchanges = 0
  let own: string[] = []
  /** Begins an exchange through the store, and says where a rank's bytes of it stand. */
  const exchange = () => {
    const number = exchanges++
    return (of: number) => `exchange/${number}/${of}`
  }
  const give = (key: string, bytes: Uint8Array) => {
    storeSet(key, bytes)
    own.push(key)
  }
  const gather = (text: string): string[] => {
    const at = exchange()
    const before = own
    own = []
    give(at(rank), Buffer.from(text))
    const found = names.map((_, of) => decode(storeWait(at(of))))
    // whoever gave something here has read all that came before
    for (const key of before) storeDelete(key)
    return found
  }
  const total = (values: readonly number[]) =>
    tidy(() => {
      const tensor = onDevice(Tensor.from(Float64Array.from(values), [values.length]), device)
      return [...sumLater([tensor]).take()[0].floats()]
    })
  return {
    ...place,
    sum: (tensors) => sumLater(tensors).take(),
    total,
    any: (flag) => total([flag ? 1 : 0])[0] > 0,
    broadcast: (bytes) => {
      const at = exchange()
      if (rank > 0) return storeWait(at(0))
      give(at(0), bytes)
      return bytes
    },
    agree: (facts) => checkSame(names, gather(JSON.stringify(facts))),
    same: (parts, when) => {
      const hash = createHash('sha256')
      for (const part of parts) hash.update(part)
      checkDigests(names, gather(hash.digest('hex')), when)
    },
    leave: (error) => leaveGroup(error === undefined ? '' : reasonOf(error, names[rank])),
  }

  function reasonOf(error: unknown, name: string): string {
    const message = error instanceof Error ? error.message.split('\n')[0] : String(error)
    // of another rank, which it names
    if (error instanceof DdsasError && error.kind === 'rank') return message
    return `${name} of ${world} ended: ${message}`
  }
}

/** Throws DdsasError 'rank' for the first fact that a rank has otherwise than rank 0. */
export function checkSame(names: readonly string[], texts: readonly string[]): void {
  const parse = (text: string): Readonly<Record<string, unknown>> => JSON.parse(text)
  const [first, ...others] = texts.map(parse)
  for (const [index, other] of others.entries())
    for (const key of new Set([...Object.keys(first), ...Object.keys(other)]))
      if (first[key] !== other[key])
        throw new DdsasError(
          'rank',
          `${key} is ${shown(other[key])} for ${names[index + 1]}, and ${shown(first[key])} for ${names[0]}: give all of them the same`,
        )
}

function shown(value: unknown): string {
  return value === undefined ? 'not set' : String(value)
}

/** Throws DdsasError 'rank' naming those whose digest is not that of the most; of two alike, that of rank 0. */
export function checkDigests(names: readonly string[], digests: readonly string[], when: string): void {
  const votes = new Map<string, number>()
  for (const digest of digests) votes.set(digest, (votes.get(digest) ?? 0) + 1)
  if (votes.size < 2) return
  const [usual] = [...votes].reduce((best, one) => (one[1] > best[1] ? one : best))
  const odd = names.filter((_, rank) => digests[rank] !== usual)
  throw new DdsasError(
    'rank',
    `${when} ${odd.join(', ')} has other weights or architecture parameters than the other processes: see to that machine, then go on from a checkpoint before`,
  )
}
