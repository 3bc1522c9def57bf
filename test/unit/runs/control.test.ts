/** The queue of changes by hand and their record: order, many that ask at once, what is damaged, what lies there besides. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { RunControl } from '../../../src/runs/control.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

test('requests wait in the order in which they came, and go one by one', (t) => {
  const control = new RunControl(temporaryFolder(t))
  assert.deepEqual(control.waiting(), [])
  const ids = Array.from({ length: 20 }, (_, count) => control.ask({ kind: 'shrink', count }))
  assert.equal(new Set(ids).size, 20)
  assert.deepEqual(
    control.waiting(),
    ids.map((id, count) => ({ id, change: { kind: 'shrink', count } })),
  )
  control.remove(ids[3])
  control.remove(ids[3])
  assert.deepEqual(
    control.waiting().map(({ id }) => id),
    ids.filter((_, index) => index !== 3),
  )
})

test('of processes that ask at once none loses a request', async (t) => {
  const folder = temporaryFolder(t)
  const module = join(import.meta.dirname, '../../../src/runs/control.ts')
  const script = `import { RunControl } from ${JSON.stringify(module)}
    const control = new RunControl(${JSON.stringify(folder)})
    for (let i = 0; i < 10; i++) control.ask({ from: process.pid, i })`
  const args = ['--input-type=module', '--eval', script]
  await Promise.all([1, 2].map(() => promisify(execFile)(process.execPath, args)))
  const waiting = new RunControl(folder).waiting()
  assert.equal(new Set(waiting.map(({ change }) => JSON.stringify(change))).size, 20)
})

test('no more than a hundred wait', (t) => {
  const control = new RunControl(temporaryFolder(t))
  for (let i = 0; i < 100; i++) control.ask({ i })
  assertRefuses(() => control.ask({}), 'input', /holds 100 requests that wait/)
  assert.equal(control.waiting().length, 100)
})

test('what is no request is told with its problem, and what a killed process left half-written is not seen', (t) => {
  const folder = temporaryFolder(t)
  const control = new RunControl(folder)
  const queue = join(folder, 'control')
  mkdirSync(queue)
  const name = (digit: number) => `${String(digit).padStart(17, '0')}-0123abcd`
  writeFileSync(join(queue, `${name(1)}.json`), '{"kind":')
  writeFileSync(join(queue, `${name(2)}.json`), JSON.stringify('x'.repeat(70_000)))
  mkdirSync(join(queue, `${name(3)}.json`))
  writeFileSync(join(queue, `.${name(4)}.json.01234567.writing`), '{}')
  writeFileSync(join(queue, 'notes.json'), '{}')
  const waiting = control.waiting()
  assert.deepEqual(
    waiting.map(({ id, change }) => [id, change]),
    [1, 2, 3].map((digit) => [name(digit), undefined]),
  )
  for (const { problem } of waiting) assert.match(problem ?? '', /JSON|MiB|not a file/)
  for (const { id } of waiting) control.remove(id)
  assert.deepEqual(control.waiting(), [])
  assert.equal(readdirSync(queue).length, 2)
})

test('the record is read as it was written; one that is damaged is refused', (t) => {
  const folder = temporaryFolder(t)
  const control = new RunControl(folder)
  assert.deepEqual(control.records(), [])
  const made = [3, 3, 1].map((globalStep, i) => ({ id: `id ${i}`, globalStep, change: { kind: 'shrink' } }))
  for (const record of made) control.record(record)
  assert.deepEqual(control.records(), made)
  for (const [line, pattern] of [
    ['{"id":"a","globalStep":-1,"change":{}}', /line 1 is no change by hand: globalStep/],
    ['{"id":"a","globalStep":1}', /change: is missing/],
    ['[]', /line 1 is not a JSON object/],
  ] as const) {
    writeFileSync(join(folder, 'control.jsonl'), `${line}\n`)
    assertRefuses(() => control.records(), 'data', pattern)
  }
})
