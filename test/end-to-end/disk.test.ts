/** Disks without space or permission: refused at the start with nothing left behind, and in the middle with nothing lost. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { messageOf, refuse, start, succeed, tiny, workplace } from './command.ts'
import { keepFull, makeReadOnly, smallDisk } from './disk.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const search = [
  'search',
  'cifar10',
  '--data',
  data,
  ...tiny,
  '--set',
  'checkpoint.steps=1',
  '--epochs',
  '2',
  '--json',
]

before(() => writeImages(data, 16))
after(place.remove)

test('a disk that will not hold a run is refused, and nothing is made on it', async (t) => {
  const disk = smallDisk(t, 20)
  if (disk === undefined) return
  const out = join(disk, 'runs/new')
  await refuse([...search, '--out', out], 1, [
    /has 20 MB free|has 21 MB free/,
    /a run needs 5\d MB: free some or choose another --out/,
  ])
  assert.deepEqual(readdirSync(disk), [])
})

test('a disk that cannot be written is refused', async (t) => {
  const disk = smallDisk(t, 100)
  if (disk === undefined) return
  makeReadOnly(disk)
  const out = join(disk, 'runs/new')
  await refuse([...search, '--out', out], 1, [
    /cannot write .*\/runs: .*read-only; choose a folder that can be written/,
  ])
})

test('a disk that fills up in the middle: the last checkpoint is whole, and with space it goes on', async (t) => {
  const disk = smallDisk(t, 60)
  if (disk === undefined) return
  const out = join(disk, 'run')
  const { ended, line } = start([...search, '--out', out])
  await line(/"kind":"step"/, 2)
  const free = keepFull(disk)
  const how = await ended
  assert.equal(how.code, 1)
  assert.match(
    messageOf(how, search),
    /^cannot write \S+: no space left on the disk; free some or choose a folder on another disk$/,
  )
  const saved = RunFolder.open(out).loadCheckpoint()?.step ?? 0
  assert.ok(saved >= 2)
  assert.equal(existsSync(join(out, 'lock')), false)
  await refuse(['search', '--resume', out], 1, [/cannot write \S+: no space left on the disk/])
  free()
  await succeed(['search', '--resume', out, '--json'])
  const reference = join(place.path, 'reference')
  await succeed([...search, '--out', reference])
  assertSameRun(out, reference)
})
