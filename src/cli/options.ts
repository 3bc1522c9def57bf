/** Options that several commands take. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { maxThreads } from '../loop/common-settings.ts'
import type { CommonRequest, StopSignal } from '../loop/request.ts'
import { spaces } from '../spaces/index.ts'
import { strategies } from '../strategies/index.ts'
import { deviceExamples, devicePattern, deviceWanted, watchInterrupts } from '../torch/device.ts'
import { maxProcesses } from './launch.ts'
import { suggesting } from './suggestions.ts'

/** The options of a command that begins a run or goes on with one. */
export interface RunOptions extends Omit<CommonRequest, 'settings' | 'signal'> {
  readonly set: readonly string[]
  readonly json?: boolean
  readonly nproc?: number
}

/** What they ask for. */
export function requestOf({ set, json: _, nproc: __, ...options }: RunOptions): CommonRequest {
  return { ...options, settings: set }
}

/** For an option that takes 0, 1, 2, … */
export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is wanted')
  return Number(text)
}

/** For an option that takes 1, 2, 3, … up to `most`. */
export function countTo(most: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text)
    if (value >= 1 && value <= most) return value
    throw new InvalidArgumentError(`1 to ${most} is wanted`)
  }
}

/** `--set key=value`, as often as there are settings to change. */
export function settingOption(): Option {
  return new Option('--set <key=value>', 'change a setting; may be repeated')
    .argParser((value, all: readonly string[]) => [...all, value])
    .default([], 'none')
}

/** For an option that takes 1, 2, 3, … */
export function count(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('a whole number from 1 on is wanted')
}

/** `--config FILE`. */
export function configOption(): Option {
  const help =
    "JSON file of settings, nested as in a run's config.json, which may be given too; --set comes after it"
  return new Option('--config <file>', help)
}

/** `--device`. */
export function deviceOption(): Option {
  const help =
    'where to compute: auto, cpu, cuda, or cuda:N for GPU number N (default: auto, a GPU where there is one)'
  return suggesting(new Option('--device <name>', help), deviceExamples).argParser((name) => {
    if (devicePattern.test(name)) return name
    throw new InvalidArgumentError(deviceWanted)
  })
}

/** `--threads`. */
export function threadsOption(): Option {
  const help = `threads for one operator, 1 to ${maxThreads} (default: one for each core)`
  return new Option('--threads <n>', help).argParser(countTo(maxThreads))
}

/** `--nproc`. */
function processesOption(): Option {
  const help =
    'processes on this machine that share each batch, and the threads (default: 1, or as torchrun or srun start them)'
  return new Option('--nproc <n>', help).argParser(countTo(maxProcesses))
}

/** Gives a command the options of `RunOptions`; `out`: its default. */
export function addRunOptions(command: Command, out: string): Command {
  return command
    .option('--data <dir>', 'folder with the data set (default: data, or what the resumed run used)')
    .option('--out <dir>', `folder of the run (default: ${out}; where that exists ${out}-2, -3, …)`)
    .addOption(configOption())
    .addOption(settingOption())
    .option('--seed <n>', 'the same seed on the same machine gives the same run', wholeNumber)
    .option('--epochs <n>', 'how many epochs', count)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(processesOption())
    .option('--resume <run>', 'go on with a run, from its latest checkpoint')
    .option('--checkpoint <step>', 'with --resume: go on from this checkpoint', wholeNumber)
    .option('--take-over', 'with --resume: take over the lock of a run that was left by another host')
    .option('--json', 'print one JSON object a line instead of progress; epochs count from 0 there')
}

/** Calls `body` with what tells it to save and stop: Ctrl-C, a signal, an output that nobody reads any more. */
export async function interruptible<Result>(body: (signal: StopSignal) => Promise<Result>): Promise<Result> {
  const interrupts = watchInterrupts()
  const signal = {
    get aborted() {
      return interrupts.interrupted()
    },
  }
  try {
    return await body(signal)
  } finally {
    interrupts.stop()
  }
}

/** Limits on the network to be trained. */
export interface LimitOptions {
  readonly maxParams?: string
  readonly maxFlops?: string
  readonly maxLatency?: string
  readonly latencyTable?: string
}

/** Adds `--max-params`, `--max-flops`, `--max-latency` and `--latency-table`. */
export function addLimitOptions(command: Command): void {
  command
    .option('--max-params <n>', 'most parameters of the network to be trained: 3.3M')
    .option('--max-flops <n>', 'most multiply-adds of it for one image: 520M')
    .option('--max-latency <time>', 'most time of it by the latency table: 12ms')
    .option('--latency-table <file>', 'what candidates take in time, as measured by ddsas latency')
}

/** Options as assignments of settings, before those of `--set`, and the other options. */
export function withLimitSettings<Options extends LimitOptions & { readonly set: readonly string[] }>({
  maxParams,
  maxFlops,
  maxLatency,
  latencyTable,
  set,
  ...options
}: Options): Omit<Options, keyof LimitOptions | 'set'> & { readonly set: readonly string[] } {
  const given = { parameters: maxParams, multiplyAdds: maxFlops, latency: maxLatency, latencyTable }
  const limits = Object.entries(given).flatMap(([key, text]) =>
    text === undefined ? [] : [`limits.${key}=${JSON.stringify(text)}`],
  )
  return { ...options, set: [...limits, ...set] }
}

/** Which space, and which strategy. */
export interface PartOptions {
  readonly space?: string
  readonly strategy?: string
}

/** Adds `--space` and `--strategy`. */
export function addPartOptions(command: Command): void {
  const option = (flags: string, text: string, names: readonly string[]) =>
    command.addOption(new Option(flags, `${text} (default: as the preset)`).choices(names))
  option('--space <name>', 'what to search', Object.keys(spaces))
  option('--strategy <name>', 'how to search it', Object.keys(strategies))
}
