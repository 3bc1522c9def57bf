/** Runs of other versions of this program: named, and never misread. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { CommonConfig } from '../../../src/loop/common-settings.ts'
import { newRecord, type RunKind, readRecord } from '../../../src/loop/record.ts'
import { trainPreset } from '../../../src/retrain/presets.ts'
import { trainKind } from '../../../src/retrain/run.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { searchKind } from '../../../src/search/request.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

const data = { directory: 'data', fingerprint: '0' }
const environment = {
  ddsas: '0.1.0',
  libtorch: '1.13.0',
  cpuCapability: 'AVX512',
  device: 'cpu',
  node: 'v20',
}

/** What version 0.1 wrote, in its own words. */
const oldSearch = {
  kind: 'search',
  preset: 'cifar10',
  config: {
    dataset: 'cifar10',
    data: { images: 0, batch: 64, padding: 4, flip: true, cutout: 0, mean: null, std: null },
    network: { channels: 16, cells: 8 },
    strategy: 'ddsas',
    ddsas: { profile: 'reference', subspace: 28, window: 30, mixture: 'simple', changes: [] },
    weights: { rate: 0.025, finalRate: 0.001, momentum: 0.9, weightDecay: 3e-4, clip: 5 },
    architecture: { rate: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 },
    epochs: 50,
  },
  data,
  environment,
}

function refuses<Config extends CommonConfig>(
  t: TestContext,
  kind: RunKind<Config>,
  config: object,
  pattern: RegExp,
): void {
  const run = RunFolder.create(temporaryFolder(t), config)
  assertRefuses(() => readRecord(run, kind), 'input', pattern)
}

test('a run of version 0.1 is refused by one of its settings, with what to do', (t) => {
  refuses(
    t,
    searchKind,
    oldSearch,
    /^config\.json of \/.* is of an earlier version of ddsas \(setting 'ddsas\.profile'\); begin a new search, or use ddsas 0\.1$/,
  )
  const side = { kind: 'train', preset: 'cifar10', config: { data: { side: 32 } }, data, environment }
  refuses(t, trainKind, side, /earlier version of ddsas \(setting 'data\.side'\); begin a new training/)
  refuses(t, trainKind, { ...side, config: { epochs: 3 } }, /earlier version of ddsas; begin a new training/)
})

test('a run of a later version is refused, one that is damaged by what is wrong with it', (t) => {
  const record = newRecord(searchKind, 'demo', searchPreset('demo'), 'cpu', data)
  refuses(t, searchKind, { ...record, format: 3 }, /is of a later version of ddsas; use that version$/)
  refuses(
    t,
    searchKind,
    { ...record, format: 'two' },
    /'format' of its config\.json is not what a search writes/,
  )
  refuses(t, searchKind, { kind: 'search' }, /'preset' of its config\.json is not what a search writes/)
})

test('what a run writes is read back', (t) => {
  const config = trainPreset('folder')
  const record = newRecord(trainKind, 'folder', config, 'cpu', { ...data, classes: ['a', 'b'] })
  const run = RunFolder.create(temporaryFolder(t), JSON.parse(JSON.stringify(record)))
  assert.deepEqual(readRecord(run, trainKind), record)
})
