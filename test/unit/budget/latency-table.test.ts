/** Latency tables as files: written and read back; of another space, size or operations, damaged or hostile they are refused. */
import assert from 'node:assert/strict'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  type LatencyTable,
  latencyCosts,
  readLatencyTable,
  writeLatencyTable,
} from '../../../src/budget/latency-table.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

const [cell] = nasbench201Space.choices
const size = { kind: 'cifar', channels: 16, cells: 15, classes: 10, imageSide: 32 } as const

const made: LatencyTable = {
  space: 'nasbench201',
  network: size,
  batch: 1,
  threads: 2,
  runtime: { name: 'onnxruntime-node', version: '1.30.0' },
  machine: { cpu: 'some processor', cores: 2, platform: 'linux-x64' },
  date: '2026-01-02T03:04:05.678Z',
  errors: { networks: 1, mean: 0.01, median: 0.01, max: 0.01 },
  candidates: new Map([[cell.name, cell.candidates]]),
  table: {
    quantity: 'latency',
    unit: 'ms',
    base: 0.25,
    costs: new Map([
      [
        cell.name,
        Array.from({ length: cell.rows }, (_, row) => cell.candidates.map((_, column) => row + column / 8)),
      ],
    ]),
    empty: [{ group: cell.name, rows: [1, 2], none: 0, cost: 0.0625 }],
  },
  fitted: [{ architecture: 'one', ms: 1.5 }],
  heldOut: [{ architecture: 'two', ms: 2.5 }],
}

test('a table is read as it was written, into a folder that is made', (t) => {
  const path = join(temporaryFolder(t), 'new', 'table.json')
  writeLatencyTable(path, made)
  assert.deepEqual(readLatencyTable(path), made)
  assert.equal(latencyCosts(readLatencyTable(path), nasbench201Space, size, path).base, 0.25)
})

test('a table of another space, size or operations is refused, naming it', () => {
  const costsFor = (space: Parameters<typeof latencyCosts>[1], wanted: Parameters<typeof latencyCosts>[2]) =>
    latencyCosts(made, space, wanted, 'table.json')
  assertRefuses(() => costsFor(dartsSpace, size), 'input', /table\.json: its space is nasbench201, darts is/)
  for (const [key, other] of [
    ['kind', 'imagenet'],
    ['channels', 36],
    ['cells', 3],
    ['classes', 100],
    ['imageSide', 64],
  ] as const)
    assertRefuses(
      () => costsFor(nasbench201Space, { ...size, [key]: other }),
      'input',
      new RegExp(`network's ${key} is ${size[key]}, ${other} is needed; make one`),
    )
  const candidates = [...cell.candidates.slice(0, 4), 'conv_9x9']
  assertRefuses(
    () => costsFor({ ...nasbench201Space, choices: [{ ...cell, candidates }] }, size),
    'input',
    /operations of 'cell' are none, .*conv_9x9 are needed/,
  )
  assertRefuses(
    () => costsFor({ ...nasbench201Space, choices: [{ ...cell, rows: 10 }] }, size),
    'input',
    /'cell' has 6 rows, 10 are needed/,
  )
  assertRefuses(
    () => costsFor({ ...nasbench201Space, choices: [{ ...cell, name: 'edge' }] }, size),
    'input',
    /operations of 'edge' are missing/,
  )
})

test('what is no table is refused: absent, truncated, another file, too large', (t) => {
  const path = join(temporaryFolder(t), 'table.json')
  assertRefuses(() => readLatencyTable(path), 'input', /there is no latency table .*latency measure/)
  writeLatencyTable(path, made)
  truncateSync(path, 300)
  assertRefuses(() => readLatencyTable(path), 'input', /table\.json is not valid JSON/)
  writeFileSync(path, '{"format": 1}')
  assertRefuses(() => readLatencyTable(path), 'input', /is no latency table: kind/)
  truncateSync(path, 16 * 2 ** 20 + 1)
  assertRefuses(() => readLatencyTable(path), 'input', /more than 16 MiB/)
})

test('costs that are none are refused, naming where they stand', (t) => {
  const path = join(temporaryFolder(t), 'table.json')
  writeLatencyTable(path, made)
  const text = readFileSync(path, 'utf8')
  const assertRefused = (from: string | RegExp, to: string, pattern: RegExp) => {
    const changed = text.replace(from, to)
    assert.notEqual(changed, text)
    writeFileSync(path, changed)
    assertRefuses(() => readLatencyTable(path), 'input', pattern)
  }
  assertRefused('0.0625', '-0.0625', /groups\.cell\.empty\.0\.cost: Too small/)
  assertRefused('"none":0', '"none":5', /'cell' has no rows 1, 2 with a candidate 5/)
  assertRefused('"rows":[1,2]', '"rows":[1,6]', /'cell' has no rows 1, 6 with a candidate 0/)
  assertRefused('0.125', '-0.125', /groups\.cell\.costs\.0\.1: Too small/)
  assertRefused('0.125', 'null', /groups\.cell\.costs\.0\.1: expected number/)
  assertRefused('0.125', '1e999', /groups\.cell\.costs\.0\.1/)
  assertRefused('0.125', 'NaN', /not valid JSON/)
  assertRefused('0.125,', '', /row 0 of 'cell' has 4 costs for 5 candidates/)
  assertRefused('"base": 0.25', '"base": -1', /base: Too small/)
  assertRefused('"format": 1', '"format": 2', /format/)
})
