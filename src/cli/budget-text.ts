/** What a search says of its budgets, in lines that fit 80 columns. */
import { formatSize } from '../budget/memory-size.ts'
import type { MemoryReport } from '../search/report.ts'
import type { TimePlan } from '../search/time.ts'
import { counted } from '../words.ts'
import { formatDuration } from './search-text.ts'

/** "memory: 900 MiB for tensors (200 MiB left to this control group): 33 normal, 33 reduce operations". */
export function memoryText({ allowed, operations, reason }: MemoryReport): string {
  const why = reason === null ? '' : ` (${reason})`
  const sampled = Object.entries(operations).map(([group, count]) => `${count} ${group}`)
  return `memory: ${formatSize(allowed)} for tensors${why}:\n  subspace of ${sampled.join(' + ')} operations`
}

/** "time: 12 epochs in about 1.9 h, 9 min each". */
export function timeText({ epochs, seconds, secondsPerEpoch }: TimePlan): string {
  return `time: ${counted(epochs, 'epoch')} in about ${formatDuration(seconds)}, ${formatDuration(secondsPerEpoch)} each`
}
