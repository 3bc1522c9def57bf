/** Tests of scripts/test.mjs: what it counts and prints, what it does with tests that fail, hang, die or leave something. */
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { load, repository, tree } from './support.ts'

const script = join(repository, 'scripts/test.mjs')
const { alone, apart, divide, long } = await load<{
  alone: [name: string, why: string][]
  apart: [name: string, why: string][]
  long: string[]
  divide(root: string, files: string[]): Record<'together' | 'alone', string[][]>
}>('scripts/test/files.mjs')
const { runFiles } = await load<{
  runFiles(files: string[], options: { limit: number }): Promise<Result>
}>('scripts/test/process.mjs')
const { closingReport, reportOf } = await load<{
  closingReport(results: Result[], seconds: number): string
  reportOf(result: Result): string
}>('scripts/test/report.mjs')

type Result = Readonly<Record<string, unknown>>

interface Ended {
  readonly code: number | null
  readonly stdout: string
}

/** Runs the runner to its end with further variables. */
function runner(paths: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return ended(
    spawn(process.execPath, [script, ...paths], { cwd: repository, env: { ...process.env, ...variables } }),
  )
}

function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  return new Promise((resolve) => {
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.once('close', (code) => resolve({ code, stdout }))
  })
}

const file = (body: string) => `import { test } from 'node:test'\n${body}\n`

/** The numbers of node:test's closing lines. */
function counts(stdout: string): Record<string, number> {
  const lines = [...stdout.matchAll(/^ℹ (\w+) (\d+)$/gm)]
  return Object.fromEntries(lines.map(([, name, count]) => [name, Number(count)]))
}

test('all files below the folders, their totals in the last lines, skips with their reasons', async (t) => {
  const good = tree(t, {
    'deep/er/a.test.ts': file(`test('one', () => {})\ntest('two', { skip: 'no such thing' }, () => {})`),
    'b.test.ts': file(`test('three', () => {})`),
    'deep/b.ts': 'throw new Error()',
  })
  const { code, stdout } = await runner([good])
  assert.equal(code, 0)
  assert.match(stdout, /^✔ one /m)
  assert.match(stdout, /^﹣ \S+a\.test\.ts: two # no such thing$/m)
  assert.match(stdout, /^slowest files:\n( +\d+\.\d s, +\d+\.\d s of processors {2}\S+\.test\.ts\n){2}/m)
  const names = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms']
  const last = stdout.trimEnd().split('\n').slice(-names.length)
  assert.deepEqual(
    last.map((line) => line.split(' ')[1]),
    names,
  )
  const { duration_ms: duration, ...found } = counts(stdout)
  assert.deepEqual(found, { tests: 3, suites: 0, pass: 2, fail: 0, cancelled: 0, skipped: 1, todo: 0 })
  assert.equal(stdout.match(/^ℹ tests /gm)?.length, 1)
  assert.ok(duration > 0)
})

test('a failure is passed on and named at the end', async (t) => {
  const bad = tree(t, {
    'a.test.ts': file(`test('sound', () => {})`),
    'b.test.ts': file(`test('wrong', () => { throw new Error('what is wrong') })`),
  })
  const { code, stdout } = await runner([bad])
  assert.equal(code, 1)
  assert.match(stdout, /what is wrong/)
  assert.match(stdout, /^failing tests:\n✖ \S+b\.test\.ts: wrong$/m)
  assert.deepEqual([counts(stdout).pass, counts(stdout).fail], [1, 1])
})

test('files that cannot be loaded, die or end before their tests count as failures', async (t) => {
  const bad = tree(t, {
    'syntax.test.ts': file('test('),
    'killed.test.ts': file(`test('a', () => { process.kill(process.pid, 'SIGKILL') })`),
    'left.test.ts': file(`test('a', () => { process.exit(0) })`),
  })
  const { code, stdout } = await runner([bad])
  assert.equal(code, 1)
  assert.match(stdout, /^✖ \S+killed\.test\.ts: ended with SIGKILL before its tests did$/m)
  assert.match(stdout, /^✖ \S+left\.test\.ts: ended with exit code 0 before its tests did$/m)
  assert.match(stdout, /^✖ \S+syntax\.test\.ts: /m)
  assert.equal(counts(stdout).fail, 3)
})

function pidIn(folder: string): number {
  return Number(readFileSync(join(folder, 'pid'), 'utf8'))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

/** A test that starts a program which outlives it and notes its number, and then goes on with `body`. */
function leaving(t: TestContext, body: string): string {
  const start = `
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
test('a', () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' })
  child.unref()
  writeFileSync(new URL('pid', import.meta.url), String(child.pid))
  ${body}
})`
  return tree(t, { 'leaving.test.ts': file(start) })
}

/** Blocks the thread, as a call into native code does that never returns, and would listen to a signal. */
const hang = `process.on('SIGTERM', () => {})
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`

test('a file that hangs in one call and listens to no signal is killed with all that it started', async (t) => {
  const folder = leaving(t, hang)
  const { code, stdout } = await runner([folder], { DDSAS_TEST_LIMIT: '10' })
  assert.equal(code, 1)
  assert.match(stdout, /^✖ \S+leaving\.test\.ts: killed after 10 s \(DDSAS_TEST_LIMIT\)$/m)
  assert.equal(counts(stdout).fail, 1)
  assert.equal(isAlive(pidIn(folder)), false)
})

test('what a file left running ends with it', async (t) => {
  const folder = leaving(t, '')
  const { code } = await runner([folder], { DDSAS_TEST_LIMIT: '60' })
  assert.equal(code, 0)
  assert.equal(isAlive(pidIn(folder)), false)
})

test('Ctrl-C ends what runs', async (t) => {
  const folder = leaving(t, hang)
  const child = spawn(process.execPath, [script, folder], { cwd: repository })
  const end = ended(child)
  while (!existsSync(join(folder, 'pid'))) await sleep(50)
  child.kill('SIGINT')
  assert.equal((await end).code, 130)
  // the kernel ends a killed process when it next gives it time
  while (isAlive(pidIn(folder))) await sleep(20)
})

test('nothing to run is refused', async (t) => {
  const ended = await Promise.all([runner([tree(t, {})]), runner(['no-such-folder']), runner([])])
  assert.deepEqual(
    ended.map(({ code }) => code),
    [2, 2, 2],
  )
})

test('what runs by itself or first is there, and only that', () => {
  const named = [...alone.map(([name]) => name), ...apart.map(([name]) => name), ...long]
  for (const name of named) assert.ok(existsSync(join(repository, name)), name)
  const [[byItself], [own]] = [alone[0], apart[0]]
  const small = Array.from({ length: 9 }, (_, index) => `test/unit/nn/${index}.test.ts`)
  const others = ['test/parity/a.test.ts', 'test/parity/b.test.ts', own]
  assert.deepEqual(
    divide(repository, [byItself, ...others, ...small, 'test/unit/torch/a.test.ts', ...long]),
    {
      together: [
        ...[...long, ...others].map((file) => [file]),
        small.slice(0, 8),
        small.slice(8),
        ['test/unit/torch/a.test.ts'],
      ],
      alone: [[byItself]],
    },
  )
})

test('several files in one process: each test is told of with its file', async (t) => {
  const folder = tree(t, {
    'a.test.ts': file(`test('sound', () => {})\ntest('later', { skip: 'too soon' }, () => {})`),
    'b.test.ts': file(`test('wrong', () => { throw new Error('what is wrong') })`),
  })
  const files = ['a', 'b'].map((name) => join(folder, `${name}.test.ts`))
  const result = await runFiles(files, { limit: 60 })
  const text = closingReport([result], 1)
  assert.ok(reportOf(result).startsWith(`— ${folder}: a, b, `), reportOf(result))
  assert.ok(text.includes(`✖ ${files[1]}: wrong\n`), text)
  assert.ok(text.includes(`﹣ ${files[0]}: later # too soon\n`), text)
  const { tests, pass, fail, skipped } = counts(text)
  assert.deepEqual({ tests, pass, fail, skipped }, { tests: 3, pass: 1, fail: 1, skipped: 1 })
})
