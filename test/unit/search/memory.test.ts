/** The memory of a search: bytes counted from shapes against bytes measured, what a limit refuses, and sizes as text. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { formatSize, parseSize } from '../../../src/budget/memory-size.ts'
import { describeDifferences } from '../../../src/loop/settings.ts'
import { applySettings, type SearchConfig } from '../../../src/search/config.ts'
import {
  checkMemory,
  heaviestSubspaces,
  memoryBudget,
  peakOf,
  searchFootprint,
  typicalSubspaces,
} from '../../../src/search/memory.ts'
import { type Measurement, measureSubspaces } from '../../../src/search/plan-measure.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { describeEngine, setThreads, withoutKernels } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

setThreads(1)

const images = 100

const small = (...settings: readonly string[]) =>
  applySettings(searchPreset('demo'), [
    'network.channels=4',
    'network.cells=3',
    'data.batch=8',
    'evaluation.batch=4',
    ...settings,
  ])

const withLength = (config: SearchConfig, subspace: number): SearchConfig => ({
  ...config,
  ddsas: { ...config.ddsas, subspace },
})

/** Typical and heaviest subspaces of some sizes; with all operations there is one. */
function casesOf(config: SearchConfig, device: string, lengths = [15, 28, 60, 112]) {
  return lengths.flatMap((subspace) => {
    const own = withLength(config, subspace)
    const [typical, heaviest] = [typicalSubspaces(own, device, images), heaviestSubspaces(own)]
    const different = isDeepStrictEqual(typical, heaviest) ? [typical] : [typical, heaviest]
    return different.map((subspaces) => ({ subspace, subspaces }))
  })
}

function assertJustAbove(estimate: number, { subspace, stepBytes, evaluationBytes }: Measurement): void {
  const ratio = estimate / Math.max(stepBytes, evaluationBytes)
  assert.ok(ratio >= 1 && ratio < 1.15, `L = ${subspace}: ${ratio} of what was measured`)
}

const shapes: readonly (readonly [name: string, config: SearchConfig])[] = [
  ['three cells', small()],
  ['eight cells', small('network.cells=8', 'data.batch=4')],
  ['more channels', small('network.channels=12', 'network.cells=4', 'data.batch=4')],
  ['an evaluation larger than a step', small('evaluation.batch=50', 'data.batch=2')],
]

/** With half the images, as what computes without vector kernels takes many times as long. */
const halved = (config: SearchConfig): SearchConfig => {
  const half = ({ batch }: { readonly batch: number }) => ({ batch: batch / 2 })
  return {
    ...config,
    data: { ...config.data, ...half(config.data) },
    evaluation: { ...config.evaluation, ...half(config.evaluation) },
  }
}

for (const [name, config] of shapes) {
  test(`the estimate is at most 15 % above the measured peak and never below: ${name}`, () => {
    const cases = casesOf(config, 'cpu')
    const estimate = peakOf(config, 'cpu', images)
    const measured = measureSubspaces(config, 'cpu', images, cases)
    measured.forEach((measurement, index) => {
      assertJustAbove(estimate(cases[index].subspaces), measurement)
    })
  })

  test(`so is that for the kernels of GPUs, which the CPU has in bfloat16: ${name}`, () => {
    const half: SearchConfig = { ...halved(config), precision: 'bfloat16' }
    const cases = casesOf(half, 'cpu', [28, 112])
    const estimate = peakOf(half, 'cpu', images)
    const measured = measureSubspaces(half, 'cpu', images, cases)
    measured.forEach((measurement, index) => {
      assertJustAbove(estimate(cases[index].subspaces), measurement)
    })
  })

  test(`so is that for ATen's operators, which other devices compute with: ${name}`, () => {
    const smaller = halved(config)
    const cases = casesOf(smaller, 'cuda:0')
    const estimate = peakOf(smaller, 'cuda:0', images, 'none')
    const measured = withoutKernels(() => measureSubspaces(smaller, 'cpu', images, cases))
    measured.forEach((measurement, index) => {
      assertJustAbove(estimate(cases[index].subspaces), measurement)
    })
  })
}

test('the expected peak is below the likely one, that below the worst, and all grow with L, batch and channels', () => {
  const keys = ['expected', 'likely', 'worst'] as const
  const footprint = (...settings: readonly string[]) => searchFootprint(small(...settings), 'cpu', images)
  let before = footprint()
  for (const settings of [[], ['data.batch=9'], ['network.channels=6'], ['ddsas.subspace=40']]) {
    const now = footprint(...settings)
    assert.ok(now.expected < now.likely && now.likely <= now.worst, JSON.stringify(now))
    if (settings.length > 0) for (const key of keys) assert.ok(now[key] > before[key], `${settings} ${key}`)
    else before = now
  }
  assert.equal(
    footprint('ddsas.subspace=98').expected,
    footprint('ddsas.subspace=112').expected,
    'with `none` there is nothing more to run',
  )
  assert.deepEqual(
    footprint('data.batch=60', 'evaluation.batch=1000'),
    footprint('data.batch=50', 'evaluation.batch=50'),
    'no batch is larger than half of the images',
  )
})

test('a search that does not fit is refused with both amounts and the remedies', () => {
  const { likely, needed } = searchFootprint(small(), 'cpu', images)
  assert.ok(needed > likely + describeEngine().resident, 'the whole process')
  const cuda = searchFootprint(small(), 'cuda:0', images)
  assert.equal(cuda.needed, cuda.likely)
  const budget = (bytes: number) => ({ bytes, where: 'free on this machine' })
  checkMemory(small(), 'cpu', images, budget(needed))
  checkMemory(small(), 'cuda:0', images, undefined)
  assertRefuses(
    () => checkMemory(small(), 'cpu', images, budget(needed - 1)),
    'memory',
    /^L = 28 needs about \d+(\.\d)? MiB of memory, \d+(\.\d)? MiB are free on this machine: /,
    /a smaller ddsas\.subspace, data\.batch, network\.channels or evaluation\.batch/,
    /--set memory\.limit="1 GiB"$/,
  )
  assertRefuses(
    () => checkMemory(small('memory.limit=1 MiB'), 'cpu', images),
    'memory',
    /1\.0 MiB are allowed by memory\.limit/,
  )
})

test('a limit stands in place of what is free', () => {
  const free = () => ({ bytes: 5, where: 'free' })
  assert.deepEqual(memoryBudget(small(), 'cuda:0', free), free())
  // what the process holds is part of what it needs
  const own = memoryBudget(small(), 'cpu', free)
  assert.ok(
    own !== undefined && Math.abs(own.bytes - 5 - process.memoryUsage.rss()) < 2 ** 24,
    `${own?.bytes}`,
  )
  assert.equal(own.where, 'free or held already')
  assert.equal(memoryBudget(small('memory.limit=2 GB'), 'cpu', free)?.bytes, 2e9)
  assert.equal(
    memoryBudget(small(), 'cuda:0', () => undefined),
    undefined,
  )
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
