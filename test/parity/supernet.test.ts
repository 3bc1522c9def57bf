/**
 * Whole searches in miniature: losses, gradients, subspaces, saliency and final weights against the published code's.
 *
 * Every manner is held to every golden value, through all steps. Golden values and searches in float32 can decide a kink within
 * rounding differently, as their libtorch and the order of its sums have it; with batches of four one such kink moves
 * gradients by more than 1e-4, and all later steps. So float64 finds the branches that the golden values were computed along
 * (kinks.ts), and the others go along those: with the golden values at hand float64 finds them by itself, ATen in NCHW
 * decides no kink otherwise, ATen in channels last three and the kernels two of a million, within 3e-7.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { channelsLast, describeEngine, resolveDevice } from '../../src/torch/index.ts'
import { absent, fixtureNames, readJson, readTensors } from './fixtures.ts'
import { comparison, nothingYet } from './golden.ts'
import { goldenBranches } from './golden-branches.ts'
import { holdAlong, manners } from './manners.ts'
import { free, type Golden, type Manner, recordSchema, trajectory } from './trajectory.ts'

const names = fixtureNames(/^supernet\..*\.json$/).map((file) => file.replace(/\.json$/, ''))

test('golden values of supernets', { skip: absent }, () => {
  assert.ok(names.length > 0, 'no supernet trajectory in the folder')
})

/** Computes once what several tests need. */
function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

for (const name of names) {
  const golden = once(
    (): Golden => ({
      recorded: recordSchema.parse(readJson(`${name}.json`)),
      tensors: readTensors(`${name}.safetensors`),
    }),
  )
  const along = once(() => goldenBranches(golden()))

  test(`${name}, float64, channels last`, (t) => {
    const { flips } = along()
    t.diagnostic(
      `all ${golden().recorded.steps} steps; kinks that the golden values decided otherwise: ${flips.length}`,
    )
  })

  for (const [how, manner] of Object.entries(manners))
    test(`${name}, ${how}`, (t) => {
      const said = holdAlong(golden(), along().branches, manner)
      t.diagnostic(`all ${golden().recorded.steps} steps; ${said}`)
    })

  if (describeEngine().cuda.length > 0)
    test(`${name}, float32, CUDA: losses and subspaces of the first step`, () => {
      const manner: Manner = {
        dtype: 'float32',
        device: resolveDevice('cuda'),
        layout: channelsLast,
        run: (body) => body(),
        byKernel: true,
      }
      const compare = comparison(golden(), nothingYet())
      trajectory(golden(), manner, free, (what, value) => /norm$/.test(what) || compare(what, value), 1)
    })
}
