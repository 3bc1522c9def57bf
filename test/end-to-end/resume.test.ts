/** Exact resume: killed at any moment or stopped by the user, a resumed search computes what one without a break does. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { RunFolder } from '../../src/runs/folder.ts'
import { type Ended, holding, messageOf, set, start, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, checkpointOf, metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const reference = join(place.path, 'reference')

/**
 * 5 steps an epoch, 15 in all: saved in every second step, in the middle of a window or at its end. Accuracy is measured in
 * many small batches, which take long enough to be interrupted.
 */
const settings = [...tiny, ...set('checkpoint.steps=2', 'evaluation.batch=4'), '--epochs', '3', '--json']

function begin(name: string, ...more: readonly string[]): { path: string; args: string[] } {
  const path = join(place.path, name)
  return { path, args: ['search', 'cifar10', '--data', data, '--out', path, ...settings, ...more] }
}

before(async () => {
  writeImages(data, 16)
  await succeed(begin('reference').args)
})
after(place.remove)

/**
 * Kills a search when it tells of its `count`th line of `kind`, counted from where it starts: behind that line, or, where it ends no
 * earlier, `delay` ms after.
 */
async function killAt(args: readonly string[], kind: string, count: number, delay = 0): Promise<void> {
  const { child, ended, release } = await startHeld(args, new RegExp(`^{"kind":"${kind}"`), count - 1)
  if (delay > 0) {
    release()
    await pause(delay)
  }
  child.kill('SIGKILL')
  const { code, stderr } = await ended
  assert.ok(code === null || (delay > 0 && code === 0), stderr)
}

test('the same seed gives the same run, another seed another one', async () => {
  const [again, other] = [begin('again'), begin('other', '--seed', '1', '--epochs', '1')]
  await succeed(again.args)
  assertSameRun(again.path, reference)
  await succeed(other.args)
  assert.notDeepEqual(metricsOf(other.path)[0], metricsOf(reference)[0])
  assert.notEqual(
    checkpointOf(other.path).files.get('weights.safetensors'),
    checkpointOf(reference).files.get('weights.safetensors'),
  )
})

test('killed before the first checkpoint, while one is written, within a step and after an epoch', async (t) => {
  const { path, args } = begin('killed')
  const resume = ['search', '--resume', path, '--json']
  const kills = [
    // The line of a step comes before its checkpoint is written.
    { kind: 'step', count: 1, delay: 0 },
    { kind: 'step', count: 2 + 2 * Math.floor(2 * Math.random()), delay: 10 * Math.random() },
    { kind: 'step', count: 1 + Math.floor(3 * Math.random()), delay: 100 * Math.random() },
    { kind: 'epoch', count: 1, delay: 30 * Math.random() },
  ]
  for (const [round, { kind, count, delay }] of kills.entries()) {
    await killAt(round === 0 ? args : resume, kind, count, delay)
    t.diagnostic(
      `killed ${delay} ms after ${kind} ${count}; then saved: ${RunFolder.open(path).checkpointSteps()}`,
    )
  }
  await succeed(resume)
  assertSameRun(path, reference)
  assert.deepEqual(RunFolder.open(path).checkpointSteps(), [14, 15])
  assert.deepEqual(
    readdirSync(path).filter((name) => name.startsWith('.') || name === 'lock'),
    [],
  )
})

/** What a stopped search says: how far it came, and the command that goes on, in words as a shell takes them. */
function stopped(ended: Ended): { step: number; command: string[] } {
  assert.equal(ended.code, 130)
  const message = messageOf(ended, ['--json'])
  const [, step = '', command = ''] =
    /^stopped after step (\d+), saved; go on with: npx ddsas (.*)$/.exec(message) ?? assert.fail(message)
  const words = execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' })
  return { step: Number(step), command: words.trimEnd().split('\n') }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  test(`${signal} saves, ends with 130 and says how to go on`, async () => {
    const { path, args } = begin(`it's a ${signal}`)
    const { child, ended, release } = await startHeld(args, /"kind":"step"/, 2)
    child.kill(signal)
    release()
    const { step, command } = stopped(await ended)
    assert.equal(checkpointOf(path).step, step)
    assert.equal(step, 3)
    await succeed([...command, '--json'])
    assertSameRun(path, reference)
  })

test('stopped while accuracy is measured, it does not wait, and measures again', async (t) => {
  const { path, args } = begin('evaluating')
  // no further than the next step
  const { options, variables, release } = holding(/"kind":"step"/, 5)
  const { child, ended, line } = start(args, undefined, variables, options)
  await line(/"kind":"step"/, 4)
  child.kill('SIGINT')
  release()
  const { step, command } = stopped(await ended)
  // On a busy machine the signal may come after the epoch's end.
  if (step === 5) assert.equal(metricsOf(path).at(-1)?.kind, 'step')
  else t.diagnostic(`stopped too late, after step ${step}`)
  await killAt([...command, '--json'], 'epoch', 1)
  await succeed([...command, '--json'])
  assertSameRun(path, reference)
})

test('a second Ctrl-C ends at once and leaves a run that can go on', async () => {
  const { path, args } = begin('twice')
  const { child, ended } = await startHeld(args, /"kind":"step"/)
  // It stands still. Two signals that come before the process is given time would be taken for one.
  const again = setInterval(() => child.kill('SIGINT'), 50)
  const { code, stderr, stdout } = await ended
  clearInterval(again)
  assert.deepEqual([code, stderr], [130, ''])
  assert.equal(stdout.match(/"kind":"step"/g)?.length, 1)
  await succeed(['search', '--resume', path, '--json'])
  assertSameRun(path, reference)
})

test('resumed from an earlier checkpoint, the later course is given up for good', async () => {
  const { path, args } = begin('earlier')
  const { child, ended, release } = await startHeld(args, /"kind":"step"/, 4)
  child.kill('SIGINT')
  release()
  await ended
  const [earlier = 0, later = 0] = RunFolder.open(path).checkpointSteps()
  assert.ok(earlier < later)
  await killAt(['search', '--resume', path, '--checkpoint', `${earlier}`, '--json'], 'start', 1, 0)
  assert.equal(RunFolder.open(path).checkpointSteps().at(-1), earlier)
  await succeed(['search', '--resume', path, '--json'])
  assertSameRun(path, reference)
})

test('a finished run has nothing left to do', async () => {
  const path = join(place.path, 'finished')
  cpSync(reference, path, { recursive: true })
  const out = await succeed(['search', '--resume', path, '--json'])
  const kinds = out
    .trimEnd()
    .split('\n')
    .map((text) => /"kind":"(\w+)"/.exec(text)?.[1])
  assert.deepEqual(kinds, ['start', 'result'])
  assertSameRun(path, reference)
})
