/** A disk that is really full: a small file system in memory, mounted when the tests run as root. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { EventWriter } from '../../../src/runs/events.ts'
import { writeFileAtomic } from '../../../src/runs/files.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { assertRefuses } from './temporary.ts'

/** Mounts 256 KiB; undefined, after skipping the test with the reason, where that is not possible. */
function smallDisk(t: TestContext): string | undefined {
  const path = mkdtempSync(join(tmpdir(), 'ddsas-disk-'))
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', path], { encoding: 'utf8' })
  t.after(() => {
    if (mount.status === 0) spawnSync('umount', [path])
    rmSync(path, { recursive: true, force: true })
  })
  if (mount.status === 0) return path
  t.skip(`cannot mount a tmpfs: ${mount.error?.message ?? mount.stderr.split('\n')[0]}`)
  return undefined
}

/** Fills the disk to the last byte; returns the function that frees it again. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler')
  writeFileSync(path, '')
  try {
    for (;;) writeFileSync(path, Buffer.alloc(512), { flag: 'a' })
  } catch {
    return () => rmSync(path)
  }
}

test('files, metrics and events on a full disk: an error with the remedy, nothing lost, and on it goes', (t) => {
  const disk = smallDisk(t)
  if (disk === undefined) return
  const run = RunFolder.create(join(disk, 'run'), { a: 1 })
  const events = new EventWriter(run.path)
  for (let step = 0; step < 30; step++) run.appendMetrics({ step, text: 'x'.repeat(123) })
  const free = fill(disk)
  const full = /no space left on the disk; free some or choose a folder on another disk/
  const big = { text: 'y'.repeat(8192) }
  assertRefuses(() => writeFileAtomic(join(run.path, 'config.json'), big.text), 'disk', /config\.json/, full)
  assertRefuses(() => run.appendMetrics(big), 'disk', /metrics\.jsonl/, full)
  assertRefuses(() => run.appendMetrics(big), 'disk', /metrics\.jsonl/, full)
  const many = () => {
    for (let step = 0; step < 1000; step++) events.scalars(step, { loss: 1 })
  }
  assertRefuses(many, 'disk', /events\.out\.tfevents/, full)
  assert.deepEqual(RunFolder.open(run.path).config, { a: 1 })
  assert.equal(run.readMetrics().length, 30)
  free()
  run.appendMetrics({ step: 30 })
  assert.deepEqual(run.readMetrics().at(-1), { step: 30 })
  assert.equal(run.readMetrics().length, 31)
  events.close()
  assert.ok(!readdirSync(run.path).some((name) => name.startsWith('.')))
})

test('a checkpoint on a full disk: the ones before stay, the half-written one goes', (t) => {
  const disk = smallDisk(t)
  if (disk === undefined) return
  const run = RunFolder.create(join(disk, 'run'), {})
  run.saveCheckpoint(1, { 'a.bin': Buffer.alloc(50_000, 1) })
  run.saveCheckpoint(2, { 'a.bin': Buffer.alloc(50_000, 2) })
  const tooLarge = () =>
    run.saveCheckpoint(3, { 'a.bin': Buffer.alloc(50_000, 3), 'b.bin': Buffer.alloc(200_000) })
  assertRefuses(tooLarge, 'disk', /checkpoints\/00000003: no space left on the disk/)
  assert.deepEqual(run.checkpointSteps(), [1, 2])
  assert.equal(run.loadCheckpoint()?.files.get('a.bin')?.[0], 2)
  assert.equal(run.loadCheckpoint(1)?.files.get('a.bin')?.[0], 1)
  assert.deepEqual(readdirSync(join(run.path, 'checkpoints')), ['00000001', '00000002'])
  run.saveCheckpoint(3, { 'a.bin': Buffer.alloc(50_000, 3) })
  assert.equal(run.loadCheckpoint()?.step, 3)
})

test('a read-only disk can be read, and writing is an error with the remedy', (t) => {
  const disk = smallDisk(t)
  if (disk === undefined) return
  const run = RunFolder.create(join(disk, 'run'), {})
  run.saveCheckpoint(1, { 'a.json': '{}' })
  spawnSync('mount', ['-o', 'remount,ro', disk])
  const writes = [
    () => run.lock(),
    () => run.appendMetrics({}),
    () => run.writeGenotype({}),
    () => run.saveCheckpoint(2, {}),
    () => new EventWriter(run.path),
    () => RunFolder.create(join(disk, 'new'), {}),
  ]
  for (const write of writes) assertRefuses(write, 'disk', /read-only; choose a folder that can be written/)
  assert.equal(RunFolder.open(run.path).loadCheckpoint()?.step, 1)
})
