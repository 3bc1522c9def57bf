/** Spaces that change at any moment: what is sampled after, and the genotype ever, hold nothing that is not available. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cellTypes, type Genotype } from '../../../../src/spaces/darts/genotype.ts'
import { darts } from '../../../../src/spaces/darts/space.ts'
import type { Ddsas } from '../../../../src/strategies/ddsas/ddsas.ts'
import type { SpaceChange } from '../../../../src/strategies/ddsas/elastic.ts'
import { makeStrategy, progressOf } from '../tiny.ts'

const operations = Object.keys(darts.operations)
const none = operations.indexOf('none')

const changes: fc.Arbitrary<SpaceChange> = fc.oneof(
  fc.integer({ min: 1, max: 98 }).map((count) => ({ kind: 'shrink' as const, count })),
  fc.tuple(fc.nat(6), fc.integer({ min: 2, max: 8 })).map(([from, to]) => ({
    kind: 'expand' as const,
    from: Math.min(from, to - 1),
    to,
  })),
)

/** A window that opens, or a change of the space. */
const events = fc.array(fc.option(changes, { nil: 'window' as const }), { minLength: 1, maxLength: 8 })

function assertGenotypeAvailable(strategy: Ddsas<Genotype>): void {
  for (const cell of cellTypes) {
    const { available } = strategy.memory(cell)
    for (const row of available) assert.ok(row.some((here, k) => here && k !== none))
    for (const [i, [name, input]] of strategy.derive()[cell].entries()) {
      const node = Math.floor(i / 2)
      const edge = (node * (node + 3)) / 2 + input
      const operation = operations.indexOf(name)
      assert.ok(operation !== none && available[edge][operation], `${cell}: ${name} on edge ${edge}`)
    }
  }
}

for (const variant of ['authors-code', 'paper'] as const)
  test(`${variant}: windows and changes in any order`, () => {
    fc.assert(
      fc.property(events, fc.nat(1000), (sequence, seed) => {
        const strategy = makeStrategy({ variant, subspace: 40 }, seed)
        try {
          for (const event of sequence) {
            if (event !== 'window') strategy.changeSpace(event)
            else strategy.openWindow()
            assertGenotypeAvailable(strategy)
            for (const cell of event === 'window' ? cellTypes : []) {
              const { mask, available } = strategy.memory(cell)
              for (const [edge, row] of mask.entries())
                for (const [k, sampled] of row.entries()) assert.ok(!sampled || available[edge][k])
            }
          }
          strategy.finish(progressOf(0, 1))
          assertGenotypeAvailable(strategy)
        } finally {
          strategy.dispose()
        }
      }),
      { numRuns: 60 },
    )
  })
