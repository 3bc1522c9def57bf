/** The command line `ddsas`: its commands, and the one place where an error becomes a line and an exit code. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { askToStop } from '../torch/device.ts'
import { candidatesCommand } from './candidates.ts'
import { completionCommand } from './completion.ts'
import { configCommand } from './config.ts'
import { controlCommand } from './control.ts'
import { dataCommand } from './data.ts'
import { describeCommand } from './describe.ts'
import { doctorCommand } from './doctor.ts'
import { evaluateCommand } from './evaluate.ts'
import { addExamples } from './examples.ts'
import { exportCommand } from './export.ts'
import { helpCommand } from './help.ts'
import { latencyCommand } from './latency.ts'
import { nasbenchCommand } from './nasbench.ts'
import { planCommand } from './plan.ts'
import { searchCommand } from './search.ts'
import { setupCommand } from './setup.ts'
import { showCommand } from './show.ts'
import { trainCommand } from './train.ts'

/** The program with all its commands; it throws instead of ending the process. */
export function createProgram(): Command {
  const program: Command = new Command('npx ddsas')
    .description('search, train and export small accurate networks')
    .version(packageVersion(), '-v, --version')
  const commands = [
    planCommand(),
    searchCommand(),
    controlCommand(),
    candidatesCommand(),
    trainCommand(),
    evaluateCommand(),
    showCommand(),
    describeCommand(),
    exportCommand(),
    configCommand(),
    dataCommand(),
    latencyCommand(),
    nasbenchCommand(),
    doctorCommand(),
    setupCommand(),
    completionCommand(() => program),
  ]
  for (const command of commands) program.addCommand(command)
  program.addCommand(helpCommand(commands.map((command) => command.name())))
  addExamples(program)
  throwErrors(program)
  return program
}

/** Runs a command line given as in `process.argv` and returns the exit code; nothing is thrown. */
export async function run(argv: readonly string[]): Promise<number> {
  for (const stream of [process.stdout, process.stderr])
    if (!stream.listeners('error').includes(outputClosed)) stream.on('error', outputClosed)
  try {
    await createProgram().parseAsync(argv)
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return reportError(error, argv.includes('--json'))
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

/** Commands made apart from the program do not take over its settings, so each is told. What is wrong is reported here. */
function throwErrors(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} })
  command.commands.forEach(throwErrors)
}

/** An error as one line, or with `--json` as one object: what went wrong must be as easy to read as a result. */
function reportError(thrown: unknown, json: boolean): number {
  const error = thrown instanceof CommanderError ? usageError(thrown) : thrown
  if (error === undefined) return 0
  const { kind, exitCode } = error instanceof DdsasError ? error : { kind: 'internal', exitCode: 1 }
  const message = error instanceof Error ? error.message.split('\n')[0] : String(error)
  if (json) console.error(JSON.stringify({ kind, message, exitCode }))
  else if (process.env.DDSAS_DEBUG === '1') console.error(error)
  else console.error(`ddsas: ${message}`)
  return exitCode
}

/** Help and version that were asked for are no error; want of a command is, and the help that it brought is enough. */
function usageError({ code, exitCode, message }: CommanderError): DdsasError | undefined {
  if (exitCode === 0 && code !== 'commander.help') return undefined
  const text = code === 'commander.help' ? 'name a command' : message.replace(/^error: /, '').trimEnd()
  return new DdsasError('input', text)
}

/**
 * A reader such as `head` that has seen enough closes the pipe, a window its terminal. What is short ends its work, files
 * included; a run saves and stops, as after Ctrl-C. Node aborts at its end where it cannot put a terminal's settings back:
 * the process ends by the hang-up instead.
 */
function outputClosed(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
  askToStop()
  if (error.code === 'EIO') process.once('exit', () => process.kill(process.pid, 'SIGHUP'))
}

const [, started = ''] = process.argv
if (existsSync(started) && realpathSync(started) === fileURLToPath(import.meta.url)) {
  process.exitCode = await run(process.argv)
}
