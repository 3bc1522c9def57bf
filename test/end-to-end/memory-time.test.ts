/** `--memory` and `--time`: a search that keeps to both, is resumed exactly, and what is refused. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { refuse, set, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const begin = (name: string) => [
  'search',
  'nasbench201',
  '--data',
  data,
  '--out',
  join(place.path, name),
  ...tiny,
]

before(() => writeImages(data, 12))
after(place.remove)

test('--memory: subspaces by memory, told at the beginning, recorded, and resumed exactly', async () => {
  const whole = join(place.path, 'whole')
  const args = [...set('checkpoint.steps=2'), '--memory', '800MiB', '--epochs', '1']
  const text = await succeed([...begin('whole'), ...args])
  assert.match(text, /\n3 cells of 4 channels, L by memory, M = 3, variant authors-code, seed 0\n/)
  assert.match(text, /\nmemory: \d+ MiB for tensors:\n {2}subspace of \d+ cell operations\n/)
  assert.ok(text.split('\n').every((line) => line.length < 80 || !line.startsWith('memory')))
  const run = RunFolder.open(whole)
  const windows = run.readMetrics().filter(({ kind }) => kind === 'memory')
  assert.deepEqual(
    windows.map(({ globalStep }) => globalStep),
    [1, 4],
  )
  const step = run.checkpointSteps()[0]
  await succeed(['search', '--resume', whole, '--checkpoint', String(step), '--json'])
  // measured anew, and foretold the same
  await succeed([...begin('again'), ...args, '--json'])
  assertSameRun(whole, join(place.path, 'again'))
})

test('what cannot be met is refused before anything is written, with the nearest that can', async () => {
  const out = join(place.path, 'refused')
  const refused = (options: readonly string[], message: RegExp) =>
    refuse([...begin('refused'), ...options], 2, [message])
  await refused(
    ['--memory', '100MB'],
    /^ddsas: --memory 95 MiB: the process takes up to 800 MiB when it draws the cell in the end: use that or more$/m,
  )
  await refused(
    ['--time', '1s', ...set('data.images=0')],
    /^ddsas: --time 1s: one epoch takes about \w+ here: the nearest that can be met is --time \w+; /m,
  )
  await refused(
    ['--time', '2h', '--epochs', '3'],
    /^ddsas: --time says how many epochs there are: leave out --epochs 3$/m,
  )
  await refused(['--time', 'soon'], /a time is wanted, such as 2h, 90m, 1h30m or 45s/)
  await refused(['--memory', 'much'], /a size is wanted, such as 4GB or "512 MiB"/)
  assert.ok(!existsSync(out))
})
