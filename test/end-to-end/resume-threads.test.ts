/**
 * Exact resume on all threads of the machine, with the variant `paper` and across a shrink; and what another number of threads
 * does to the numbers: ATen's batch norm of the stem adds up a part for each thread, so that they round otherwise from then on.
 */
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { set, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, checkpointOf, metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const shrink = JSON.stringify([{ epoch: 1, change: { kind: 'shrink', count: 20 } }])

/** 5 steps an epoch: windows of four lie across the beginning of the second, where the space shrinks, and of the third. */
const settings = [
  ...tiny,
  ...set('ddsas.window=4', 'ddsas.variant=paper', `ddsas.changes=${shrink}`, 'checkpoint.steps=2'),
  '--epochs',
  '3',
  '--json',
]

function begin(name: string, threads: number): { path: string; args: string[] } {
  const path = join(place.path, name)
  const own = ['--out', path, '--threads', `${threads}`]
  return { path, args: ['search', 'cifar10', '--data', data, ...settings, ...own] }
}

before(() => {
  writeImages(data, 16)
})
after(place.remove)

/** Kills a run behind the line with which it tells of its `count`th line of `kind` from where it starts. */
async function killAt(args: readonly string[], kind: string, count: number): Promise<void> {
  const { child, ended } = await startHeld(args, new RegExp(`^{"kind":"${kind}"`), count - 1)
  child.kill('SIGKILL')
  await ended
}

test('all threads, paper: killed before, at and after a shrink, in the window across it, it ends bit for bit', async (t) => {
  const threads = availableParallelism()
  const reference = begin('reference', threads)
  await succeed(reference.args)
  const { path, args } = begin('killed', threads)
  const resume = ['search', '--resume', path, '--json']
  const kills = [
    { kind: 'step', count: 3 },
    { kind: 'epoch', count: 1 },
    { kind: 'space', count: 1 },
    { kind: 'step', count: 2 },
    { kind: 'step', count: 3 },
  ]
  for (const [round, { kind, count }] of kills.entries()) {
    await killAt(round === 0 ? args : resume, kind, count)
    t.diagnostic(`killed at ${kind} ${count}; then saved: ${RunFolder.open(path).checkpointSteps()}`)
  }
  await succeed(resume)
  assertSameRun(path, reference.path)
  const changes = metricsOf(path).filter(({ kind }) => kind === 'space')
  assert.deepEqual(
    changes.map(({ epoch, globalStep }) => [epoch, globalStep]),
    [[1, 5]],
  )
})

test('resumed with other threads: what was done stays, what follows is rounded otherwise and again exact', async () => {
  const threads = Math.max(2, availableParallelism())
  const { path, args } = begin('one', 1)
  await killAt(args, 'step', 6)
  // not the run that was killed: each of these goes on from the same place
  const [alone, one, other] = ['alone', 'more', 'again'].map((name) => {
    const copy = join(place.path, name)
    cpSync(path, copy, { recursive: true })
    return copy
  })
  const done = checkpointOf(path).step
  await succeed(['search', '--resume', alone, '--json'])
  for (const run of [one, other]) {
    const printed = await succeed(['search', '--resume', run, '--threads', `${threads}`, '--json'])
    assert.deepEqual(JSON.parse(printed.slice(0, printed.indexOf('\n'))).notes, [
      `threads is ${threads}, the run began with 1`,
    ])
  }
  assertSameRun(one, other)
  const [wanted, own] = [alone, one].map((run) =>
    metricsOf(run).flatMap((line) => (line.kind === 'step' ? [line] : [])),
  )
  assert.deepEqual(own.slice(0, done), wanted.slice(0, done))
  const loss = (line: Record<string, unknown>) => Number((line.valid as { loss: number }).loss)
  const [first, firstWanted] = [own, wanted].map((lines) => loss(lines[done]))
  assert.ok(Math.abs(first - firstWanted) <= 1e-5 * firstWanted, `${first}, on one thread ${firstWanted}`)
})
