/** Fair timing: contestants take turns in one process, warm, and medians of many turns are compared. */
import { resetPeakMemory, synchronize, tensorMemory } from '../src/torch/index.ts'

/** Something whose steps are timed. */
export interface Contestant {
  readonly name: string
  /** `cpu` where not said; what is timed is waited for. */
  readonly device?: string
  step(): void
}

export interface Timing {
  readonly name: string
  /** Seconds of a step. */
  readonly median: number
  readonly quartiles: readonly [number, number]
  /** Most bytes of tensors alive during a step beyond those before it. */
  readonly peak: number
  readonly turns: number
}

/** The value a part of the way through the sorted list. */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.round(part * (sorted.length - 1))]
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The fewest and the most turns where their number is not fixed. */
export const turnLimits = { least: 5, most: 15 } as const

/** How far quartiles may lie from the median for a contestant to be known well enough. */
const settledWithin = 0.05

/** Whether half of all turns took the median but for a twentieth of it. */
export function isSettled(seconds: readonly number[]): boolean {
  const middle = median(seconds)
  return quartilesOf(seconds).every((quartile) => Math.abs(quartile - middle) <= settledWithin * middle)
}

function quartilesOf(values: readonly number[]): readonly [number, number] {
  return [quantile(values, 0.25), quantile(values, 0.75)]
}

/** One round: who takes a turn after whom, by position, and whether the turns count. */
interface Round {
  readonly order: readonly number[]
  readonly counts: boolean
}

/**
 * Rounds in which each of `count` contestants takes a turn, each round beginning with the next of them, so that none
 * always comes after the same one. After `warm` rounds that do not count `turns` do; where that is not said, as many as it
 * takes until the seconds of all are `settled`, within `turnLimits`.
 */
export function* rounds(
  count: number,
  turns: number | undefined,
  settled: () => boolean,
  warm: number,
): Generator<Round> {
  const { least, most } = turnLimits
  const enough = (done: number) =>
    turns === undefined ? done >= most || (done >= least && settled()) : done >= turns
  for (let round = 0; round < warm || !enough(round - warm); round++) {
    const order = Array.from({ length: count }, (_, place) => (place + round) % count)
    yield { order, counts: round >= warm }
  }
}

interface Seen {
  readonly name: string
  readonly seconds: number[]
  peak: number
}

function takeTurn(contestant: Contestant, record: Seen, counts: boolean): void {
  const { device = 'cpu' } = contestant
  resetPeakMemory(device)
  const before = tensorMemory(device).live
  const began = performance.now()
  contestant.step()
  if (device !== 'cpu') synchronize()
  const seconds = (performance.now() - began) / 1000
  if (counts) record.seconds.push(seconds)
  record.peak = Math.max(record.peak, tensorMemory(device).peak - before)
}

/**
 * All take turns as `rounds` says, `turns` of them that count where they are fixed. Those in a list of their own follow
 * one another in every round: a backward pass comes right after its forward pass.
 */
export function takeTurns(
  contestants: readonly (Contestant | readonly Contestant[])[],
  turns?: number,
  warm = 2,
): Timing[] {
  const groups = contestants.map((one) =>
    [one]
      .flat()
      .map((contestant) => ({ contestant, record: { name: contestant.name, seconds: [], peak: 0 } as Seen })),
  )
  const records = groups.flat().map(({ record }) => record)
  const settled = () => records.every(({ seconds }) => isSettled(seconds))
  for (const { order, counts } of rounds(groups.length, turns, settled, warm))
    for (const { contestant, record } of order.flatMap((place) => groups[place]))
      takeTurn(contestant, record, counts)
  return records.map(({ name, seconds, peak }) => ({
    name,
    median: median(seconds),
    quartiles: quartilesOf(seconds),
    peak,
    turns: seconds.length,
  }))
}
