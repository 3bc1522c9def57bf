/** The command line `ddsas`: its commands, and the one place where an error becomes a line and an exit code. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { z } from 'zod'
import { DdsasError, exitCodes } from '../errors.ts'
import { askToStop } from '../torch/device.ts'
import { dataCommand } from './data.ts'
import { describeCommand } from './describe.ts'
import { doctorCommand } from './doctor.ts'
import { evaluateCommand } from './evaluate.ts'
import { exportCommand } from './export.ts'
import { planCommand } from './plan.ts'
import { searchCommand } from './search.ts'
import { setupCommand } from './setup.ts'
import { showCommand } from './show.ts'
import { trainCommand } from './train.ts'

/** The program with all its commands; it throws instead of ending the process. */
export function createProgram(): Command {
  const program = new Command('ddsas')
    .description('search, train and export small accurate networks')
    .version(packageVersion())
  const commands = [
    planCommand(),
    searchCommand(),
    trainCommand(),
    evaluateCommand(),
    showCommand(),
    describeCommand(),
    exportCommand(),
    dataCommand(),
    doctorCommand(),
    setupCommand(),
  ]
  for (const command of commands) program.addCommand(command)
  throwErrors(program)
  return program
}

/** Runs a command line given as in `process.argv` and returns the exit code; nothing is thrown. */
export async function run(argv: readonly string[]): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', outputClosed)
  try {
    await createProgram().parseAsync(argv)
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return reportError(error)
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

/** Commands made apart from the program do not take over its settings, so each is told. */
function throwErrors(command: Command): void {
  command.exitOverride().configureOutput({
    outputError: (text, write) =>
      write(
        `ddsas: ${text
          .replace(/^error: /, '')
          .trimEnd()
          .replaceAll('\n', ' ')}\n`,
      ),
  })
  command.commands.forEach(throwErrors)
}

function reportError(error: unknown): number {
  if (error instanceof CommanderError) return usageCode(error)
  if (process.env.DDSAS_DEBUG === '1') console.error(error)
  else console.error(`ddsas: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)
  return error instanceof DdsasError ? error.exitCode : 1
}

/** Commander has printed its own text. Help and version that were asked for are no error; help for want of a command is. */
function usageCode({ code, exitCode }: CommanderError): number {
  return exitCode === 0 && code !== 'commander.help' ? 0 : exitCodes.input
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
