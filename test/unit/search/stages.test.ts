/** The stages of searches: which supernet, which batches and which learning rate they have in which epochs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cosineLr } from '../../../src/nn/index.ts'
import { applySettings, partsOf, type SearchConfig, withParts } from '../../../src/search/config.ts'
import { checkMemory } from '../../../src/search/memory.ts'
import { planLengths } from '../../../src/search/plan.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { planSearch } from '../../../src/search/run.ts'
import { searchLr } from '../../../src/search/schedule.ts'
import { configOf, stageAt, stagesOf } from '../../../src/search/stages.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { random } from '../../../src/strategies/random.ts'
import type { Stage } from '../../../src/strategies/strategy.ts'
import { setThreads } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

setThreads(1)

const searched = (
  strategy: string,
  space = 'darts',
  preset: 'cifar10' | 'demo' | 'nasbench201' = 'cifar10',
) => {
  const parts = partsOf({ space, strategy })
  return { parts, config: withParts(searchPresets[preset], parts) }
}

test('a search without stages is one of all epochs', () => {
  for (const strategy of ['ddsas', 'darts', 'random']) {
    const { config, parts } = searched(strategy)
    const [stage, ...others] = stagesOf(config, parts)
    assert.deepEqual(others, [])
    assert.deepEqual([stage.from, stage.to, stage.batch], [0, 50, 64])
    assert.deepEqual(configOf(config, stage), config)
    for (const epoch of [0, 7, 49]) assert.equal(searchLr(epoch, config, [stage]), searchLr(epoch, config))
  }
})

test('p-darts: three supernets of 5, 11 and 17 cells for 25 epochs each, every one with a learning rate from the start', () => {
  const { config, parts } = searched('p-darts')
  assert.deepEqual([config.epochs, config.network.channels, config.network.cells], [75, 16, 5])
  const stages = stagesOf(config, parts)
  assert.deepEqual(
    stages.map(({ from, to, size, keeps }) => [from, to, size.cells, size.skipDropout, keeps]),
    [
      [0, 25, 5, true, 'nothing'],
      [25, 50, 11, true, 'nothing'],
      [50, 75, 17, true, 'nothing'],
    ],
  )
  const { lr, minLr } = config.weightOptimizer
  for (const epoch of [0, 24, 25, 49, 50, 74])
    assert.equal(searchLr(epoch, config, stages), cosineLr(epoch % 25, 25, lr, minLr))
})

test('drnas: a sixth of the channels, then a fourth with the weights that there are; the learning rate goes on', () => {
  const { config, parts } = searched('drnas')
  assert.deepEqual(config.network, { channels: 36, cells: 20, stem: 'cifar', partialChannels: 6 })
  const stages = stagesOf(config, parts)
  assert.deepEqual(
    stages.map(({ from, to, size, keeps }) => [from, to, size.partialChannels, keeps]),
    [
      [0, 25, 6, 'nothing'],
      [25, 50, 4, 'weights'],
    ],
  )
  for (const epoch of [0, 24, 25, 49]) assert.equal(searchLr(epoch, config, stages), searchLr(epoch, config))
  const { config: bench, parts: onBench } = searched('drnas', 'nasbench201', 'nasbench201')
  assert.equal(stagesOf(bench, onBench).length, 1)
  assert.deepEqual(bench.network, searchPresets.nasbench201.network)
})

test('sgas: batches of 8 more each time edges are decided, in the supernet that there is', () => {
  const { config, parts } = searched('sgas')
  const stages = stagesOf(config, parts)
  assert.deepEqual(
    stages.map(({ from, batch }) => [from, batch]),
    [0, 10, 15, 20, 25, 30, 35, 40, 45].map((from, times) => [from, 64 + 8 * times]),
  )
  assert.ok(stages.slice(1).every(({ keeps }) => keeps === 'supernet'))
  const as = applySettings(config, ['sgas.batchIncrease=0'])
  assert.equal(stagesOf(as, parts).length, 1)
})

test('a small preset stays small, with channels that the parts of every stage divide', () => {
  assert.deepEqual(searched('p-darts', 'darts', 'demo').config.network.cells, 5)
  assert.deepEqual(searched('drnas', 'darts', 'demo').config.network, {
    channels: 12,
    cells: 5,
    stem: 'cifar',
    partialChannels: 6,
  })
})

test('a plan tells what each stage takes: memory is that of the largest, time that of all', () => {
  const { parts } = staged([
    { from: 2, network: { cells: 6 } },
    { from: 5, network: { cells: 6 }, batch: 8 },
  ])
  const settings = ['network.channels=4', 'network.cells=3', 'data.batch=4', 'data.images=64']
  const evaluation = ['evaluation.images=4', 'evaluation.batch=4']
  const plan = planLengths({
    ...{ preset: 'demo', space: 'nasbench201', strategy: parts.strategy, epochs: 6, threads: 1 },
    settings: [...settings, ...evaluation],
  })
  assert.deepEqual(
    plan.stages.map(({ from, to, size, batch, stepsPerEpoch }) => [
      from,
      to,
      size.cells,
      batch,
      stepsPerEpoch,
    ]),
    [
      [0, 2, 3, 4, 8],
      [2, 5, 6, 4, 8],
      [5, 6, 6, 8, 4],
    ],
  )
  const [row, ...others] = plan.lengths
  assert.deepEqual(others, [])
  assert.equal(row.memory, Math.max(...plan.stages.map(({ memory }) => memory)))
  const seconds = plan.stages.reduce((sum, stage) => sum + stage.seconds, 0)
  assert.ok(Math.abs(row.seconds - seconds) < 1e-9 * seconds)
  const [narrow, , large] = plan.stages
  assert.ok(large.memory > narrow.memory)
})

/** A search of six epochs by a strategy of one's own that runs one architecture. */
function staged(stages: readonly Stage[], settings: readonly string[] = [], space = 'darts') {
  const strategy = { ...random, name: 'own', stages: () => stages } as AnyStrategy
  const parts = { ...partsOf({ space, strategy: 'random' }), strategy }
  const config: SearchConfig = { ...withParts(searchPresets.demo, parts), epochs: 6 }
  return { parts, config: applySettings(config, settings, parts) }
}

test('of stages that begin at once the last remains, and none begins after the end', () => {
  const { config, parts } = staged([
    { from: 0, network: { cells: 3 } },
    { from: 2, network: { cells: 4 } },
    { from: 2, network: { cells: 6 }, carriesWeights: true },
    { from: 4, network: { cells: 6 }, batch: 7 },
    { from: 6, network: { cells: 9 } },
  ])
  const found = stagesOf(config, parts)
  assert.deepEqual(
    found.map(({ from, to, size, keeps, batch }) => [from, to, size.cells, keeps, batch]),
    [
      [0, 2, 3, 'nothing', 32],
      [2, 4, 6, 'weights', 32],
      [4, 6, 6, 'supernet', 7],
    ],
  )
  assert.ok(found.every(({ schedule }) => schedule.from === 0 && schedule.to === 6))
  assert.deepEqual(
    [0, 1, 2, 5].map((epoch) => stageAt(found, epoch).from),
    [0, 0, 2, 4],
  )
})

test('a stage that cannot be is refused before anything is read', () => {
  const request = { preset: 'demo', strategy: 'drnas', epochs: 4, settings: ['network.channels=6'] }
  assertRefuses(() => planSearch(request), 'input', /6 channels cannot be divided by partialChannels 4/)
  const deep = { preset: 'nasbench201', strategy: 'p-darts', settings: ['pDarts.moreCells=[0,1,2]'] }
  assertRefuses(
    () => planSearch(deep),
    'input',
    /4 cells cannot be divided among the 3 stages of 'nasbench201'/,
  )
})

test('memory is asked for as the largest stage needs it: by its supernet, or by its batches', () => {
  const images = { train: 256, valid: 256, classes: 10, kept: 512 }
  const small = ['network.channels=4', 'network.cells=3', 'data.batch=4', 'evaluation.batch=4', 'threads=1']
  const check = (stage: Stage) => {
    const { config, parts } = staged([stage], [...small, 'memory.limit=32 MiB'], 'nasbench201')
    checkMemory(config, parts, 'cpu', images)
  }
  check({ from: 2, network: { cells: 6 }, batch: 5 })
  check({ from: 2, batch: 5 })
  for (const stage of [
    { from: 2, network: { channels: 20 }, batch: 64 },
    { from: 2, batch: 256 },
  ])
    assertRefuses(() => check(stage), 'budget', /needs (about|more than) .*allowed by memory\.limit/)
})
