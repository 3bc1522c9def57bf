/** Tables, results as files, and what a text says of them. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { benchmarks } from '../../../bench/benchmarks.ts'
import { codeText, type Machine, machineName } from '../../../bench/machine.ts'
import { readResults, resultsLines, shownLines, writeResults } from '../../../bench/results.ts'
import { spreadText, turnsText } from '../../../bench/spread.ts'
import { tableLines } from '../../../bench/table.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

const machine: Machine = {
  processor: 'A',
  ...{ cores: 2, memoryGiB: 8, node: 'v20', libtorch: '1.13.1', cpuCapability: 'AVX2', kernels: 'avx2' },
  ...{ threads: 1, commit: '0123456789', changed: false, date: '2026-01-31' },
}
const spread = { median: 0.5, quartiles: [0.4, 0.75] as const, turns: 7 }
const step = {
  shape: { channels: 16, cells: 8, batch: 64, subspace: 28 },
  speedupNchw: 10,
  speedupChannelsLast: 4.25,
  memoryRatio: 0.305,
  dataShare: 0.001,
  timings: ['ours', 'plain, NCHW', 'plain, channels last'].map((name, i) => ({
    name,
    ...spread,
    median: 0.5 * (i + 1),
    peak: 2 ** 20 * (i + 1),
  })),
}

test('columns of a table are as wide as their widest cell; figures stand on the right', () => {
  const lines = tableLines({
    title: 'T',
    columns: ['', 'seconds'],
    rows: [
      ['ours', '1'],
      ['a', '12345678'],
    ],
  })
  assert.deepEqual(lines, [
    'T',
    '',
    '|      |  seconds |',
    '| ---- | -------: |',
    '| ours |        1 |',
    '| a    | 12345678 |',
  ])
})

test('results are written under the name of the machine and read again as they were', (t) => {
  const folder = join(temporaryFolder(t), 'new')
  const results = { machine, reports: { step } }
  assert.equal(writeResults(folder, results), join(folder, 'cpu-2-avx2-1.13.1.json'))
  assert.deepEqual(readResults(folder), new Map([[machineName(machine), results]]))
  assert.deepEqual(readResults(join(folder, 'none')), new Map())
})

test('what a text says of results: machine, code, figures and charts of each', () => {
  assert.match(resultsLines(new Map(), benchmarks, 'results')[0], /^No results yet/)
  const text = resultsLines(new Map([['x', { machine, reports: { step } }]]), benchmarks, 'results').join(
    '\n',
  )
  assert.match(
    text,
    /### x\n\nA, 2 cores, kernels avx2, libtorch 1\.13\.1, 1 thread, .*; commit `0123456`, 2026-01-31\./,
  )
  assert.match(text, /L = 28, 7 turns\n/)
  assert.match(text, /\| ours +\| 0\.500 \(0\.400 … 0\.750\) \| +1 \|/)
  assert.match(text, /plain NCHW 10\.00 x, than plain channels last 4\.25 x; peak memory 0\.305/)
  assert.match(text, /!\[step\]\(results\/x-step\.svg\)/)
  assert.equal(codeText({ ...machine, changed: true }), 'commit `0123456` with changes, 2026-01-31')
})

test('a spread as text, and how many turns it took', () => {
  assert.equal(spreadText(spread, 1000, 0), '500 (400 … 750)')
  assert.equal(turnsText([spread, { turns: 7 }]), '7 turns')
  assert.equal(turnsText([spread, { turns: 15 }, { turns: 5 }]), '5 to 15 turns')
})

test('a file that holds no results, a report of another kind', (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'x.json'), '{"machine": 3}')
  assertRefuses(() => readResults(folder), 'data', /x\.json holds no results; measure them again/)
  const { step: benchmark } = benchmarks
  assertRefuses(
    () => benchmark.show({ ...step, speedupNchw: 'fast' }),
    'data',
    /speedupNchw.*measure it again/,
  )
  assert.ok(shownLines(benchmark.show(step)).length > 5)
})
