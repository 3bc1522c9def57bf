/** Runs the `ddsas` command as users do, in a process of its own, and a search small enough to take a second or two. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after } from 'node:test'
import { z } from 'zod'
import { exitCodes } from '../../src/errors.ts'

export const program = join(import.meta.dirname, '../../bin/ddsas.mjs')

/** Options that change settings. */
export const set = (...settings: readonly string[]): string[] =>
  settings.flatMap((setting) => ['--set', setting])

/** A supernet of three cells of four channels, in subspaces of three steps. */
export const tiny: readonly string[] = set(
  'network.channels=4',
  'network.cells=3',
  'data.batch=8',
  'evaluation.batch=8',
  'ddsas.window=3',
  'threads=1',
)

/** How a command ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Waits for the line of standard output that has `count` lines that match before it and itself matches. */
  line(pattern: RegExp, count?: number): Promise<string>
}

const plainEnvironment = (variables = process.env) => ({ ...variables, NODE_OPTIONS: '', DDSAS_DEBUG: '' })

/** Starts `ddsas` with its output in pipes; the folder it works in is `cwd`. `options`: of Node. */
export function start(
  args: readonly string[],
  cwd: string = tmpdir(),
  variables = process.env,
  options: readonly string[] = [],
): Running {
  const env = plainEnvironment(variables)
  const words = [...options, program, ...args]
  const child = spawn(process.execPath, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, ...output })))
  const line = (pattern: RegExp, count = 0) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = output.stdout
          .split('\n')
          .slice(0, -1)
          .filter((text) => pattern.test(text))[count]
        if (found !== undefined) resolve(found)
      }
      child.stdout.on('data', look)
      look()
      void ended.then(({ code, stderr }) =>
        reject(new Error(`ended with ${code} before ${pattern}: ${stderr}`)),
      )
    })
  return { child, ended, line }
}

/** How a command is made to stand still behind a line: what Node and its environment need for it, and what ends that. */
export function holding(pattern: RegExp, count = 0) {
  const folder = mkdtempSync(join(tmpdir(), 'ddsas-hold-'))
  const file = join(folder, 'go')
  after(() => rmSync(folder, { recursive: true, force: true }))
  return {
    options: ['--import', join(import.meta.dirname, 'hold.mjs')],
    variables: { ...process.env, DDSAS_TEST_HOLD: JSON.stringify({ pattern: pattern.source, count, file }) },
    release: () => writeFileSync(file, ''),
  }
}

/** A command that stands still behind a line that it has printed, until it is released. */
export interface Held extends Running {
  readonly held: string
  release(): void
}

/** Starts `ddsas`, and waits until it stands still behind the line that {@link Running.line} would give. */
export async function startHeld(
  args: readonly string[],
  pattern: RegExp,
  count = 0,
  cwd?: string,
): Promise<Held> {
  const { options, variables, release } = holding(pattern, count)
  const running = start(args, cwd, variables, options)
  return { ...running, held: await running.line(pattern, count), release }
}

/** Runs `ddsas` to its end. */
export function ddsas(args: readonly string[], cwd?: string): Promise<Ended> {
  return start(args, cwd).ended
}

/** Runs `ddsas`, which must succeed, and returns its standard output. */
export async function succeed(args: readonly string[], cwd?: string): Promise<string> {
  const { code, stdout, stderr } = await once(args[0], args, cwd)
  assert.deepEqual([code, stderr], [0, ''], `ddsas ${args.join(' ')}`)
  return stdout
}

/** The message of an error, from one line on standard error, or from one object where `--json` is among the arguments. */
export function messageOf({ code, stderr }: Ended, args: readonly string[]): string {
  if (!args.includes('--json')) {
    assert.match(stderr, /^ddsas: [^\n]+\n$/)
    return stderr
  }
  const error: unknown = JSON.parse(stderr)
  assert.ok(typeof error === 'object' && error !== null && 'message' in error && 'kind' in error, stderr)
  assert.deepEqual(
    [Object.keys(error), 'exitCode' in error && error.exitCode],
    [['kind', 'message', 'exitCode'], code],
  )
  return String(error.message)
}

/** Runs `ddsas`, which must end with `code` and an error whose message matches every pattern. */
export async function refuse(
  args: readonly string[],
  code: number,
  patterns: readonly RegExp[],
  cwd?: string,
): Promise<void> {
  const ended = await (code === exitCodes.input ? once('refused', args, cwd) : ddsas(args, cwd))
  assert.equal(ended.code, code, `ddsas ${args.join(' ')}: ${ended.stderr}`)
  const message = messageOf(ended, args)
  for (const pattern of patterns) assert.match(message, pattern)
}

const begun = new Set<string>()

/**
 * As {@link ddsas}. A file's first command of a kind gets a process of its own; one process takes all that follow: most of
 * the time of a small command is the start of its process.
 */
function once(kind: string, args: readonly string[], cwd?: string): Promise<Ended> {
  if (begun.has(kind)) return serve(args, cwd)
  begun.add(kind)
  return ddsas(args, cwd)
}

let server: ReturnType<typeof startServer> | undefined
let served: Promise<unknown> = Promise.resolve()

/** As {@link ddsas}, in a process that runs one command after the other and ends with this one. */
function serve(args: readonly string[], cwd: string = tmpdir()): Promise<Ended> {
  server ??= startServer()
  const { child, answers, hold } = server
  const ended = served.then(async () => {
    hold(true)
    child.stdin.write(`${JSON.stringify({ args, cwd, env: plainEnvironment() })}\n`)
    const { value, done } = await answers.next()
    hold(false)
    assert.ok(!done, `ddsas ${args.join(' ')} ended the process`)
    return endedSchema.parse(JSON.parse(value))
  })
  served = ended.catch(() => undefined)
  return ended
}

const endedSchema = z.object({ code: z.number(), stdout: z.string(), stderr: z.string() })

function startServer() {
  const program = join(import.meta.dirname, 'server.mjs')
  const child = spawn(process.execPath, [program], {
    env: plainEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  // between commands it must not keep this process from ending
  const hold = (flag: boolean) => {
    const pipes = [child.stdin, child.stdout].filter((pipe) => pipe instanceof Socket)
    for (const handle of [child, ...pipes]) flag ? handle.ref() : handle.unref()
  }
  return { child, hold, answers: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
}

/** Waited for, it counts among what the tests computed. */
after(async () => {
  if (server === undefined) return
  const { child, hold } = server
  hold(true)
  child.stdin.end()
  await new Promise((resolve) => child.once('close', resolve))
})

/** A folder for the tests of one file; `remove` it in the end. */
export function workplace(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'ddsas-e2e-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
