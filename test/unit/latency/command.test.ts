/** `ddsas latency show` and `predict`: what they say of a table, and what they refuse. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { type LatencyTable, writeLatencyTable } from '../../../src/budget/latency-table.ts'
import { latencyCommand } from '../../../src/cli/latency.ts'
import { DdsasError } from '../../../src/errors.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { temporaryFolder } from '../runs/temporary.ts'

const [cell] = nasbench201Space.choices
const table: LatencyTable = {
  space: 'nasbench201',
  network: { kind: 'cifar', channels: 16, cells: 15, classes: 10, imageSide: 32 },
  ...{ batch: 1, threads: 4, runtime: { name: 'onnxruntime-node', version: '1.30.0' } },
  machine: { cpu: 'a processor', cores: 8, platform: 'linux-arm64' },
  date: '2026-01-02T03:04:05.678Z',
  errors: { networks: 20, mean: 0.021, median: 0.018, max: 0.05 },
  candidates: new Map([[cell.name, cell.candidates]]),
  table: {
    ...{ quantity: 'latency', unit: 'ms', base: 1 },
    costs: new Map([[cell.name, Array.from({ length: 6 }, (_, row) => [0, 0.125, 0.5, 1 + row, 0.25])]]),
  },
  ...{ fitted: [], heldOut: [] },
}

/** What the command prints. */
async function printed(t: TestContext, ...words: readonly string[]): Promise<string> {
  const { mock } = t.mock.method(console, 'log', () => {})
  try {
    await latencyCommand().exitOverride().parseAsync(words, { from: 'user' })
    return mock.calls.map(({ arguments: [text] }) => String(text)).join('\n')
  } finally {
    mock.restore()
  }
}

function written(t: TestContext, content: LatencyTable = table): string {
  const path = join(temporaryFolder(t), 'table.json')
  writeLatencyTable(path, content)
  return path
}

test('show says what a table is of and what candidates cost over their rows', async (t) => {
  const path = written(t)
  const text = await printed(t, 'show', path)
  assert.match(text, /nasbench201: cifar networks of 15 cells, C = 16, 10 classes, 32 px/)
  assert.match(text, /1 image a run, 4 threads, onnxruntime-node 1\.30\.0\na processor, 8 cores, linux-arm64/)
  assert.match(text, /20 networks: 2\.1 % on average, 1\.8 % at the median, 5\.0 % at most/)
  assert.match(text, /^nor_conv_3x3 +3\.5000 +1\.0000 +6\.0000$/m)
  const { groups } = z
    .object({ groups: z.object({ cell: z.object({ costs: z.array(z.array(z.number())) }) }) })
    .parse(JSON.parse(await printed(t, 'show', path, '--json')))
  assert.deepEqual(groups.cell.costs, table.table.costs.get(cell.name))
})

test('predict adds the base and what each pick costs', async (t) => {
  const path = written(t)
  const text = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|'
  // 1 + 1 + 0 + 0.125 + 0.25 + 0 + 6
  assert.match(
    await printed(t, 'predict', path, text),
    /: 8\.38 ms; predictions are off by 2\.1 % on average/,
  )
  const result = z
    .object({ ms: z.number() })
    .parse(JSON.parse(await printed(t, 'predict', path, text, '--json')))
  assert.equal(result.ms, 8.375)
})

test('an architecture or a table of another space is refused, and what is no table', async (t) => {
  const path = written(t)
  const refused = (words: readonly string[], pattern: RegExp) =>
    assert.rejects(printed(t, ...words), (error) => {
      assert.ok(error instanceof DdsasError && error.kind === 'input', String(error))
      assert.match(error.message, pattern)
      return true
    })
  await refused(['predict', path, '|conv_9x9~0|'], /architecture given/)
  await refused(['predict', path, 'DARTS_V2'], /DARTS_V2 is of the space darts, .* is of nasbench201/)
  await refused(['predict', written(t, { ...table, space: 'mine' }), 'DARTS_V2'], /there is no space 'mine'/)
  await refused(
    ['predict', written(t, { ...table, space: 'darts' }), 'DARTS_V2'],
    /operations of 'normal' are missing/,
  )
  await refused(['check', join(path, '..', 'absent.json')], /there is no latency table/)
  writeFileSync(path, '{}')
  await refused(['show', path], /is no latency table/)
})
