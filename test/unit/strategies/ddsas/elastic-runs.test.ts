/** Spaces that change at any moment: what is sampled after, and the architecture ever, hold nothing that is not available. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DdsasError } from '../../../../src/errors.ts'
import type { InitContext } from '../../../../src/nn/index.ts'
import { spaces } from '../../../../src/spaces/index.ts'
import type { SearchSpace } from '../../../../src/spaces/space.ts'
import { Ddsas, ddsas } from '../../../../src/strategies/ddsas/ddsas.ts'
import type { ElasticChange } from '../../../../src/strategies/ddsas/elastic.ts'
import {
  checkSettings,
  type DdsasSettings,
  sampledGroups,
  type VariantName,
} from '../../../../src/strategies/ddsas/settings.ts'
import type { SpaceChange } from '../../../../src/strategies/strategy.ts'
import { Generator } from '../../../../src/torch/index.ts'
import { progressOf } from '../tiny.ts'

const all: readonly SearchSpace[] = Object.values(spaces)

/** Changes that are typed by hand, most of which can be made. */
function handChanges(space: SearchSpace): fc.Arbitrary<SpaceChange> {
  const names = [...new Set(sampledGroups(space).flatMap(({ candidates }) => candidates))]
  const some = fc.subarray(names, { minLength: 1 })
  return fc.oneof(
    fc.integer({ min: 1, max: 60 }).map((count) => ({ kind: 'shrink' as const, count })),
    some.map((operations) => ({ kind: 'expand' as const, operations })),
    some.map((operations) => ({ kind: 'close' as const, operations })),
    some.map((operations) => ({ kind: 'only' as const, operations })),
  )
}

/** Those, and columns as older schedules name them. */
function scheduledChanges(space: SearchSpace): fc.Arbitrary<ElasticChange> {
  const columns = sampledGroups(space)[0].candidates.length
  const expansions = fc
    .tuple(fc.nat(columns - 1), fc.integer({ min: 1, max: columns }))
    .filter(([from, to]) => from < to)
    .map(([from, to]) => ({ kind: 'expand' as const, from, to }))
  return fc.oneof(handChanges(space), expansions)
}

interface Run {
  readonly space: SearchSpace
  readonly variant: VariantName
  readonly subspace: number
  readonly window: number
  readonly seed: number
}

const runs = (space: SearchSpace): fc.Arbitrary<Run> => {
  const [smallest, largest] = ddsas.subspace?.range(space) ?? assert.fail()
  return fc.record({
    space: fc.constant(space),
    variant: fc.constantFrom<VariantName>('authors-code', 'paper'),
    subspace: fc.integer({ min: smallest, max: largest }),
    window: fc.integer({ min: 1, max: 4 }),
    seed: fc.nat(1000),
  })
}

function settingsOf({ space, variant, subspace, window }: Run): DdsasSettings {
  const usual = ddsas.defaults(space)
  return { ...usual, ddsas: { ...usual.ddsas, variant, subspace, window } }
}

/** Runs `use` with a strategy of those settings. */
function withStrategy(
  { space, seed }: Run,
  settings: DdsasSettings,
  use: (strategy: Ddsas<unknown>) => void,
) {
  const init: InitContext = { device: 'cpu', generator: new Generator(seed, 'strategy') }
  const strategy = new Ddsas({ space, init, seed, epochs: 6 }, settings)
  try {
    use(strategy)
  } finally {
    strategy.dispose()
  }
}

/** The architecture holds what is available alone, and each edge has something other than `none` to run. */
function assertAvailable(space: SearchSpace, strategy: Ddsas<unknown>): void {
  const picks = space.encode(strategy.derive())
  for (const { name, none, candidates } of sampledGroups(space)) {
    const { available } = strategy.memory(name)
    for (const [edge, row] of available.entries()) {
      assert.ok(
        row.some((here, k) => here && k !== none),
        `edge ${edge} of ${name} is empty`,
      )
      for (const k of picks.get(name)?.[edge] ?? [])
        assert.ok(k !== none && row[k], `${candidates[k]} on edge ${edge} of ${name}`)
    }
  }
}

function assertSampled(space: SearchSpace, strategy: Ddsas<unknown>): void {
  for (const { name } of sampledGroups(space)) {
    const { mask, available } = strategy.memory(name)
    for (const [edge, row] of mask.entries())
      for (const [k, sampled] of row.entries()) assert.ok(!sampled || available[edge][k])
  }
}

for (const space of all) {
  test(`${space.name}: windows and changes by hand in any order; what is refused changes nothing`, () => {
    const events = fc.array(fc.option(handChanges(space), { nil: 'window' as const }), {
      minLength: 1,
      maxLength: 10,
    })
    let [made, refused] = [0, 0]
    const follow = (strategy: Ddsas<unknown>, event: SpaceChange | 'window') => {
      if (event === 'window') {
        strategy.openWindow()
        return assertSampled(space, strategy)
      }
      const before = JSON.stringify(strategy.state().data)
      try {
        strategy.changeSpace(event)
        made += 1
        assert.notEqual(JSON.stringify(strategy.state().data), before)
      } catch (error) {
        assert.ok(error instanceof DdsasError && error.kind === 'input', String(error))
        refused += 1
        assert.equal(JSON.stringify(strategy.state().data), before)
      }
    }
    fc.assert(
      fc.property(runs(space), events, (run, sequence) =>
        withStrategy(run, settingsOf(run), (strategy) => {
          for (const event of sequence) {
            follow(strategy, event)
            assertAvailable(space, strategy)
          }
          strategy.finish(progressOf(0, 1))
          assertAvailable(space, strategy)
        }),
      ),
      { numRuns: 60 },
    )
    assert.ok(made > 20 && refused > 5, `${made} made, ${refused} refused`)
  })

  test(`${space.name}: schedules of any kind that are not refused`, () => {
    const stage = fc.record({ epoch: fc.nat(5), change: scheduledChanges(space) })
    let followed = 0
    fc.assert(
      fc.property(runs(space), fc.array(stage, { minLength: 1, maxLength: 4 }), (run, changes) => {
        const usual = settingsOf(run)
        const settings = { ...usual, ddsas: { ...usual.ddsas, changes } }
        try {
          checkSettings(settings, space, 6)
        } catch {
          return
        }
        followed += 1
        withStrategy(run, settings, (strategy) => {
          for (let step = 0; step < 6 * 5; step++) {
            const at = progressOf(step, 5)
            if (at.step === 0) {
              strategy.beginEpoch(at.epoch)
              assertAvailable(space, strategy)
            }
            strategy.prepareStep(at)
            if (strategy.opensWindow(at)) assertSampled(space, strategy)
          }
          assertAvailable(space, strategy)
        })
      }),
      { numRuns: 60 },
    )
    assert.ok(followed > 10, `only ${followed} schedules were followed`)
  })
}
