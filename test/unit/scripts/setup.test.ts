/** Tests of the parts of scripts/setup.mjs that can be tried without installing anything. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { load, repository, tree } from './support.ts'

type Say = (line: string) => void
const { withLock } = await load<{
  withLock<T>(folder: string, say: Say, work: () => Promise<T>): Promise<T>
}>('scripts/setup/lock.mjs')
const { isInstalled } = await load<{ isInstalled(root: string): boolean }>('scripts/setup/packages.mjs')
const { jobCount } = await load<{ jobCount(cores: number, memory: number): number }>(
  'scripts/setup/addon.mjs',
)
const { cmakeSettings } = await load<{
  cmakeSettings(
    libtorch: object,
    how?: { sanitize?: string; sets?: string[]; groups?: boolean },
  ): Record<string, unknown>
}>('scripts/setup/addon.mjs')
const { excerpt, run } = await load<{
  excerpt(output: string, lines?: number): string
  run(command: string, args: string[]): Promise<{ code: number; output: string }>
}>('scripts/setup/run.mjs')

test('compilers at a time: cores, as long as each has 2 GiB, and never none', () => {
  const gib = 2 ** 30
  assert.deepEqual([jobCount(2, 64 * gib), jobCount(16, 7 * gib), jobCount(4, gib / 2)], [2, 3, 1])
})

test('CMake is told of sanitizers and of the instruction sets that they are built for; else it builds all and without', () => {
  const libtorch = { include: ['/a', '/b'], lib: '/lib', cudaInclude: [], cudaHomes: [], gloo: true }
  const settings = (how?: Parameters<typeof cmakeSettings>[1]) => {
    const { DDSAS_SANITIZE, DDSAS_SETS, DDSAS_GLOO } = cmakeSettings(libtorch, how)
    return [DDSAS_SANITIZE, DDSAS_SETS, DDSAS_GLOO]
  }
  const how = { sanitize: 'thread', sets: ['portable', 'avx2'], groups: false }
  assert.deepEqual(settings(how), ['thread', 'portable;avx2', 'OFF'])
  assert.deepEqual(settings(), ['', undefined, 'ON'])
})

test('an excerpt of a log begins at its first error', () => {
  const log = [...Array.from({ length: 50 }, (_, line) => `line ${line}`), 'a.cc:3: error: no', 'more'].join(
    '\n',
  )
  assert.equal(excerpt(log), 'a.cc:3: error: no\nmore')
  assert.equal(excerpt('a\nb\nc\n', 2), 'b\nc')
})

test('a command gives its exit code and both outputs; one that is absent gives 127', async () => {
  assert.deepEqual(await run('sh', ['-c', 'echo out; echo err >&2; exit 3']), {
    code: 3,
    output: 'out\nerr\n',
  })
  assert.equal((await run('ddsas-no-such-command', [])).code, 127)
})

test('npm packages count as installed when the record has every version of the lock file', (t) => {
  const wanted = {
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '2.0.0', optional: true },
  }
  const root = tree(t, { 'package-lock.json': JSON.stringify({ packages: wanted }) })
  assert.equal(isInstalled(root), false)
  const record = (packages: object) =>
    tree(t, {
      'package-lock.json': JSON.stringify({ packages: wanted }),
      'node_modules/.package-lock.json': JSON.stringify({ packages }),
    })
  assert.equal(isInstalled(record({ 'node_modules/a': { version: '1.0.0' } })), true)
  assert.equal(isInstalled(record({ 'node_modules/a': { version: '0.9.0' } })), false)
  assert.equal(isInstalled(record({ 'node_modules/b': { version: '2.0.0' } })), false)
})

/** A script that takes the lock, notes begin and end in a file, and holds it for a while. */
function holder(ms: number): string {
  const lock = JSON.stringify(join(repository, 'scripts/setup/lock.mjs'))
  return `import { withLock } from ${lock}
    import { appendFileSync } from 'node:fs'
    const [folder, log] = process.argv.slice(1)
    await withLock(folder, () => {}, async () => {
      appendFileSync(log, 'begin ')
      await new Promise((done) => setTimeout(done, ${ms}))
      appendFileSync(log, 'end ')
    })`
}

test('set-ups at the same time take turns', async (t) => {
  const root = tree(t, { log: '' })
  const log = join(root, 'log')
  const start = () => spawn(process.execPath, ['--input-type=module', '-e', holder(100), root, log])
  const children = [start(), start(), start()]
  await Promise.all(children.map((child) => new Promise((done) => child.on('close', done))))
  assert.equal(readFileSync(log, 'utf8'), 'begin end begin end begin end ')
  assert.equal(existsSync(join(root, 'setup.lock')), false)
})

test('the lock of a killed set-up is taken over, that of a living process is not', async (t) => {
  const root = tree(t, { log: '' })
  const log = join(root, 'log')
  const child = spawn(process.execPath, ['--input-type=module', '-e', holder(60_000), root, log])
  while (!readFileSync(log, 'utf8')) await sleep(20)
  const lines: string[] = []
  const second = withLock(
    root,
    (line) => lines.push(line),
    async () => 'taken',
  )
  await sleep(300)
  assert.deepEqual(lines, [`waiting for another set-up, process ${child.pid}`])
  child.kill('SIGKILL')
  assert.equal(await second, 'taken')
})

test('a lock whose number now belongs to another process is taken over', {
  skip: !existsSync('/proc/self/stat'),
}, async (t) => {
  const root = tree(t, {})
  writeFileSync(join(root, 'setup.lock'), JSON.stringify({ pid: process.pid, started: '1' }))
  assert.equal(
    await withLock(
      root,
      () => {},
      async () => 'taken',
    ),
    'taken',
  )
})
