/** The append-only log: torn lines, cutting on resume, and files from outside. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { LogFile } from '../../../src/runs/log-file.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

function logFile(t: TestContext): LogFile {
  return new LogFile(join(temporaryFolder(t), 'metrics.jsonl'))
}

test('append writes one line each, read returns them in order', (t) => {
  const metrics = logFile(t)
  assert.deepEqual(metrics.read(), [])
  assert.equal(metrics.bytes, 0)
  metrics.append({ step: 1, loss: 2.5 })
  metrics.append({ step: 2, text: 'a\nb — ü' })
  assert.deepEqual(metrics.read(), [
    { step: 1, loss: 2.5 },
    { step: 2, text: 'a\nb — ü' },
  ])
  assert.equal(readFileSync(metrics.path, 'utf8').split('\n').length, 3)
  assert.equal(metrics.bytes, statSync(metrics.path).size)
})

test('property: cut at any byte, the whole lines before it are read and the next line stays readable', (t) => {
  const path = join(temporaryFolder(t), 'metrics.jsonl')
  const records = fc.array(
    fc.dictionary(fc.string({ minLength: 1 }), fc.double({ noNaN: true }).map(Math.fround)),
  )
  fc.assert(
    fc.property(records, fc.nat(), (written, at) => {
      const expected = written.map((record) => JSON.parse(JSON.stringify(record)))
      const lines = expected.map((record) => `${JSON.stringify(record)}\n`)
      const bytes = Buffer.from(lines.join(''))
      const cut = bytes.subarray(0, at % (bytes.length + 1))
      writeFileSync(path, cut)
      const whole = expected.slice(0, cut.filter((byte) => byte === 10).length)
      assert.deepEqual(new LogFile(path).read(), whole)
      new LogFile(path).append({ next: true })
      assert.deepEqual(new LogFile(path).read(), [...whole, { next: true }])
    }),
    { numRuns: 200 },
  )
})

test('a torn line longer than one read window is dropped', (t) => {
  const metrics = logFile(t)
  for (const [before, after] of [
    ['', []],
    ['{"a":1}\n', [{ a: 1 }]],
  ] as const) {
    writeFileSync(metrics.path, `${before}{"long":"${'x'.repeat(200_000)}`)
    new LogFile(metrics.path).append({ b: 2 })
    assert.deepEqual(metrics.read(), [...after, { b: 2 }])
  }
})

test('resumed at a length it keeps the first bytes, also a torn end goes, and leaves nothing beside', (t) => {
  const metrics = logFile(t)
  metrics.append({ step: 1 })
  const bytes = metrics.bytes
  metrics.append({ step: 2 })
  appendFileSync(metrics.path, '{"step":3')
  assert.equal(metrics.resumeAt(bytes), undefined)
  assert.deepEqual(metrics.read(), [{ step: 1 }])
  assert.equal(metrics.resumeAt(bytes), undefined)
  metrics.append({ step: 2, again: true })
  assert.deepEqual(metrics.read(), [{ step: 1 }, { step: 2, again: true }])
  assert.equal(metrics.resumeAt(0), undefined)
  assert.equal(metrics.bytes, 0)
  assert.deepEqual(readdirSync(join(metrics.path, '..')), ['metrics.jsonl'])
})

test('resumed where the bytes are not as a checkpoint knew them, a new one begins, and it says so', (t) => {
  const metrics = logFile(t)
  assert.equal(metrics.resumeAt(0), undefined)
  assert.match(
    metrics.resumeAt(1) ?? '',
    /^metrics\.jsonl had 0 bytes, the checkpoint knows 1: a new .* here$/,
  )
  for (const odd of [1, 0, -3, Number.NaN]) {
    metrics.append({ step: 1 })
    // longer than the file, in the middle of its last line, before its beginning
    const said = metrics.resumeAt(odd === 0 ? metrics.bytes - 2 : odd === 1 ? metrics.bytes + 1 : odd)
    assert.match(
      said ?? '',
      /had 11 bytes, .*: a new one begins here, what was left of it is metrics\.jsonl\.lost/,
    )
    assert.equal(readFileSync(`${metrics.path}.lost`, 'utf8'), '{"step":1}\n')
    assert.deepEqual(metrics.read(), [])
  }
})

test('lines come one by one with their places, whatever their lengths', (t) => {
  const log = logFile(t)
  const lengths = [0, 1, 65_518, 65_519, 65_520, 65_521, 200_000, 3]
  for (const length of lengths) log.append({ text: 'x'.repeat(length) })
  appendFileSync(log.path, '{"torn":')
  const found = [...log.lines()].map(({ where, record }) => [where, String(record.text).length])
  assert.deepEqual(
    found,
    lengths.map((length, i) => [`${log.path} line ${i + 1}`, length]),
  )
  const some = log.lines()
  assert.equal(some.next().done, false)
  some.return(undefined)
})

test('an endless line, a folder and a pipe are refused', (t) => {
  const log = logFile(t)
  writeFileSync(log.path, 'x'.repeat(17 * 2 ** 20))
  assertRefuses(() => [...log.lines()], 'data', /has a line of more than 16 MiB/)
  const pipe = new LogFile(join(temporaryFolder(t), 'pipe'))
  execFileSync('mkfifo', [pipe.path])
  for (const { path } of [pipe, new LogFile(temporaryFolder(t))])
    assertRefuses(() => [...new LogFile(path).lines()], 'data', /is not a file/)
})

test('a line that is no JSON object is named', (t) => {
  const metrics = logFile(t)
  for (const line of ['nonsense', '[1]', 'null', '12', '"a"']) {
    writeFileSync(metrics.path, `{"a":1}\n${line}\n{"b":2}\n`)
    assertRefuses(() => metrics.read(), 'data', /metrics\.jsonl line 2 is not a JSON object/)
  }
})
