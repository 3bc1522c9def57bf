/** A run folder as a whole: making, opening and what it refuses. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { RunFolder } from '../../../src/runs/folder.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

test('create writes the config, open reads it', (t) => {
  const path = join(temporaryFolder(t), 'deep', 'run')
  const run = RunFolder.create(path, { seed: 7, space: 'darts' })
  assert.deepEqual(readdirSync(path), ['config.json'])
  assert.deepEqual(RunFolder.open(path).config, { seed: 7, space: 'darts' })
  assert.equal(run.path, path)
  assert.equal(run.loadCheckpoint(), undefined)
  assert.deepEqual(run.checkpointSteps(), [])
  assert.deepEqual(run.readMetrics(), [])
  assert.equal(run.readGenotype(), undefined)
})

test('create takes an empty folder and one where a kill hit create, nothing else', (t) => {
  const path = temporaryFolder(t)
  writeFileSync(join(path, '.config.json.0123abcd.writing'), '{"se')
  RunFolder.create(path, {})
  assert.deepEqual(readdirSync(path), ['config.json'])
  assertRefuses(() => RunFolder.create(path, {}), 'input', /is not empty; choose another --out, or --resume/)
  const file = join(path, 'config.json')
  assertRefuses(() => RunFolder.create(file, {}), 'input', /is a file; choose another --out/)
  assertRefuses(() => RunFolder.create(join(file, 'below'), {}), 'disk', /cannot write .*below/)
})

test('createFree takes the first path that is free; a disk error is not tried again', (t) => {
  const path = join(temporaryFolder(t), 'run')
  const made = [0, 1, 2].map(() => RunFolder.createFree(path, {}).path)
  assert.deepEqual(made, [path, `${path}-2`, `${path}-3`])
  writeFileSync(`${path}-4`, '')
  assert.equal(RunFolder.createFree(path, {}).path, `${path}-5`)
  assertRefuses(() => RunFolder.createFree(join(path, 'config.json', 'run'), {}), 'disk', /cannot write/)
})

test('open says what is wrong', (t) => {
  const folder = temporaryFolder(t)
  const config = join(folder, 'config.json')
  assertRefuses(
    () => RunFolder.open(join(folder, 'none')),
    'input',
    /none does not exist; name the folder of a run/,
  )
  assertRefuses(() => RunFolder.open(folder), 'input', /is not a run: it has no config\.json/)
  writeFileSync(config, '{"seed": 1')
  assertRefuses(() => RunFolder.open(folder), 'input', /config\.json is not valid JSON/)
  for (const text of ['[1]', 'null', '3']) {
    writeFileSync(config, text)
    assertRefuses(() => RunFolder.open(folder), 'input', /config\.json is not a JSON object/)
  }
  assertRefuses(() => RunFolder.open(config), 'input', /is not a folder/)
})

test('genotype and drawings', (t) => {
  const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
  run.writeGenotype({ normal: [['sep_conv_3x3', 0]], normal_concat: [2] })
  assert.equal(
    readFileSync(join(run.path, 'genotype.json'), 'utf8'),
    '{\n  "normal": [["sep_conv_3x3",0]],\n  "normal_concat": [2]\n}\n',
  )
  assert.deepEqual(run.readGenotype(), { normal: [['sep_conv_3x3', 0]], normal_concat: [2] })
  const paths = run.writeCell('normal', '<svg/>', Uint8Array.of(137))
  assert.deepEqual(
    paths.map((path) => readFileSync(path).length),
    [6, 1],
  )
  assert.deepEqual(readdirSync(join(run.path, 'cells')), ['normal.png', 'normal.svg'])
})

test('opening and reading change nothing, the lock clears what a kill left', (t) => {
  const run = RunFolder.create(join(temporaryFolder(t), 'run'), {})
  run.saveCheckpoint(1, { 'a.json': '{}' })
  const writing = join(run.path, 'checkpoints', '.writing-00000002')
  const aside = join(run.path, '.genotype.json.00ff00ff.writing')
  mkdirSync(writing)
  writeFileSync(join(writing, 'a.json'), '{')
  writeFileSync(aside, '{')
  const other = RunFolder.open(run.path)
  assert.equal(other.loadCheckpoint()?.step, 1)
  assert.ok(existsSync(writing) && existsSync(aside), 'another process may be writing them now')
  const release = other.lock()
  assert.ok(!existsSync(writing) && !existsSync(aside))
  assertRefuses(() => run.lock(), 'input', /held by process/)
  release()
  run.lock()()
  assert.equal(existsSync(join(run.path, 'lock')), false)
})

/** Root may read and write everything, so that `body` has the rights of nobody. */
function withoutRights(path: string, body: () => void): void {
  if (process.getuid?.() === 0) {
    const nobody = 65_534
    chownSync(path, nobody, nobody)
    process.seteuid?.(nobody)
  }
  try {
    body()
  } finally {
    if (process.getuid?.() === 0) process.seteuid?.(0)
  }
}

test('a folder without permission', (t) => {
  if (process.getuid?.() === 0 && (statSync(tmpdir()).mode & 0o001) === 0)
    return t.skip(`${tmpdir()} is root's alone, so that nobody else finds a folder in it`)
  const folder = temporaryFolder(t)
  withoutRights(folder, () => {
    const run = RunFolder.create(join(folder, 'run'), {})
    chmodSync(run.path, 0o500)
    assertRefuses(() => run.appendMetrics({}), 'disk', /permission denied/)
    chmodSync(run.path, 0)
    assertRefuses(() => RunFolder.open(run.path), 'input', /permission denied/)
    chmodSync(run.path, 0o700)
  })
})
