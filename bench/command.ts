/** The command line of the benchmarks: measures one thing, or all, and shows it as tables or as one JSON object. */
import { join, resolve } from 'node:path'
import { Command, CommanderError } from 'commander'
import { DdsasError, exitCodes } from '../src/errors.ts'
import { setThreads } from '../src/torch/index.ts'
import type { Benchmark } from './benchmark.ts'
import { benchmarks } from './benchmarks.ts'
import { measuredBlocks, textsOf, writeTexts } from './figures/texts.ts'
import { machine, machineName } from './machine.ts'
import { shownLines, writeCharts, writeResults } from './results.ts'
import { addSettings, completeSettings, type Settings } from './settings.ts'

interface Given extends Partial<Settings> {
  readonly json?: boolean
  readonly out: string
}

const root = join(import.meta.dirname, '..')
const results = join(import.meta.dirname, 'results')

/** Progress goes to standard error: standard output holds the results alone. */
function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

async function runOne(benchmark: Benchmark, given: Given): Promise<void> {
  const settings = completeSettings(given)
  setThreads(settings.threads)
  const where = machine()
  const report = await benchmark.measure(settings)
  const shown = benchmark.show(report)
  if (given.json) console.log(JSON.stringify({ machine: where, ...report }))
  else console.log(shownLines(shown).join('\n').trimEnd())
  for (const path of await writeCharts(given.out, `${machineName(where)}-`, shown)) say(`wrote ${path}`)
}

async function runAll(given: Given): Promise<void> {
  const settings = completeSettings(given)
  setThreads(settings.threads)
  const where = machine()
  const reports: Record<string, object> = {}
  for (const [name, { about, measure }] of Object.entries(benchmarks)) {
    say(`${name}: ${about}`)
    reports[name] = await measure(settings)
  }
  const all = { machine: where, reports }
  const written = [writeResults(given.out, all)]
  for (const [name, { show }] of Object.entries(benchmarks)) {
    const shown = show(reports[name])
    if (!given.json) console.log([`## ${name}`, '', ...shownLines(shown)].join('\n'))
    written.push(...(await writeCharts(given.out, `${machineName(where)}-`, shown)))
  }
  if (given.json) console.log(JSON.stringify(all))
  for (const path of written) say(`wrote ${path}`)
  if (resolve(given.out) === results)
    for (const path of writeTexts(root, textsOf(root, measuredBlocks(root)))) say(`wrote ${path}`)
}

function commandOf(name: string, about: string, out: string): Command {
  return new Command(name)
    .description(about)
    .option('--json', 'print one JSON object and nothing else')
    .option('--out <folder>', 'where charts are written', out)
}

function createProgram(): Command {
  const program = new Command('bench').usage('NAME [options]')
  for (const [name, benchmark] of Object.entries(benchmarks)) {
    const command = addSettings(commandOf(name, benchmark.about, 'runs/bench'), benchmark.takes)
    program.addCommand(command.action((given: Given) => runOne(benchmark, given)))
  }
  const every = Object.values(benchmarks).flatMap(({ takes }) => takes)
  const all = commandOf('all', 'all of them: writes the results, and their figures in the texts', results)
  program.addCommand(addSettings(all, every).action(runAll))
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({
      outputError: (text) =>
        say(
          text
            .replace(/^error: /, '')
            .trimEnd()
            .replaceAll('\n', ' '),
        ),
    })
  return program
}

function checkName(program: Command, name = ''): void {
  const known = program.commands.map((command) => command.name())
  if (known.includes(name) || name.startsWith('-') || name === 'help') return
  throw new DdsasError('input', `no benchmark '${name}'; name one: npm run bench -- ${known.join('|')}`)
}

/** Runs a command line and returns the exit code. */
export async function runBench(args: readonly string[]): Promise<number> {
  try {
    const program = createProgram()
    checkName(program, args[0])
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.input
    say(error instanceof Error ? error.message.split('\n')[0] : String(error))
    return error instanceof DdsasError ? error.exitCode : 1
  }
}
