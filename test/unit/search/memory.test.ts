/** The memory of a search: what a few small steps foretell against whole steps in other subspaces, and what is refused. */
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import { formatSize, parseSize } from '../../../src/budget/memory-size.ts'
import { describeDifferences } from '../../../src/loop/settings.ts'
import { Adam, disposeModule, Network, namedBuffers, namedParameters } from '../../../src/nn/index.ts'
import { applySettings, partsOf, type SearchConfig, withParts } from '../../../src/search/config.ts'
import { DryRun } from '../../../src/search/dry-run.ts'
import { FootprintMeter, largestBatch, likelyPeak } from '../../../src/search/footprint.ts'
import { datasetBytes, type ImagesShape, shapeOfDataset } from '../../../src/search/images-shape.ts'
import { bytesBesides, checkFits, checkMemory, memoryBudget } from '../../../src/search/memory.ts'
import { supernetBytes } from '../../../src/search/memory-room.ts'
import { fit } from '../../../src/search/plan-fit.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { Generator, liveSlots, setThreads, type Tensor, tensorMemory } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

setThreads(1)

const imagesOf = (count: number) => shapeOfDataset(count, 10, searchPreset('cifar10'))
const images = imagesOf(100)

const small = (...settings: readonly string[]) =>
  applySettings(searchPreset('demo'), [
    'network.channels=4',
    'network.cells=3',
    'data.batch=8',
    'evaluation.batch=4',
    ...settings,
  ])

/** What `body` makes of a dry run that leaves nothing behind. */
function withDry<Result>(config: SearchConfig, body: (dry: DryRun) => Result, largest = 64): Result {
  const before = [liveSlots(), tensorMemory().live]
  const dry = new DryRun(config, partsOf(config), 'cpu', largest, 10)
  try {
    return body(dry)
  } finally {
    dry.dispose()
    assert.deepEqual([liveSlots(), tensorMemory().live], before)
  }
}

test('alpha does not rest in a dry run, as it does in the first epochs of some searches', () => {
  const config = withParts(small(), partsOf({ space: 'darts', strategy: 'pc-darts' }))
  const step = mock.method(Adam.prototype, 'step')
  withDry(config, (dry) => {
    dry.sample()
    dry.step(4, 1)
  })
  assert.equal(step.mock.callCount(), 1)
  step.mock.restore()
})

test("a supernet's bytes are those of the tensors that it has, in each space", () => {
  for (const space of ['darts', 'nasbench201'] as const) {
    const parts = partsOf({ space, strategy: 'ddsas' })
    const config = withParts(small(), parts)
    const program = parts.space.supernet({ ...config.network, classes: 100 })
    const supernet = new Network(program, { device: 'meta', generator: new Generator(0, 'shape') })
    const bytes = (tensors: ReadonlyMap<string, Tensor>) =>
      [...tensors.values()].reduce((sum, { size }) => sum + 4 * size, 0)
    assert.deepEqual(supernetBytes(config, parts), {
      weights: bytes(namedParameters(supernet)),
      statistics: bytes(namedBuffers(supernet)),
    })
    disposeModule(supernet)
  }
})

/** Networks of all spaces: a space, and sizes of it. */
const networks: readonly (readonly [name: string, settings: readonly string[]])[] = [
  ['DARTS, three cells of four channels', []],
  ['DARTS, five cells of eight channels', ['network.cells=5', 'network.channels=8', 'data.batch=4']],
]

for (const [name, settings] of networks)
  test(`peaks of five L are foretold within 5 % from three others: ${name}`, () => {
    const config = small(...settings)
    const { data, evaluation } = config
    withDry(config, (dry) => {
      const meter = new FootprintMeter(dry, config, partsOf(config), 'cpu', images)
      const times = { secondsPerStep: 1, secondsPerImage: 1 }
      const measured = [15, 35, 98].map((subspace) => ({ subspace, ...meter.footprint(subspace), ...times }))
      const predict = fit(98, measured)
      for (const subspace of [20, 28, 50, 70, 84]) {
        dry.begin(subspace)
        const peaks = Array.from({ length: 6 }, () => {
          dry.sample()
          const peak = Math.max(dry.step(data.batch, 1).peak, dry.evaluate(evaluation.batch, 1).peak)
          return peak + datasetBytes(100, 32)
        })
        const mean = peaks.reduce((sum, peak) => sum + peak, 0) / peaks.length
        const { tensors, memory } = predict(subspace)
        assert.ok(
          Math.abs(tensors / mean - 1) < 0.05,
          `L = ${subspace}: ${tensors / mean} of what was measured`,
        )
        assert.ok(
          Math.max(...peaks) <= 1.01 * memory,
          `L = ${subspace}: ${Math.max(...peaks) / memory} of the likely`,
        )
        assert.ok(memory < 1.25 * mean, `L = ${subspace}: the likely is ${memory / mean} of the mean`)
      }
    })
  })

for (const [what, settings] of [
  ['steps', ['data.batch=64']],
  ['steps in parts', ['data.batch=60', 'data.microBatch=20']],
  ['steps in two parts, the second as large', ['data.batch=64', 'data.microBatch=32']],
  ['an evaluation', ['data.batch=2', 'evaluation.batch=64']],
] as const)
  test(`small batches foretell large ones within 1 %: ${what}`, () => {
    const config = small(...settings)
    withDry(config, (dry) => {
      dry.begin(28)
      const foretold = new FootprintMeter(dry, config, partsOf(config), 'cpu', imagesOf(128)).peak()
      const step = dry.step(config.data.batch, 1).peak
      const evaluation = dry.evaluate(config.evaluation.batch, 1).peak
      const ratio = foretold / (Math.max(step, evaluation) + datasetBytes(128, 32))
      assert.ok(Math.abs(ratio - 1) < 0.01, `${ratio} of what was measured`)
      assert.equal(step < evaluation, what === 'an evaluation')
    })
  })

test('a peak grows with L, batch and channels; no batch is larger than half of the images', () => {
  const typical = (...settings: readonly string[]) => {
    const config = small(...settings)
    return withDry(config, (dry) => {
      const meter = new FootprintMeter(dry, config, partsOf(config), 'cpu', images)
      const subspace = config.ddsas?.subspace ?? 0
      const { typical: mean, spread } = meter.footprint(subspace)
      assert.equal(spread > 0, subspace < 98)
      return mean
    })
  }
  const before = typical()
  for (const setting of ['data.batch=12', 'network.channels=6', 'ddsas.subspace=40', 'evaluation.batch=50'])
    assert.ok(typical(setting) > before, setting)
  assert.equal(typical('ddsas.subspace=98'), typical('ddsas.subspace=112'), 'there is nothing more to run')
  assert.equal(
    typical('data.batch=60', 'evaluation.batch=1000'),
    typical('data.batch=50', 'evaluation.batch=50'),
  )
})

const check = (config: SearchConfig, count: ImagesShape, available?: Parameters<typeof checkMemory>[4]) =>
  checkMemory(config, partsOf(config), 'cpu', count, available)

const free = (bytes: number) => () => ({ bytes, where: 'free on this machine' })

test('a search that does not fit is refused with both amounts and the remedies, and leaves nothing', () => {
  const before = [liveSlots(), tensorMemory().live]
  const remedies =
    /: use a smaller ddsas\.subspace, data\.batch, network\.channels or evaluation\.batch .*, or set memory\.limit to what they may take, such as --set memory\.limit="1 GiB"$/
  assertRefuses(
    () => check(small('memory.limit=2 MiB'), images),
    'budget',
    /^L = 28 needs about \d+(\.\d)? MiB of memory for its tensors, 2\.0 MiB are allowed by memory\.limit: /,
    remedies,
  )
  assertRefuses(
    () => check(small(), imagesOf(100_000), free(2 ** 28)),
    'budget',
    /^L = 28 needs more than \d+ MiB of memory for its tensors, \d+(\.\d)? MiB are free on this machine for tensors: /,
    remedies,
  )
  check(small('memory.limit=1 GiB'), images, free(0))
  check(small(), images, () => undefined)
  assert.deepEqual([liveSlots(), tensorMemory().live], before)
})

test('the refusal comes between what a search needs and one byte less', () => {
  const config = small()
  // as where it is checked: what is sampled follows from the images, and the first peak has what is asked for on first use
  const needed = withDry(
    config,
    (dry) => {
      const meter = new FootprintMeter(dry, config, partsOf(config), 'cpu', images)
      dry.begin(28)
      meter.peak()
      return likelyPeak(meter.footprint(28))
    },
    largestBatch(config, images),
  )
  const limit = (bytes: number) => small(`memory.limit=${bytes}`)
  check(limit(Math.ceil(needed)), images)
  assertRefuses(() => check(limit(Math.floor(needed) - 1), images), 'budget', /needs about/)
  checkFits(config, partsOf(config), 5, { bytes: 5, where: '' })
})

test('steps that need more than is free are not taken: what is free is their limit', () => {
  // as the process has been, so that nothing is left of what it holds
  const config = small('network.channels=16', 'data.batch=50')
  const room = memoryBudget(config, partsOf(config), 'cpu', { available: free(2 ** 30) })?.bytes ?? 0
  const bytes = 2 ** 30 - room + 10 * 2 ** 20
  assertRefuses(
    () => check(config, images, free(Math.round(bytes))),
    'budget',
    /^L = 28 needs (more than|about) /,
  )
})

test('a limit stands in place of what is free; what the process will take besides tensors is not for them', () => {
  const available = free(2 ** 30)
  const { held } = tensorMemory()
  const parts = partsOf(small())
  const budget = (...settings: readonly string[]) =>
    memoryBudget(small(...settings), parts, 'cpu', { available })
  const room = budget()?.bytes ?? 0
  const margin = 2 ** 30 + held - room
  assert.ok(margin > 144 * 2 ** 20 && margin < 192 * 2 ** 20, `${margin}`)
  assert.equal(budget()?.where, 'free on this machine for tensors')
  assert.deepEqual(budget('memory.limit=2 GB'), { bytes: 2e9, where: 'allowed by memory.limit' })
  const unread = memoryBudget(small(), parts, 'cpu', { available, unread: 50_000 })?.bytes ?? 0
  assert.ok(Math.abs(room - unread - datasetBytes(50_000, 32) / 1.03) < 2)
  assert.deepEqual(memoryBudget(small(), parts, 'cuda:0', { available })?.bytes, 2 ** 30)
  assert.equal(memoryBudget(small(), parts, 'cpu', { available: () => undefined }), undefined)
  assert.equal(bytesBesides(small(), parts, 'cuda:0', 0), 0)
  const besides = bytesBesides(small(), parts, 'cpu', 0)
  assert.ok(besides > 2 ** 27 && besides < process.memoryUsage.rss() + 2 ** 26, `${besides}`)
})

test('the limit is a number of bytes or text, and a resume may change it', () => {
  const limitOf = (text: string) => small(`memory.limit=${text}`).memory.limit
  assert.deepEqual(['0', '1024', '"4 GiB"', '1.5kb'].map(limitOf), [0, 1024, 2 ** 32, 1500])
  for (const text of ['-1', '1.5', 'much', '4 GiBs', 'null'])
    assertRefuses(() => limitOf(text), 'input', /^--set: memory\.limit: write it in bytes, or with a unit/)
  assert.deepEqual(describeDifferences(small(), small('memory.limit=1 GiB'), 'the run'), [])
})

test('sizes as text', () => {
  const shown = [0, 1e6, 10e6, 2 ** 29, 1023 * 2 ** 20, 2 ** 31].map(formatSize)
  assert.deepEqual(shown, ['0.0 MiB', '1.0 MiB', '9.5 MiB', '512 MiB', '1.0 GiB', '2.0 GiB'])
  for (const text of ['', 'GiB', '1 2', '1e3', '-1', '1 PB', '99999999 TiB'])
    assert.equal(parseSize(text), undefined, text)
  fc.assert(
    fc.property(fc.nat(), (bytes) => {
      assert.equal(parseSize(`${bytes}`), bytes)
      assert.equal(parseSize(` ${bytes} KiB `), 1024 * bytes)
    }),
  )
})
