/** Fair timing: contestants take turns in one process, warm, and medians of many turns are compared. */
import { cpus, totalmem } from 'node:os'
import { describeEngine, resetPeakMemory, synchronize, tensorMemory } from '../src/torch/index.ts'

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

/** Each takes `warm` turns that do not count, then `turns` that do, one after the other in every round. */
export function takeTurns(contestants: readonly Contestant[], turns: number, warm = 2): Timing[] {
  const records = contestants.map(({ name }) => ({ name, seconds: [] as number[], peak: 0 }))
  for (let round = 0; round < warm + turns; round++)
    for (const [index, contestant] of contestants.entries()) {
      const { device = 'cpu' } = contestant
      resetPeakMemory(device)
      const before = tensorMemory(device).live
      const began = performance.now()
      contestant.step()
      if (device !== 'cpu') synchronize()
      const seconds = (performance.now() - began) / 1000
      if (round >= warm) records[index].seconds.push(seconds)
      records[index].peak = Math.max(records[index].peak, tensorMemory(device).peak - before)
    }
  return records.map(({ name, seconds, peak }) => ({
    name,
    median: median(seconds),
    quartiles: [quantile(seconds, 0.25), quantile(seconds, 0.75)],
    peak,
    turns,
  }))
}

/** What the figures were measured on. */
export function machine(): Record<string, string | number> {
  const { libtorch, cpuCapability, threads } = describeEngine()
  return {
    processor: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    libtorch,
    cpuCapability,
    threads,
  }
}
