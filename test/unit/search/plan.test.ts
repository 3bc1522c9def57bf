/** Predictions for L that were not measured, against measurements; and what a plan refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { applySettings } from '../../../src/search/config.ts'
import { fit, planLengths } from '../../../src/search/plan.ts'
import { measureLengths } from '../../../src/search/plan-measure.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { describeEngine, setThreads } from '../../../src/torch/index.ts'
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
const images = 100

for (const variant of ['authors-code', 'paper']) {
  test(`the peak of an L that was not measured is predicted within 10 %: ${variant}`, () => {
    const config = applySettings(searchPreset('cifar10'), [...settings, `ddsas.variant=${variant}`])
    const measure = (...lengths: readonly number[]) => measureLengths(config, 'cpu', images, lengths)
    const predict = fit(config, measure(15, 35, 70))
    const unmeasured = fc.integer({ min: 16, max: 112 }).filter((length) => ![35, 70].includes(length))
    fc.assert(
      fc.property(unmeasured, (length) => {
        const [{ stepBytes, evaluationBytes }] = measure(length)
        const ratio = predict(length).tensors / Math.max(stepBytes, evaluationBytes)
        assert.ok(Math.abs(ratio - 1) < 0.1, `L = ${length}: ${ratio} of what was measured`)
      }),
      { numRuns: 12, endOnFailure: true },
    )
  })
}

test('memory is measured to the byte: twice the same', () => {
  const config = applySettings(searchPreset('cifar10'), settings)
  const peaks = () => measureLengths(config, 'cpu', images, [28]).map(({ stepBytes }) => stepBytes)
  assert.deepEqual(peaks(), peaks())
})

test('predictions lie on lines through what was measured, up to where all operations run', () => {
  const measured = [15, 35, 75].map((subspace) => ({
    subspace,
    stepBytes: 1000 + 10 * subspace,
    evaluationBytes: 1400,
    secondsPerStep: 1 + subspace / 10,
    secondsPerImage: 5 - subspace / 100,
  }))
  const of = (variant: string) =>
    fit(applySettings(searchPreset('cifar10'), [`ddsas.variant=${variant}`]), measured)
  const near = (value: number, wanted: number) => assert.ok(Math.abs(value - wanted) < 1e-9, `${value}`)
  near(of('authors-code')(50).tensors, 1500)
  near(of('authors-code')(20).tensors, 1400)
  near(of('authors-code')(50).secondsPerStep, 6)
  near(of('authors-code')(112).tensors, 1000 + 980)
  near(of('paper')(112).tensors, 1000 + 1120)
  assert.equal(of('paper')(15).secondsPerImage, of('paper')(112).secondsPerImage)
})

test('a plan: rows for what was asked, times for the whole search, and what fits a limit', () => {
  const seen: number[] = []
  const plan = planLengths({ preset: 'cifar10', settings, lengths: [20, 98] }, (subspace) =>
    seen.push(subspace),
  )
  assert.deepEqual(plan.measured, [15, 35, 70])
  assert.deepEqual([...new Set(seen)], plan.measured)
  assert.equal(plan.stepsPerEpoch, 3125)
  assert.deepEqual(
    plan.lengths.map(({ subspace, fits }) => [subspace, fits]),
    [
      [20, true],
      [98, true],
    ],
  )
  for (const { memory, tensors, seconds, secondsPerStep } of plan.lengths) {
    const least = tensors + 50_000 * 3072 + describeEngine().resident
    assert.ok(memory > least && memory < least + 300 * 2 ** 20, `${memory} for ${tensors}`)
    assert.ok(tensors > 50_000 * 3072, 'the data set counts')
    assert.ok(secondsPerStep > 0 && seconds > 50 * 3125 * secondsPerStep)
  }
  const between = Math.round((plan.lengths[0].memory + plan.lengths[1].memory) / 2)
  const limited = planLengths({
    preset: 'cifar10',
    settings: [...settings, `memory.limit=${between}`],
    lengths: [20, 98],
  })
  assert.deepEqual(
    limited.lengths.map(({ fits }) => fits),
    [true, false],
  )
})

test('what cannot be planned is refused', () => {
  const plan = (extra: readonly string[], lengths?: readonly number[]) => () =>
    planLengths({ preset: 'cifar10', settings: [...settings, ...extra], ...(lengths ? { lengths } : {}) })
  assertRefuses(plan([], [14]), 'input', /^L = 14 does not fit this space: use 15 … 112$/)
  assertRefuses(plan([], [113]), 'input', /^L = 113 does not fit/)
  assertRefuses(plan(['ddsas.subspace=14']), 'input', /^L = 14 does not fit/)
  assertRefuses(plan(['data.images=50001']), 'input', /data\.images = 50001, the training set has 50000/)
  assertRefuses(plan(['data.batch=50001']), 'input', /^data\.batch = 50001, there are 50000 images; ask for/)
  assertRefuses(plan(['data.images=7']), 'input', /^data\.batch = 8, there are 7 images/)
  assertRefuses(plan(['memory.limit=1 MiB']), 'memory', /^L = 15 needs about \d+ MiB/)
})
