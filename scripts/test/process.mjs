/** Runs test files in a process group of their own, which ends with them or at the limit of their time. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiledPath } from './compile.mjs'

const outcomeReporter = new URL('outcome.mjs', import.meta.url).href
const [typescript, children] = ['typescript.mjs', 'children.mjs'].map(
  (name) => new URL(name, import.meta.url).href,
)
const several = fileURLToPath(new URL('several.mjs', import.meta.url))

/** Process groups that run now, for the end of the whole. */
const running = new Set()

/** Ends every test that runs, with all that it started. */
export function killRunning() {
  for (const pid of running) killGroup(pid)
}

/** A signal that can be caught may wait behind a native call that never returns, so it is the one that cannot. */
function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left.
  }
}

/**
 * Runs test files, one after the other in one process.
 * @param {string[]} files
 * @param {{ threads?: number, limit: number }} options threads: of libtorch, absent: all; limit: seconds until it is killed
 * @returns {Promise<{ files: string[], seconds: number, output: string, notes: object[], broken?: string }>} broken: why it
 *   did not end by itself with an account of all its tests
 */
export async function runFiles(files, { threads, limit }) {
  const account = join(tmpdir(), `ddsas-test-${process.pid}-${files[0].replaceAll(/\W/g, '-')}.jsonl`)
  const began = performance.now()
  const { code, signal, output, late } = await runGroup(
    commandOf(files, account),
    environment(threads),
    limit,
  )
  const notes = readNotes(account)
  rmSync(account, { force: true })
  const failed = notes.some((note) => note.failed !== undefined)
  const whole = notes.some((note) => note.total === 'tests')
  const broken = late
    ? `killed after ${limit} s (DDSAS_TEST_LIMIT)`
    : whole && (code === 0 || failed)
      ? undefined
      : `ended with ${signal ?? `exit code ${code}`} before its tests did`
  return { files, seconds: (performance.now() - began) / 1000, output, notes, broken }
}

function commandOf(files, account) {
  const reporters = [
    ['spec', 'stdout'],
    [outcomeReporter, account],
  ]
  const options = reporters.flatMap(([reporter, destination]) => [
    `--test-reporter=${reporter}`,
    `--test-reporter-destination=${destination}`,
  ])
  // those of this repository were compiled before
  const compiled = files.map(compiledPath)
  const whole = compiled.every((path) => path !== undefined)
  const loaded = whole ? compiled : files
  return [
    ...['--enable-source-maps', '--import', whole ? children : typescript, ...options],
    ...(loaded.length === 1 ? loaded : [several, ...loaded]),
  ]
}

function environment(threads) {
  // Left there by a test that runs this: node:test would then report to that one, and load what that one does.
  const { NODE_TEST_CONTEXT: _, NODE_OPTIONS = '', ...env } = process.env
  const options = NODE_OPTIONS.replace(`--import ${typescript}`, '').trim()
  return { ...env, NODE_OPTIONS: options, ...(threads ? { OMP_NUM_THREADS: String(threads) } : {}) }
}

function runGroup(args, env, limit) {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    child.once('error', failed)
    if (child.pid === undefined) return
    running.add(child.pid)
    const output = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => output.push(part))
    let late = false
    const timer = setTimeout(() => {
      late = true
      killGroup(child.pid)
    }, limit * 1000)
    // What a test left running would keep the pipes open, and go on computing beside the next one.
    child.once('exit', () => killGroup(child.pid))
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child.pid)
      done({ code, signal, late, output: Buffer.concat(output).toString() })
    })
  })
}

function readNotes(account) {
  if (!existsSync(account)) return []
  const lines = readFileSync(account, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line))
}
