/** Atomic files and JSON from outside. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  asidePath,
  clearAsides,
  formatJson,
  isAside,
  readJson,
  reportDisk,
  writeFileAtomic,
} from '../../../src/runs/files.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

test('writeFileAtomic writes text and bytes, replaces, and leaves nothing beside', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'a.json')
  writeFileAtomic(path, 'å1')
  assert.equal(readFileSync(path, 'utf8'), 'å1')
  writeFileAtomic(path, Uint8Array.of(1, 2, 3))
  assert.deepEqual([...readFileSync(path)], [1, 2, 3])
  writeFileAtomic(path, '')
  assert.equal(readFileSync(path, 'utf8'), '')
  assert.deepEqual(readdirSync(folder), ['a.json'])
})

test('a path that cannot be written is a disk error with path and remedy', (t) => {
  const folder = temporaryFolder(t)
  assertRefuses(
    () => writeFileAtomic(join(folder, 'none', 'a'), ''),
    'disk',
    /none\/a: ENOENT; choose another/,
  )
  mkdirSync(join(folder, 'taken'))
  assertRefuses(() => writeFileAtomic(join(folder, 'taken'), ''), 'disk', /taken: /)
  assert.deepEqual(readdirSync(folder), ['taken'], 'the file beside is removed after a failure')
})

test('reportDisk names the remedy of each cause and lets other errors pass', () => {
  for (const [code, remedy] of [
    ['ENOSPC', /no space left.*another disk/],
    ['EDQUOT', /quota/],
    ['EROFS', /read-only/],
    ['EACCES', /permission denied/],
    ['EIO', /EIO; choose another folder/],
  ] as const) {
    const failing = () => {
      throw Object.assign(new Error(code), { code, syscall: 'write' })
    }
    assertRefuses(() => reportDisk('/a/b', failing), 'disk', /^cannot write \/a\/b: /, remedy)
  }
  const bug = new TypeError('bug')
  assert.throws(
    () =>
      reportDisk('/a', () => {
        throw bug
      }),
    bug,
  )
})

test('what a killed writer left beside is recognised and removed, other hidden files stay', (t) => {
  const folder = temporaryFolder(t)
  const aside = asidePath(join(folder, 'config.json'))
  writeFileSync(aside, 'half')
  writeFileSync(join(folder, '.mine.writing'), 'kept')
  clearAsides(folder)
  assert.deepEqual(readdirSync(folder), ['.mine.writing'])
  assert.equal(isAside('config.json'), false)
})

test('formatJson has a line for each key and reads back', () => {
  const value = { a: [['x', 1]], b: { c: null }, left: undefined }
  assert.equal(formatJson(value), '{\n  "a": [["x",1]],\n  "b": {"c":null}\n}\n')
  assert.equal(formatJson({}), '{}\n')
})

test('readJson: absent, not a file, not JSON, too large, endless', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'a.json')
  assert.equal(readJson(path), undefined)
  assertRefuses(() => readJson(folder), 'input', /not a file/)
  writeFileSync(path, '{"a":')
  assertRefuses(() => readJson(path), 'input', /a\.json is not valid JSON/)
  truncateSync(path, 17 * 1024 * 1024)
  assertRefuses(() => readJson(path), 'input', /16 MiB/)
  assertRefuses(() => readJson('/dev/zero'), 'input', /not a file/)
  execFileSync('mkfifo', [join(folder, 'pipe')])
  assertRefuses(() => readJson(join(folder, 'pipe')), 'input', /not a file/)
})
