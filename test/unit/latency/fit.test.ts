/** The fit: an additive machine is recovered, noise averages out, and a machine that fuses is predicted within ten per cent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CostTable, tableCost } from '../../../src/budget/cost-table.ts'
import { fitCosts, type Known, type TimedPicks } from '../../../src/latency/fit.ts'
import { drawArchitecture } from '../../../src/spaces/architecture-weights.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { Picks, SearchSpace } from '../../../src/spaces/space.ts'
import { Generator } from '../../../src/torch/index.ts'

/** What a machine takes for picks, by a formula. */
type Machine = (picks: Picks) => number

function timed(space: SearchSpace, count: number, generator: Generator, machine: Machine): TimedPicks[] {
  return Array.from({ length: count }, () => {
    const picks = space.encode(drawArchitecture(space, generator))
    return { picks, ms: machine(picks) }
  })
}

/** A class for each column of each group, as where all rows are alike; `alone`: by classes. */
function knownOf({ choices }: SearchSpace, alone: readonly number[]): Known {
  let next = 0
  const classes = choices.map(({ name, rows, candidates }) => {
    const own = candidates.map(() => next++)
    return [name, Array.from({ length: rows }, () => own)] as const
  })
  return { choices, classes: new Map(classes), alone: Array.from({ length: next }, (_, k) => alone[k] ?? 0) }
}

function additive(known: Known, base: number, cost: (kind: number, row: number) => number): Machine {
  return (picks) => {
    let total = base
    for (const [group, rows] of picks)
      for (const [row, columns] of rows.entries())
        for (const column of columns) total += cost(known.classes.get(group)?.[row][column] ?? 0, row)
    return total
  }
}

/** Largest relative error on networks that the fit has not seen. */
function worst(table: Pick<CostTable, 'base' | 'costs' | 'empty'>, others: readonly TimedPicks[]): number {
  const whole = { quantity: 'latency', unit: 'ms', ...table }
  return Math.max(...others.map(({ picks, ms }) => Math.abs(tableCost(whole, picks) - ms) / ms))
}

for (const space of [dartsSpace, nasbench201Space])
  test(`${space.name}: what is additive by classes is predicted exactly from 40 networks, whatever was timed alone`, () => {
    const seeds = fc.integer({ min: 0, max: 1e6 })
    fc.assert(
      fc.property(seeds, fc.boolean(), fc.double({ min: 0.5, max: 50, noNaN: true }), (seed, any, base) => {
        const generator = new Generator(seed, 'machine')
        const truth = Array.from({ length: 32 }, () => 0.1 + generator.uniform())
        const alone = truth.map((value) => (any ? generator.uniform() : value / 2))
        const known = knownOf(space, alone)
        const machine = additive(known, base, (kind) => truth[kind])
        const fitted = fitCosts(timed(space, 40, generator, machine), known)
        assert.ok(worst(fitted, timed(space, 20, generator, machine)) < 1e-4)
        for (const row of [...fitted.costs.values()].flat(2)) assert.ok(row >= 0)
      }),
      { numRuns: 8 },
    )
  })

test('what nodes cost that nothing leads into is found, and makes cheap networks predictable', () => {
  const generator = new Generator(6, 'machine')
  const truth = [0.02, 0.01, 0.1, 0.6, 0.05]
  const known = knownOf(nasbench201Space, truth)
  const sum = additive(known, 0.2, (kind) => truth[kind])
  const empty = (columns: readonly (readonly number[])[]) => columns.flat().every((column) => column === 0)
  const machine: Machine = (picks) => {
    const rows = picks.get('cell') ?? []
    return sum(picks) + 0.15 * [rows.slice(1, 3), rows.slice(3)].filter(empty).length
  }
  const fitted = fitCosts(timed(nasbench201Space, 80, generator, machine), known)
  const others = timed(nasbench201Space, 400, generator, machine)
  assert.ok(worst(fitted, others) < 0.01)
  assert.ok(worst({ base: fitted.base, costs: fitted.costs }, others) > 0.2)
  assert.deepEqual(
    fitted.empty.map(({ rows, none, cost }) => [rows, none, Math.round(100 * cost)]),
    [
      [[1, 2], 0, 15],
      [[3, 4, 5], 0, 15],
    ],
  )
})

test('rows that differ from each other are told apart where there are networks enough', () => {
  const generator = new Generator(1, 'machine')
  const known = knownOf(nasbench201Space, [])
  const machine = additive(known, 2, (kind, row) => 0.2 * kind + 0.1 * row * kind)
  const fitted = fitCosts(timed(nasbench201Space, 100, generator, machine), known)
  assert.ok(worst(fitted, timed(nasbench201Space, 50, generator, machine)) < 1e-3)
})

test('noise of 5 % in each time leaves 2 % of error in predictions of an additive machine', () => {
  const generator = new Generator(2, 'machine')
  const truth = Array.from({ length: 32 }, () => 0.1 + generator.uniform())
  const known = knownOf(
    dartsSpace,
    truth.map((value) => value * (0.8 + 0.4 * generator.uniform())),
  )
  const exact = additive(known, 3, (kind) => truth[kind])
  const noisy: Machine = (picks) => exact(picks) * (1 + 0.05 * generator.normal())
  const fitted = fitCosts(timed(dartsSpace, 80, generator, noisy), known)
  const others = timed(dartsSpace, 50, generator, exact)
  const whole = { quantity: 'latency', unit: 'ms', ...fitted }
  const errors = others.map(({ picks, ms }) => Math.abs(tableCost(whole, picks) - ms) / ms)
  assert.ok(errors.reduce((sum, error) => sum + error, 0) / errors.length < 0.02)
})

test('a machine that fuses neighbours is predicted within 10 %, far better than by what operations take alone', () => {
  const generator = new Generator(3, 'machine')
  const truth = Array.from({ length: 32 }, (_, kind) => 0.2 + 0.1 * (kind % 8))
  const known = knownOf(dartsSpace, truth)
  const sum = additive(known, 4, (kind) => 0.6 * truth[kind])
  // two of a kind in a cell share work
  const fused: Machine = (picks) => {
    const shared = [...picks.values()].map((rows) => {
      const columns = rows.flat()
      return columns.length - new Set(columns).size
    })
    return sum(picks) - 0.15 * shared.reduce((a, b) => a + b, 0)
  }
  const fitted = fitCosts(timed(dartsSpace, 80, generator, fused), known)
  const others = timed(dartsSpace, 50, generator, fused)
  assert.ok(worst(fitted, others) < 0.1)
  const costs = new Map(
    [...known.classes].map(([group, rows]) => [group, rows.map((row) => row.map((k) => truth[k]))]),
  )
  assert.ok(worst({ base: 4, costs }, others) > 0.2)
})

test('no cost is negative, and what cannot be picked costs nothing', () => {
  const generator = new Generator(4, 'machine')
  const known = knownOf(dartsSpace, [])
  // skips make networks faster than any other network's base
  const machine = additive(known, 50, (kind) => (kind % 8 === 3 ? 0 : 1))
  const fitted = fitCosts(timed(dartsSpace, 60, generator, machine), known)
  for (const rows of fitted.costs.values())
    for (const row of rows) {
      assert.equal(row[0], 0)
      for (const cost of row) assert.ok(cost >= 0, String(cost))
    }
  assert.ok(worst(fitted, timed(dartsSpace, 20, generator, machine)) < 1e-3)
})
