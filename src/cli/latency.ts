/** `ddsas latency`: measures what candidates of a space cost in time on this machine, and asks the table that comes of it. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { tableCost } from '../budget/cost-table.ts'
import { groupsOf, type LatencyTable, latencyCosts, readLatencyTable } from '../budget/latency-table.ts'
import { DdsasError } from '../errors.ts'
import { checkLatency, type LatencyCheck } from '../latency/check.ts'
import { measureLatency } from '../latency/measure.ts'
import { openRuntime, type RuntimeName, runtimeNames } from '../latency/runtime.ts'
import type { LatencyObserver } from '../latency/timer.ts'
import { maxThreads } from '../loop/common-settings.ts'
import { findSpace, spaces } from '../spaces/index.ts'
import { usualImageSides, usualNetwork } from '../spaces/network-shape.ts'
import { readArchitecture } from './genotype.ts'
import { latencyProgress } from './latency-progress.ts'
import { checkText, measuredText, predictText, tableText } from './latency-text.ts'
import { countTo, interruptible, wholeNumber } from './options.ts'

interface RoundOptions {
  readonly rounds: number
  readonly precision: number
  readonly seed: number
  readonly runtime: RuntimeName
  readonly json?: boolean
}

interface MeasureOptions extends RoundOptions {
  readonly space: string
  readonly network: keyof typeof usualImageSides
  readonly channels?: number
  readonly cells?: number
  readonly classes?: number
  readonly imageSide?: number
  readonly batch: number
  readonly threads: number
  readonly networks: number
  readonly heldOut: number
  readonly out: string
}

/** Above this a table does not hold: what is asked of one that was made here. */
const tolerable = 0.1

/** Builds `ddsas latency`; errors propagate as DdsasError to the caller of `parseAsync`. */
export function latencyCommand(): Command {
  const command = new Command('latency').description(
    'tables of what the candidates of a space cost in time, by ONNX Runtime on this machine or another',
  )
  command.addCommand(measureCommand())
  command
    .command('show')
    .description('what a table is of, how well it predicts, and its costs')
    .argument('<file>', 'a table')
    .option('--json', 'print the table as JSON')
    .action((file: string, { json }: { readonly json?: boolean }) => {
      const table = readLatencyTable(file)
      print(json, tableJson(table), () => tableText(file, table))
    })
  command
    .command('predict')
    .description('how long the network of an architecture takes, by a table')
    .argument('<file>', 'a table')
    .argument('<arch>', 'a published name, a run, a file, or its text')
    .option('--json', 'print the result as JSON')
    .action((file: string, arch: string, { json }: { readonly json?: boolean }) => {
      const table = readLatencyTable(file)
      const space = findSpace(table.space)
      const costs = latencyCosts(table, space, table.network, file)
      const { space: own, architecture } = readArchitecture(arch, space.name)
      // a published name is one of DARTS's space whatever is asked for
      if (own.name !== space.name)
        throw new DdsasError(
          'input',
          `${arch} is of the space ${own.name}, and ${file} is of ${space.name}: give an architecture of that`,
        )
      const ms = tableCost(costs, space.encode(architecture))
      const result = { architecture: space.format(architecture), ms, expectedError: table.errors.mean }
      print(json, result, () => predictText(arch, ms, table))
    })
  command.addCommand(checkCommand())
  return command
}

function measureCommand(): Command {
  const measure = new Command('measure')
    .description('time operations and networks of a space on this machine, and fit what each candidate costs')
    .addOption(new Option('--space <name>', 'whose').choices(Object.keys(spaces)).default('darts'))
    .addOption(
      new Option('--network <kind>', 'stem of the networks')
        .choices(Object.keys(usualImageSides))
        .default('cifar'),
    )
    .option('--channels <C>', "channels of a node in the first cells (default: the space's)", countTo(4096))
    .option('--cells <N>', "how many cells (default: the space's)", countTo(1000))
    .option('--classes <K>', 'how many classes (default: 10, imagenet 1000)', countTo(1_000_000))
    .option('--image-side <px>', 'height and width of the images (default: 32, imagenet 224)', countTo(4096))
    .option('--batch <n>', 'images in one run', countTo(4096), 1)
    .option('--threads <n>', 'threads of ONNX Runtime', countTo(maxThreads), 1)
    .option('--networks <n>', 'how many networks the fit sees', countTo(500), 80)
    .option('--held-out <n>', 'how many it does not see, to say how well it predicts', countTo(500), 20)
    .requiredOption('--out <file>', 'where the table is written; FILE.partial keeps what was measured so far')
  return addRoundOptions(measure, 'print the table as JSON instead of a summary').action(
    async (options: MeasureOptions) => {
      const { json, networks, heldOut, batch, threads, seed, out } = options
      const runtime = await openRuntime(options.runtime)
      const request = {
        ...{ space: options.space, network: sizeOf(options), limits: limitsOf(options) },
        ...{ networks, heldOut, batch, threads, seed, out },
      }
      const table = await watched(json, (observer) => measureLatency(request, runtime, observer))
      print(json, { out, ...tableJson(table) }, () => measuredText(out, table))
    },
  )
}

function checkCommand(): Command {
  const check = new Command('check')
    .description(
      'measure a few networks on this machine and compare: does a table, perhaps of another machine, hold?',
    )
    .argument('<file>', 'a table')
    .option('--networks <n>', 'how many, none of which the table has seen', countTo(500), 10)
  return addRoundOptions(check, 'print the result as JSON').action(
    async (file: string, options: RoundOptions & { readonly networks: number }) => {
      const table = readLatencyTable(file)
      const runtime = await openRuntime(options.runtime)
      const request = {
        ...{ space: table.space, table, source: file, limits: limitsOf(options) },
        ...{ networks: options.networks, seed: options.seed },
      }
      const found: LatencyCheck = await watched(options.json, (observer) =>
        checkLatency(request, runtime, observer),
      )
      const holds = found.errors.mean <= tolerable
      print(options.json, { holds, ...found }, () => checkText(file, found, holds))
      if (!holds) process.exitCode = 1
    },
  )
}

/** Options of commands that time networks. */
function addRoundOptions(command: Command, json: string): Command {
  return command
    .option('--rounds <n>', 'each network has its turn so often at most', countTo(10_000), 50)
    .addOption(
      new Option('--precision <percent>', 'standard error of a time at which it is enough')
        .argParser(percentage)
        .default(0.01, '1'),
    )
    .option('--seed <n>', 'of the architectures that are drawn', wholeNumber, 0)
    .addOption(
      new Option('--runtime <package>', 'which build of ONNX Runtime')
        .choices(runtimeNames)
        .default(runtimeNames[0]),
    )
    .option('--json', json)
}

function percentage(text: string): number {
  const value = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 100) return value / 100
  throw new InvalidArgumentError('a percentage above 0 is wanted')
}

function limitsOf({ rounds, precision }: RoundOptions) {
  return { least: Math.min(8, rounds), most: rounds, precision }
}

function sizeOf(options: MeasureOptions) {
  const { kind, ...usual } = usualNetwork(findSpace(options.space), options.network)
  return {
    kind,
    channels: options.channels ?? usual.channels,
    cells: options.cells ?? usual.cells,
    classes: options.classes ?? usual.classes,
    imageSide: options.imageSide ?? usualImageSides[kind],
  }
}

/** Runs what can be stopped, and shows how far it is unless a program reads the output. */
function watched<Result>(
  json: boolean | undefined,
  body: (observer: LatencyObserver) => Promise<Result>,
): Promise<Result> {
  return interruptible(async (signal) => {
    const { progress, clear } = latencyProgress(process.stderr)
    try {
      return await body({ stopped: () => signal.aborted, ...(json ? {} : { progress }) })
    } finally {
      clear()
    }
  })
}

/** A table as a program reads it: without the maps. */
function tableJson(latency: LatencyTable): object {
  const { table, candidates: _, ...about } = latency
  return { ...about, base: table.base, groups: groupsOf(latency) }
}

function print(json: boolean | undefined, result: object, text: () => string): void {
  console.log(json ? JSON.stringify(result) : text())
}
