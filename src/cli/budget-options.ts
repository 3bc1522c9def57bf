/** `--memory SIZE` and `--time DURATION`: what a search may take. */
import { type Command, InvalidArgumentError } from 'commander'
import { parseSize } from '../budget/memory-size.ts'
import { parseTime } from '../budget/time-text.ts'

export interface BudgetOptions {
  /** Bytes. */
  readonly memory?: number
  /** Seconds. */
  readonly time?: number
}

/** Adds both to a command. */
export function addBudgetOptions(command: Command): Command {
  return command
    .option(
      '--memory <size>',
      'memory of the process, such as 4GB: subspaces are filled up to it, not to L',
      size,
    )
    .option('--time <duration>', 'time of the search, such as 1h30m: as many epochs as fit', duration)
}

function size(text: string): number {
  const bytes = parseSize(text)
  if (bytes !== undefined && bytes > 0) return bytes
  throw new InvalidArgumentError('a size is wanted, such as 4GB or "512 MiB"')
}

function duration(text: string): number {
  const seconds = parseTime(text)
  if (seconds !== undefined) return seconds
  throw new InvalidArgumentError('a time is wanted, such as 2h, 90m, 1h30m or 45s')
}
