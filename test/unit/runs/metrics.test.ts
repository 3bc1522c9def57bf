/** The append-only metrics file: torn lines, cutting on resume, and files from outside. */
import assert from 'node:assert/strict'
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { MetricsFile } from '../../../src/runs/metrics.ts'
import { assertRefuses, temporaryFolder } from './temporary.ts'

function metricsFile(t: TestContext): MetricsFile {
  return new MetricsFile(join(temporaryFolder(t), 'metrics.jsonl'))
}

test('append writes one line each, read returns them in order', (t) => {
  const metrics = metricsFile(t)
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
      assert.deepEqual(new MetricsFile(path).read(), whole)
      new MetricsFile(path).append({ next: true })
      assert.deepEqual(new MetricsFile(path).read(), [...whole, { next: true }])
    }),
    { numRuns: 200 },
  )
})

test('a torn line longer than one read window is dropped', (t) => {
  const metrics = metricsFile(t)
  for (const [before, after] of [
    ['', []],
    ['{"a":1}\n', [{ a: 1 }]],
  ] as const) {
    writeFileSync(metrics.path, `${before}{"long":"${'x'.repeat(200_000)}`)
    new MetricsFile(metrics.path).append({ b: 2 })
    assert.deepEqual(metrics.read(), [...after, { b: 2 }])
  }
})

test('truncate keeps the first bytes, also a torn end goes, and leaves nothing beside', (t) => {
  const metrics = metricsFile(t)
  metrics.append({ step: 1 })
  const bytes = metrics.bytes
  metrics.append({ step: 2 })
  appendFileSync(metrics.path, '{"step":3')
  metrics.truncate(bytes)
  assert.deepEqual(metrics.read(), [{ step: 1 }])
  metrics.truncate(bytes)
  metrics.append({ step: 2, again: true })
  assert.deepEqual(metrics.read(), [{ step: 1 }, { step: 2, again: true }])
  metrics.truncate(0)
  assert.equal(metrics.bytes, 0)
  assert.deepEqual(readdirSync(join(metrics.path, '..')), ['metrics.jsonl'])
})

test('truncate refuses growing, odd counts and a cut inside a line', (t) => {
  const metrics = metricsFile(t)
  metrics.truncate(0)
  assertRefuses(() => metrics.truncate(1), 'checkpoint', /has 0 bytes, the checkpoint needs 1/)
  metrics.append({ step: 1 })
  const size = metrics.bytes
  assertRefuses(() => metrics.truncate(size + 1), 'checkpoint', /metrics\.jsonl has \d+ bytes/)
  for (const odd of [-1, 0.5, Number.NaN])
    assertRefuses(() => metrics.truncate(odd), 'checkpoint', /cannot be cut/)
  assertRefuses(() => metrics.truncate(3), 'checkpoint', /no end of a line at byte 3/)
  assert.equal(metrics.bytes, size)
})

test('a line that is no JSON object is named', (t) => {
  const metrics = metricsFile(t)
  for (const line of ['nonsense', '[1]', 'null', '12', '"a"']) {
    writeFileSync(metrics.path, `{"a":1}\n${line}\n{"b":2}\n`)
    assertRefuses(() => metrics.read(), 'data', /metrics\.jsonl line 2 is not a JSON object/)
  }
})
