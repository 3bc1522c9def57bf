/** windows.jsonl of whole searches: what they decided, the same to the byte after a kill, and lost without losing the run. */
import assert from 'node:assert/strict'
import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { RunFolder } from '../../src/runs/folder.ts'
import { readWindows } from '../../src/search/windows.ts'
import { set, startHeld, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const reference = join(place.path, 'reference')
const stopped = join(place.path, 'stopped')

/** 5 steps an epoch, 15 in all, windows of 3; saved within the window from step 5 to 8. */
const saved = 7
const known = 2
const settings = [...tiny, ...set(`checkpoint.steps=${saved}`), '--epochs', '3']
const begin = (path: string, ...more: readonly string[]) => [
  ...['search', 'cifar10', '--data', data, '--out', path, ...settings, '--json'],
  ...more,
]
const resume = (path: string) => ['search', '--resume', path, '--checkpoint', `${saved}`, '--json']

before(async () => {
  writeImages(data, 16)
  await succeed(begin(reference))
  const { child, ended } = await startHeld(begin(stopped), /^{"kind":"step"/, saved)
  child.kill('SIGKILL')
  await ended
})
after(place.remove)

const textOf = (run: string) => readFileSync(join(run, 'windows.jsonl'), 'utf8')
const linesOf = (run: string) => textOf(run).split('\n').slice(0, -1)

/** A copy of the killed run, to be gone on with from the checkpoint within a window. */
function copy(name: string): string {
  const path = join(place.path, name)
  cpSync(stopped, path, { recursive: true })
  rmSync(join(path, 'lock'), { force: true })
  assert.ok(RunFolder.open(path).checkpointSteps().includes(saved))
  return path
}

for (const [profile, opens, credited] of [
  ['authors-code', [0, 3, 5, 8, 10, 13], false],
  ['paper', [0, 3, 6, 9, 12], true],
] as const)
  test(`${profile}: a line for each window, the last one marked, with the cell of genotype.json`, async () => {
    const path = profile === 'authors-code' ? reference : join(place.path, profile)
    if (path !== reference) await succeed(begin(path, ...set(`ddsas.variant=${profile}`)))
    const run = RunFolder.open(path)
    const windows = [...readWindows(run)]
    assert.deepEqual(
      windows.map(({ opened, closed }) => [opened, closed]),
      opens.map((opened, i) => [opened, opens[i + 1] ?? 15]),
    )
    const marks = windows.map((window) => [window.last, window.credited])
    assert.deepEqual(marks, [...opens.slice(1).map(() => [false, true]), [true, credited]])
    assert.deepEqual(windows.at(-1)?.architecture, run.readGenotype())
    for (const { groups } of windows) assert.deepEqual(Object.keys(groups), ['normal', 'reduce'])
  })

test('killed within a window and resumed, also after half a line, the file is that of a search without a break', async () => {
  const run = copy('killed')
  const whole = linesOf(run)
  assert.ok(whole.length >= known && textOf(reference).startsWith(textOf(run)))
  appendFileSync(join(run, 'windows.jsonl'), '{"epoch":1,"ope')
  await succeed(resume(run))
  assert.ok(textOf(run) === textOf(reference))
  assertSameRun(run, reference)
  // what is done again after the last checkpoint, the end of the last window, is written once
  await succeed(['search', '--resume', run, '--json'])
  assert.ok(textOf(run) === textOf(reference))
})

const startSchema = z.looseObject({ kind: z.literal('start'), warnings: z.array(z.string()) })

for (const [name, left] of [
  ['lost', undefined],
  ['shortened', 1000],
] as const)
  test(`a file that was ${name} is no reason to lose the run: a new one begins, and it says so`, async () => {
    const run = copy(name)
    const path = join(run, 'windows.jsonl')
    const bytes = linesOf(run).slice(0, known).join('\n').length + 1
    if (left === undefined) rmSync(path)
    else truncateSync(path, left)
    const [first] = (await succeed(resume(run))).split('\n')
    const rest = left === undefined ? '' : ', what was left of it is windows.jsonl.lost'
    assert.deepEqual(startSchema.parse(JSON.parse(first)).warnings.slice(0, 1), [
      `windows.jsonl had ${left ?? 0} bytes, the checkpoint knows ${bytes}: a new one begins here${rest}`,
    ])
    assert.equal(existsSync(`${path}.lost`), left !== undefined)
    assert.deepEqual(linesOf(run), linesOf(reference).slice(known))
    const again = await succeed(['search', '--resume', run])
    assert.doesNotMatch(again, /windows\.jsonl/)
    assert.deepEqual(linesOf(run), linesOf(reference).slice(known))
  })
