/** Sampling traces: scores, subspaces, saliency, pulls, elastic spaces and genotypes against the published code's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { dartsSpace } from '../../src/spaces/darts/cell-space.ts'
import { chooseEdges } from '../../src/spaces/darts/decode.ts'
import { Ddsas, ddsas } from '../../src/strategies/ddsas/ddsas.ts'
import { changeSpace, type ElasticChange } from '../../src/strategies/ddsas/elastic.ts'
import { rawWeights } from '../../src/strategies/ddsas/mixture.ts'
import { closeWindow, emptyState, type SamplingState } from '../../src/strategies/ddsas/saliency.ts'
import type { DdsasSettings } from '../../src/strategies/ddsas/settings.ts'
import { sampleSubspace } from '../../src/strategies/ddsas/subspace.ts'
import { ucbScores } from '../../src/strategies/ddsas/ucb.ts'
import { copy, Generator, Tensor, tidy } from '../../src/torch/index.ts'
import { absent, fixtureNames, readJson } from './fixtures.ts'

const matrix = z.array(z.array(z.number()))
const cell = z.object({
  alpha: matrix,
  zeta: matrix,
  ucb: matrix,
  mask: matrix,
  available: matrix,
  saliency: matrix,
  opt_steps: matrix,
})
const edges = z.array(z.tuple([z.string(), z.number()]))
const trace = z.object({
  primitives: z.array(z.string()),
  saliency_type: z.enum(['simple', 'all']),
  L: z.number(),
  confidence: z.number(),
  iterations: z.array(
    z.object({
      space_change: z.nullable(z.tuple([z.string(), z.number()]).rest(z.number())),
      total_opt_steps: z.number(),
      normal: cell,
      reduce: cell,
      genotype: z.object({ normal: edges, reduce: edges }),
    }),
  ),
})
type Trace = z.infer<typeof trace>
type Schedule = DdsasSettings['ddsas']['changes']

function close(
  actual: readonly (readonly number[])[],
  expected: readonly (readonly number[])[],
  what: string,
): void {
  actual.forEach((row, edge) => {
    row.forEach((value, k) => {
      const wanted = expected[edge][k]
      assert.ok(
        Math.abs(value - wanted) <= 1e-5 + 1e-4 * Math.abs(wanted),
        `${what}[${edge}][${k}]: ${value}, ${wanted}`,
      )
    })
  })
}

const asNumbers = (mask: readonly (readonly boolean[])[]) => mask.map((row) => row.map(Number))

function changeOf(recorded: Trace['iterations'][number]['space_change']): ElasticChange | undefined {
  if (recorded === null) return undefined
  const [kind, first, second] = recorded
  return kind === 'shrink' ? { kind, count: first } : { kind: 'expand', from: first, to: second }
}

function replay(recorded: Trace, type: 'normal' | 'reduce'): void {
  const none = recorded.primitives.indexOf('none')
  const mixture = recorded.saliency_type === 'all' ? 'joint' : 'simple'
  let memory: SamplingState = emptyState(14, recorded.primitives.length, 1)
  recorded.iterations.forEach((wanted, iteration) => {
    const { alpha, zeta, ...expected } = wanted[type]
    const at = (what: string) => `iteration ${iteration}, ${type} ${what}`
    const change = changeOf(wanted.space_change)
    if (change) {
      const group = { candidates: recorded.primitives, none }
      memory = { ...memory, available: changeSpace({ ...memory, estimates: zeta }, change, group) }
    }
    if (iteration > 0) memory = closeWindow(memory, rawWeights(alpha, zeta, memory.mask, mixture))
    const scores = ucbScores(zeta, memory.pulls, iteration + 1, recorded.confidence)
    const rule = { size: recorded.L, none, noneCounts: false }
    memory = { ...memory, mask: sampleSubspace(scores, zeta, memory.available, rule) }
    close(scores, expected.ucb, at('ucb'))
    assert.deepEqual(asNumbers(memory.available), expected.available, at('available'))
    assert.deepEqual(asNumbers(memory.mask), expected.mask, at('mask'))
    assert.deepEqual(memory.pulls, expected.opt_steps, at('pulls'))
    close(memory.saliency, expected.saliency, at('saliency'))
    assert.equal(wanted.total_opt_steps, iteration + 2)
    const chosen = chooseEdges(memory.saliency, memory.available, none).flat()
    const named = chosen.map(({ input, operation }) => [recorded.primitives[operation], input])
    assert.deepEqual(named, wanted.genotype[type], at('genotype'))
  })
}

test('golden values of sampling', { skip: absent }, () => {
  assert.ok(fixtureNames(/^sampling\..*\.json$/).length > 0, 'no sampling trace in the folder')
})

for (const name of fixtureNames(/^sampling\..*\.json$/)) {
  test(name, () => {
    const recorded = trace.parse(readJson(name))
    replay(recorded, 'normal')
    replay(recorded, 'reduce')
  })
}

/** A recorded event with the names of its operations, as schedules have it. */
function scheduled(recorded: Trace): Schedule {
  return recorded.iterations.flatMap<Schedule[number]>(({ space_change }, epoch) => {
    if (space_change === null) return []
    const [kind, first, second] = space_change
    if (kind === 'shrink') return [{ epoch, change: { kind, count: first } }]
    const operations = recorded.primitives.slice(first, second)
    return [{ epoch, change: first === 0 ? { kind: 'only', operations } : { kind: 'expand', operations } }]
  })
}

/** The strategy itself, in the space `darts` with its own columns: events by their names, windows, credits and genotypes. */
function replayByStrategy(recorded: Trace): void {
  const init = { device: 'cpu', generator: new Generator(0) }
  const usual = ddsas.defaults(dartsSpace)
  const settings = { ...usual, ddsas: { ...usual.ddsas, subspace: recorded.L, changes: scheduled(recorded) } }
  const strategy = new Ddsas({ space: dartsSpace, init, seed: 0, epochs: 50 }, settings)
  const own = dartsSpace.choices[0].candidates
  const ownColumns = <Value>(rows: readonly (readonly Value[])[]) =>
    rows.map((row) => own.map((name) => row[recorded.primitives.indexOf(name)]))
  for (const [iteration, wanted] of recorded.iterations.entries()) {
    tidy(() => {
      for (const type of ['normal', 'reduce'] as const)
        for (const name of ['alpha', 'zeta'] as const) {
          const values = Float32Array.from(ownColumns(wanted[type][name]).flat())
          const parameter = strategy.parameters().get(`${name}.${type}`) ?? assert.fail()
          copy(parameter, Tensor.from(values, [14, 8]))
        }
    })
    assert.equal(strategy.beginEpoch(iteration) === undefined, wanted.space_change === null)
    strategy.openWindow()
    for (const type of ['normal', 'reduce'] as const) {
      const { available, mask, pulls, saliency } = strategy.memory(type)
      const at = (what: string) => `iteration ${iteration}, ${type} ${what}`
      assert.deepEqual(asNumbers(available), ownColumns(wanted[type].available), at('available'))
      assert.deepEqual(asNumbers(mask), ownColumns(wanted[type].mask), at('mask'))
      assert.deepEqual(pulls, ownColumns(wanted[type].opt_steps), at('pulls'))
      close(saliency, ownColumns(wanted[type].saliency), at('saliency'))
    }
    const { normal, reduce } = strategy.derive()
    assert.deepEqual({ normal, reduce }, wanted.genotype)
  }
  strategy.dispose()
}

for (const name of fixtureNames(/^sampling\.(shrink|expand|imagenet)\..*\.json$/))
  test(`${name}, by the strategy and the names of operations`, () =>
    replayByStrategy(trace.parse(readJson(name))))

const availableCell = z.object({ saliency: matrix, available: z.array(z.array(z.boolean())) })
const availableCases = z.object({
  primitives: z.array(z.string()),
  cases: z
    .array(
      z.object({
        normal: availableCell,
        reduce: availableCell,
        genotype: z.object({ normal: edges, reduce: edges }),
      }),
    )
    .min(1),
})

test('genotypes from saliencies of which some operations are not available', { skip: absent }, () => {
  const { primitives, cases } = availableCases.parse(readJson('genotype.available.json'))
  const none = primitives.indexOf('none')
  for (const [index, one] of cases.entries())
    for (const type of ['normal', 'reduce'] as const) {
      const { saliency, available } = one[type]
      const chosen = chooseEdges(saliency, available, none).flat()
      const named = chosen.map(({ input, operation }) => [primitives[operation], input])
      assert.deepEqual(named, one.genotype[type], `case ${index}, ${type}`)
    }
})
