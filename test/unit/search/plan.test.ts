/** What a plan says of L that were not measured, and what it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applySettings, partsOf } from '../../../src/search/config.ts'
import { type Plan, planLengths } from '../../../src/search/plan.ts'
import { fit } from '../../../src/search/plan-fit.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { liveSlots, setThreads, tensorMemory } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

setThreads(1)

const settings = [
  'network.channels=4',
  'network.cells=3',
  'data.batch=8',
  'evaluation.batch=4',
  'threads=1',
  'device=cpu',
]

test('predictions lie on lines through what was measured, up to where all operations run', () => {
  const measured = [15, 35, 75].map((subspace) => ({
    subspace,
    typical: 1000 + 10 * subspace,
    spread: 0.5 * Math.sqrt(subspace * (98 - subspace)),
    secondsPerStep: 1 + subspace / 10,
    secondsPerImage: 5 - subspace / 100,
  }))
  const of = (variant: string) => {
    const config = applySettings(searchPreset('cifar10'), [`ddsas.variant=${variant}`])
    const { strategy, space } = partsOf(config)
    return fit(strategy.subspace?.whole(config, space), measured)
  }
  const near = (value: number, wanted: number) => assert.ok(Math.abs(value - wanted) < 1e-9, `${value}`)
  const code = of('authors-code')
  near(code(50).tensors, 1500)
  near(code(50).memory, 1500 + 1.5 * Math.sqrt(50 * 48))
  near(code(50).secondsPerStep, 6)
  for (const key of ['tensors', 'memory'] as const) {
    near(code(98)[key], 1980)
    near(code(112)[key], 1980)
    near(of('paper')(112)[key], 1000 + 1120)
  }
  assert.equal(of('paper')(15).secondsPerImage, of('paper')(112).secondsPerImage)
})

const plan = (extra: readonly string[], lengths: readonly number[], seen: (number | null)[] = []): Plan =>
  planLengths({ preset: 'cifar10', settings: [...settings, ...extra], lengths }, (subspace, done, total) => {
    assert.ok(done < total)
    seen.push(subspace)
  })

test('a plan that names no L has those alone that a search takes', () => {
  const { lengths } = planLengths({ preset: 'nasbench201', settings })
  assert.deepEqual(
    lengths.map(({ subspace }) => subspace),
    [7, 8, 9, 11, 12, 15, 23, 30],
  )
})

test('a plan: rows for what was asked, times for the whole search, and what fits a limit', () => {
  const before = [liveSlots(), tensorMemory().live]
  const seen: (number | null)[] = []
  const { measured, stepsPerEpoch, lengths, besides } = plan([], [20, 98], seen)
  assert.deepEqual(measured, [15, 35, 98])
  assert.deepEqual([...new Set(seen)], measured)
  assert.equal(stepsPerEpoch, 3125)
  assert.deepEqual(
    lengths.map(({ subspace, fits }) => [subspace, fits]),
    [
      [20, true],
      [98, true],
    ],
  )
  const dataset = 50_000 * 3080
  for (const { memory, tensors, seconds, secondsPerStep } of lengths) {
    assert.ok(tensors > dataset && tensors < dataset + 2 ** 26, 'the data set counts')
    assert.ok(memory >= tensors && memory < dataset + 1.3 * (tensors - dataset), `${memory} for ${tensors}`)
    assert.ok(secondsPerStep > 0 && seconds > 50 * 3125 * secondsPerStep)
  }
  assert.ok(besides > dataset && besides < 2 ** 30, `${besides}`)
  const between = Math.round((lengths[0].memory + lengths[1].memory) / 2)
  const limited = plan([`memory.limit=${between}`], [20, 98])
  assert.deepEqual(
    limited.lengths.map(({ fits }) => fits),
    [true, false],
  )
  assert.deepEqual([liveSlots(), tensorMemory().live], before)
  const narrow = plan([`memory.limit=${Math.round(lengths[0].memory) + 2 ** 20}`], [20])
  assert.deepEqual(narrow.measured, [15, 21], 'nearer, where the usual ones do not fit')
})

test('what cannot be planned is refused', () => {
  const refused =
    (extra: readonly string[], lengths: readonly number[] = [28]) =>
    () =>
      plan(extra, lengths)
  assertRefuses(refused([], [14]), 'input', /^L = 14 does not fit this space: use 15 … 112$/)
  assertRefuses(refused([], [113]), 'input', /^L = 113 does not fit/)
  assertRefuses(refused(['ddsas.subspace=14']), 'input', /^L = 14 does not fit/)
  assertRefuses(refused(['data.images=50001']), 'input', /data\.images = 50001, the training set has 50000/)
  assertRefuses(
    refused(['data.batch=50001']),
    'input',
    /^data\.batch = 50001, there are 50000 images; ask for/,
  )
  assertRefuses(refused(['data.images=7']), 'input', /^data\.batch = 8, there are 7 images/)
  assertRefuses(
    refused(['memory.limit=1 MiB']),
    'budget',
    /^L = 15 needs about \d+ MiB of memory for its tensors, 1\.0 MiB are allowed by memory\.limit/,
  )
})
