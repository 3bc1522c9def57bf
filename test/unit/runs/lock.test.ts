/** The lock: living and dead holders, a pid used again, another host, and texts that are no lock. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { acquireLock } from '../../../src/runs/lock.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

function holderText(pid: number): string {
  const status = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const started = status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
  return JSON.stringify({ pid, host: hostname(), started })
}

function startChild(t: TestContext): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  return new Promise((resolve) => child.once('spawn', () => resolve(child)))
}

function age(path: string): void {
  const old = Date.now() / 1000 - 60
  utimesSync(path, old, old)
}

test('held once, given back, taken again', (t) => {
  const path = join(temporaryFolder(t), 'lock')
  const release = acquireLock(path)
  assertRefuses(() => acquireLock(path), 'input', new RegExp(`lock is held by process ${process.pid}: wait`))
  release()
  assert.equal(existsSync(path), false)
  const again = acquireLock(path)
  release()
  assert.equal(existsSync(path), true, 'an old release must not free what was taken later')
  again()
})

const proc = existsSync('/proc/self/stat') ? false : 'the system has no /proc'

test('a living process is respected, after its death the lock is taken over', { skip: proc }, async (t) => {
  const path = join(temporaryFolder(t), 'lock')
  const child = await startChild(t)
  writeFileSync(path, holderText(child.pid ?? 0))
  age(path)
  assertRefuses(() => acquireLock(path), 'input', new RegExp(`process ${child.pid}`))
  await new Promise((resolve) => child.once('exit', resolve).kill('SIGKILL'))
  acquireLock(path)()
  assert.deepEqual(readdirSync(join(path, '..')), [])
})

test('a pid that another process uses now, also our own, does not hold the lock', {
  skip: proc,
}, async (t) => {
  const path = join(temporaryFolder(t), 'lock')
  const child = await startChild(t)
  for (const pid of [child.pid ?? 0, process.pid]) {
    writeFileSync(path, JSON.stringify({ pid, host: hostname(), started: '1' }))
    acquireLock(path)()
  }
})

test('a lock of another host is refused with its name, and taken over where that is asked for', (t) => {
  const path = join(temporaryFolder(t), 'lock')
  writeFileSync(path, JSON.stringify({ pid: 77, host: 'not-this-one', started: '1' }))
  assertRefuses(() => acquireLock(path), 'input', /process 77 of the host not-this-one.*--take-over/)
  acquireLock(path, true)()
  assert.equal(existsSync(path), false)
})

test('taking over what another host left takes nothing from a living process of this one', async (t) => {
  const path = join(temporaryFolder(t), 'lock')
  const release = acquireLock(path)
  assertRefuses(() => acquireLock(path, true), 'input', new RegExp(`held by process ${process.pid}`))
  release()
})

test('a text that is no lock: held while it may be in writing, stale when old', (t) => {
  const path = join(temporaryFolder(t), 'lock')
  for (const text of [
    '',
    '{"pid":',
    'null',
    '{"pid":-1,"host":"a","started":""}',
    '{"pid":1e99}',
    '\0'.repeat(5000),
  ]) {
    writeFileSync(path, text)
    assertRefuses(() => acquireLock(path), 'input', /just started/)
    age(path)
    acquireLock(path)()
  }
})

test('a lock that cannot be written is a disk error', (t) => {
  assertRefuses(
    () => acquireLock(join(temporaryFolder(t), 'none', 'lock')),
    'disk',
    /cannot write .*none\/lock/,
  )
})
