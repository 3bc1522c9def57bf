/** Limits in a search: settings, what is refused before data is read, steering, exact resume, and what is told. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type LatencyTable, writeLatencyTable } from '../../../src/budget/latency-table.ts'
import { networkCosts } from '../../../src/budget/network-costs.ts'
import { epochLine } from '../../../src/cli/search-text.ts'
import type { ArchWeights } from '../../../src/nn/index.ts'
import { applySettings, type SearchConfig, type SearchParts } from '../../../src/search/config.ts'
import { imagesOf } from '../../../src/search/images.ts'
import { costRanges, limitsOf, targetNetwork } from '../../../src/search/limits.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { requestedSearch } from '../../../src/search/request.ts'
import { planSearch } from '../../../src/search/run.ts'
import { searchStep } from '../../../src/search/search.ts'
import { createSession, disposeSession, restoreSession, type Session } from '../../../src/search/session.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'
import type { Strategy } from '../../../src/strategies/strategy.ts'
import { setThreads, softmax, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { dataset, filesOf, smallConfig } from './pairs.ts'

setThreads(1)
const place = mkdtempSync(join(tmpdir(), 'ddsas-test-'))
after(() => rmSync(place, { recursive: true }))

const evaluate = async () => ({ loss: 1, accuracy: 0.5 })
const network = ['limits.network.channels=4', 'limits.network.cells=3', 'limits.network.classes=4']

/** A small search within a share of what networks cost between the least and the most. */
function limitedConfig(parts: SearchParts, share: number, settings: readonly string[] = []): SearchConfig {
  const base = applySettings(smallConfig(parts), [...network, 'limits.steps=2', 'limits.rate=2', ...settings])
  const [{ least, most }] = costRanges(base, parts.space)
  return applySettings(base, [`limits.parameters=${Math.floor(least + share * (most - least))}`])
}

async function withLimited(
  parts: SearchParts,
  config: SearchConfig,
  use: (session: Session) => void | Promise<void>,
): Promise<void> {
  const session = createSession(config, imagesOf(dataset(), config, 'cpu'), 'cpu', parts)
  try {
    await use(session)
  } finally {
    disposeSession(session)
  }
}

/** As the loop does. */
async function step(session: Session): Promise<void> {
  const { globalStep } = await searchStep(session, 0.02)
  if (session.limits?.isDue(globalStep)) await session.limits.follow(session.strategy, evaluate)
}

for (const space of [dartsSpace, nasbench201Space])
  for (const strategy of Object.values<AnyStrategy>(strategies))
    test(`${space.name} by ${strategy.name} within a limit: what is derived keeps to it, and a resumed search goes on the same`, async () => {
      const parts = { space, strategy } as SearchParts
      const config = limitedConfig(parts, 0.05)
      await withLimited(parts, config, async (whole) => {
        for (let done = 0; done < 7; done++) await step(whole)
        const architecture = await whole.strategy.derive(evaluate)
        const { parameters } = whole.limits?.reports(architecture) ?? {}
        assert.ok(parameters && parameters.cost <= parameters.limit)
        const saved = filesOf(whole)
        await withLimited(parts, config, async (resumed) => {
          restoreSession(resumed, saved)
          assert.deepEqual(filesOf(resumed), saved)
          for (const one of [whole, resumed]) for (let done = 0; done < 3; done++) await step(one)
          assert.deepEqual(filesOf(resumed), filesOf(whole))
        })
        const steered = !['random', 'rsps', 'enas'].includes(strategy.name)
        assert.equal(whole.limits?.penalty.used, steered)
        assert.equal(parameters?.lambda !== undefined, steered)
      })
    })

/** Of an architecture step; gdas has ones for a weight step, of what was drawn, and goes by the softmax of alpha. */
function weightsNow(strategy: Strategy, group: string): ArchWeights {
  const weights = strategy.archWeights(group, 'train')
  const alpha = strategy.state().tensors.get(`alpha.${group}`)
  return alpha && !weights.strengths ? { ...weights, weights: softmax(alpha, 1) } : weights
}

for (const strategy of ['ddsas', 'darts', 'gdas', 'snas'] as const)
  test(`${strategy}: under a penalty the expected cost falls, without lambda it does not`, async () => {
    const parts: SearchParts = { space: dartsSpace, strategy: strategies[strategy] as AnyStrategy }
    const config = limitedConfig(parts, 0.1, ['limits.rate=0', 'archOptimizer.lr=0.05'])
    /** The penalty for lambda = 1 after some steps under another lambda. */
    const expected = async (lambda: number): Promise<number> => {
      let found = 0
      await withLimited(parts, config, async (session) => {
        const { limits, strategy: own } = session
        assert.ok(limits)
        limits.penalty.load([lambda])
        for (let done = 0; done < 9; done++) await searchStep(session, 0.02)
        limits.penalty.load([1])
        found = tidy(() => limits.penalty.of((group) => weightsNow(own, group)).item())
      })
      return found
    }
    const [free, pressed] = [await expected(0), await expected(100)]
    assert.ok(pressed < free - 0.05, `${pressed} under the penalty, ${free} without`)
  })

test('with a limit whose lambda stays 0 weights and alphas are those of a search without limits, to the bit', async () => {
  const parts: SearchParts = { space: dartsSpace, strategy: strategies.ddsas as AnyStrategy }
  const tensors = async (config: SearchConfig) => {
    let files = new Map<string, Buffer>()
    await withLimited(parts, config, async (session) => {
      for (let done = 0; done < 5; done++) await step(session)
      files = filesOf(session)
    })
    return ['weights.safetensors', 'strategy.safetensors'].map((name) => files.get(name))
  }
  const limited = limitedConfig(parts, 1)
  assert.deepEqual(await tensors(limited), await tensors(applySettings(limited, ['limits.parameters=null'])))
})

const darts = { preset: 'cifar10' } as const

test('what cannot be a limit is refused before any data is read', () => {
  const refused = (message: RegExp, kind: 'input' | 'budget', ...settings: readonly string[]) =>
    assertRefuses(() => planSearch({ ...darts, settings, out: join(place, 'run') }), kind, message)
  refused(
    /limits.parameters: write it as a number, or with a unit, such as "3.3M"/,
    'input',
    'limits.parameters=-1',
  )
  refused(/limits.multiplyAdds: write it as/, 'input', 'limits.multiplyAdds=NaN')
  refused(/limits.latency: write it as .* "12ms"/, 'input', 'limits.latency=12 miles')
  refused(/limits.network.channels/, 'input', 'limits.network.channels=-36', 'limits.parameters=3M')
  refused(/limits.latency needs a table/, 'input', 'limits.latency=12ms')
  refused(
    /no network of 'darts' has as little as 100 k parameters: the cheapest of 20 cells of 36 channels, 10 classes and 32 px has 1.371 M parameters; allow that/,
    'budget',
    'limits.parameters=100k',
  )
  refused(
    /there is no latency table/,
    'input',
    'limits.latency=12ms',
    `limits.latencyTable=${join(place, 'none')}`,
  )
  const { parts: _, ...bare } = nasbench201Space
  assertRefuses(
    () => requestedSearch({ ...darts, space: { ...bare, name: 'bare' }, settings: ['limits.parameters=1M'] }),
    'input',
    /'bare' does not say what its architectures are made of/,
  )
})

test('sizes: of the data set and the space unless said; zeros and nulls are no limits, and without limits nothing is made', () => {
  const of = (preset: string, ...settings: readonly string[]) => applySettings(searchPreset(preset), settings)
  const cifar = { kind: 'cifar', channels: 36, cells: 20, classes: 10, imageSide: 32 }
  assert.deepEqual(targetNetwork(of('cifar10'), dartsSpace), cifar)
  assert.deepEqual(targetNetwork(of('cifar100'), dartsSpace), { ...cifar, classes: 100 })
  const imagenet = targetNetwork(
    of('cifar10', 'limits.network.kind=imagenet', 'limits.network.cells=8'),
    dartsSpace,
  )
  assert.deepEqual([imagenet.cells, imagenet.imageSide], [8, 224])
  assert.deepEqual(limitsOf(of('cifar10'), dartsSpace), [])
  assert.deepEqual(limitsOf(of('cifar10', 'limits.parameters=0', 'limits.latency=0'), dartsSpace), [])
})

test('a latency table is taken with its own limit, and refused where it is of another space or size', () => {
  const path = join(place, 'latency.json')
  const size = { kind: 'cifar', channels: 4, cells: 3, classes: 4, imageSide: 32 } as const
  const { base, costs } = networkCosts(nasbench201Space, size, 'multiplyAdds')
  const content: LatencyTable = {
    ...{ space: 'nasbench201', network: size, date: '2026-01-01T00:00:00.000Z', fitted: [], heldOut: [] },
    ...{ batch: 1, threads: 1, runtime: { name: 'made', version: '1' } },
    machine: { cpu: 'made', cores: 1, platform: 'made' },
    errors: { networks: 1, mean: 0, median: 0, max: 0 },
    candidates: new Map(nasbench201Space.choices.map(({ name, candidates }) => [name, candidates])),
    table: {
      quantity: 'latency',
      unit: 'ms',
      base: base / 1e6,
      costs: new Map(
        [...costs].map(([name, rows]) => [name, rows.map((row) => row.map((cost) => cost / 1e6))]),
      ),
    },
  }
  writeLatencyTable(path, content)
  const config = (...settings: readonly string[]) =>
    applySettings(searchPreset('nasbench201'), [
      ...network,
      `limits.latencyTable=${path}`,
      'limits.latency=5ms',
      ...settings,
    ])
  const limits = limitsOf(config('limits.parameters=1G'), nasbench201Space)
  assert.deepEqual(
    limits.map(({ table, most }) => [table.quantity, table.unit, most]),
    [
      ['parameters', '', 1e9],
      ['latency', 'ms', 5],
    ],
  )
  assertRefuses(
    () => limitsOf(config('limits.network.channels=8'), nasbench201Space),
    'input',
    /its network's channels is 4, 8 is needed/,
  )
  assertRefuses(() => limitsOf(config(), dartsSpace), 'input', /its space is nasbench201, darts is needed/)
})

test('an epoch says what its architecture costs', () => {
  const report = {
    ...{ epoch: 0, globalStep: 1, lr: 0.1, indicators: {}, distance: null, architecture: {}, seconds: 1 },
    ...{ cells: {}, rankCorrelation: null },
    train: { loss: 1, accuracy: 0.5 },
    valid: { loss: 1, accuracy: 0.5 },
  }
  const parameters = { unit: '', limit: 3.3e6, cost: 3.1e6 }
  const line = (limits: Parameters<typeof epochLine>[0]['limits']) =>
    epochLine({ ...report, ...(limits ? { limits } : {}) }, 2).split('\n')[1]
  assert.equal(line({ parameters }), '  3.1 M of 3.3 M parameters')
  assert.equal(
    line({ parameters: { ...parameters, unlimited: 3.6e6, lambda: 0.1234 } }),
    '  3.1 M of 3.3 M parameters (3.6 M without limits, lambda 0.123)',
  )
  assert.equal(
    line({ latency: { unit: 'ms', limit: 12, cost: 13 } }),
    '  13 ms of 12 ms latency: nothing available keeps to the limits',
  )
  assert.equal(line(undefined), undefined)
})
