/** Tables and the results block: a figure changes the text, and the README says what the results say. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { benchmarks } from '../../../bench/benchmarks.ts'
import {
  machineName,
  readResults,
  replaceBlock,
  resultsLines,
  shownLines,
  updateReadme,
  writeResults,
} from '../../../bench/results.ts'
import { tableLines } from '../../../bench/table.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { repository } from '../scripts/support.ts'

const readme = join(repository, 'bench/README.md')
const marks = ['<!-- results: written by npm run bench -- all -->', '<!-- end of results -->']
const machine = { processor: 'A', cores: 2, libtorch: '1.13.1' }
const spread = { median: 0.5, quartiles: [0.4, 0.75] }
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
    turns: 7,
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
  assert.equal(writeResults(folder, results), join(folder, 'cpu-2-1.13.1.json'))
  assert.deepEqual(readResults(folder), new Map([[machineName(machine), results]]))
  assert.deepEqual(readResults(join(folder, 'none')), new Map())
})

test('the block holds machine, figures and charts of each result, and replaces what stood there', (t) => {
  const folder = temporaryFolder(t)
  const text = join(folder, 'README.md')
  writeFileSync(text, `before\n${marks[0]}\nold\n${marks[1]}\nafter\n`)
  const results = join(folder, 'results')
  updateReadme(text, results, benchmarks)
  assert.match(readFileSync(text, 'utf8'), /^before\n.*\n\nNo results yet[^\n]*\n\n<!-- end.*\nafter\n$/)
  writeResults(results, { machine, reports: { step } })
  updateReadme(text, results, benchmarks)
  const block = readFileSync(text, 'utf8')
  assert.match(block, /### cpu-2-1\.13\.1\n\nprocessor A, cores 2, libtorch 1\.13\.1\./)
  assert.match(block, /\| ours +\| 0\.500 \(0\.400 … 0\.750\) \| +1 \|/)
  assert.match(block, /plain NCHW 10\.00 x, than plain channels last 4\.25 x; peak memory 0\.305/)
  assert.match(block, /!\[step\]\(results\/cpu-2-1\.13\.1-step\.svg\)/)
  assert.doesNotMatch(block, /old|No results/)
  updateReadme(text, results, benchmarks)
  assert.equal(readFileSync(text, 'utf8'), block)
})

test('the README of the benchmarks says what the results in the repository say', () => {
  const text = readFileSync(readme, 'utf8')
  const results = readResults(join(repository, 'bench/results'))
  assert.equal(replaceBlock(text, resultsLines(results, benchmarks, 'results')), text)
})

test('a README without the marks, a file that holds no results, a report of another kind', (t) => {
  assertRefuses(() => replaceBlock('text', []), 'input', /bench\/README\.md has no/)
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
