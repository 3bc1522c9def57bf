/** A space within limits: the choice against all architectures, what cannot be met, and amounts as text. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CostTable, tableCost } from '../../../src/budget/cost-table.ts'
import { checkReachable, costRange, type Limit, withLimits } from '../../../src/budget/limits.ts'
import { formatAmount, formatNumber, parseCount, parseTime } from '../../../src/budget/limits-amounts.ts'
import { networkCosts } from '../../../src/budget/network-costs.ts'
import { cellSpace, dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { Available, Scores, SearchSpace } from '../../../src/spaces/space.ts'
import { Generator } from '../../../src/torch/random.ts'
import { assertRefuses } from '../runs/temporary.ts'

const cifar = { kind: 'cifar', channels: 4, cells: 3, classes: 10, imageSide: 32 } as const
const small = cellSpace({ ...darts, name: 'small', nodes: 2 })

function scoresOf({ choices }: SearchSpace, score: () => number): Scores {
  return new Map(
    choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, () => candidates.map(score)),
    ]),
  )
}

const limitOf = (space: SearchSpace, what: 'parameters' | 'multiplyAdds', share: number): Limit => {
  const table = networkCosts(space, cifar, what)
  const { least, most } = costRange(space, table)
  return { table, most: least + share * (most - least) }
}

/** The best sum of scores of one group's architectures within limits, of all there are. */
function enumerated(space: SearchSpace, scores: Scores, limits: readonly Limit[]): number {
  let best = Number.NEGATIVE_INFINITY
  const visit = (part: number, score: number, costs: readonly number[]) => {
    const alternatives = space.parts?.[part]
    if (alternatives === undefined) {
      if (costs.every((cost, q) => cost <= limits[q].most)) best = Math.max(best, score)
      return
    }
    for (const alternative of alternatives) {
      const sum = (values: Scores) =>
        alternative.reduce(
          (total, { group, row, column }) => total + (values.get(group)?.[row]?.[column] ?? 0),
          0,
        )
      visit(
        part + 1,
        score + sum(scores),
        costs.map((cost, q) => cost + sum(limits[q].table.costs)),
      )
    }
  }
  visit(
    0,
    0,
    limits.map(({ table }) => table.base),
  )
  return best
}

function scoreOf<Architecture>(
  space: SearchSpace<Architecture>,
  scores: Scores,
  architecture: Architecture,
): number {
  let total = 0
  for (const [group, rows] of space.encode(architecture))
    for (const [row, columns] of rows.entries())
      for (const column of columns) total += scores.get(group)?.[row]?.[column] ?? 0
  return total
}

test('the architecture of NAS-Bench-201 that is decoded has the best scores of all 15,625 within two limits', () => {
  const generator = new Generator(1, 'scores')
  for (const share of [0.1, 0.4, 0.8]) {
    const limits = [
      limitOf(nasbench201Space, 'parameters', share),
      limitOf(nasbench201Space, 'multiplyAdds', 0.6),
    ]
    const scores = scoresOf(nasbench201Space, () => generator.uniform())
    const found = withLimits(nasbench201Space, limits).decode(scores)
    const picks = nasbench201Space.encode(found)
    assert.ok(limits.every(({ table, most }) => tableCost(table, picks) <= most))
    const best = enumerated(nasbench201Space, scores, limits)
    assert.ok(Math.abs(scoreOf(nasbench201Space, scores, found) - best) < 1e-9)
  }
})

test('with nodes that cost something where nothing leads into them, still the best of all 15,625, and none is over the limit', () => {
  const generator = new Generator(5, 'empty nodes')
  const [cell] = nasbench201Space.choices
  const table: CostTable = {
    ...{ quantity: 'latency', unit: 'ms', base: 1 },
    costs: new Map([
      [cell.name, Array.from({ length: 6 }, () => cell.candidates.map(() => generator.uniform()))],
    ]),
    empty: [
      { group: cell.name, rows: [1, 2], none: 0, cost: 0.7 },
      { group: cell.name, rows: [3, 4, 5], none: 0, cost: 0.9 },
    ],
  }
  const architectures = Array.from({ length: 5 ** 6 }, (_, index) => {
    const columns = Array.from({ length: 6 }, (_, row) => Math.floor(index / 5 ** row) % 5)
    const empty = [columns.slice(1, 3), columns.slice(3)].map((own) => own.every((column) => column === 0))
    const costs = columns.reduce(
      (sum, column, row) => sum + (table.costs.get(cell.name)?.[row][column] ?? 0),
      1,
    )
    return { columns, cost: costs + (empty[0] ? 0.7 : 0) + (empty[1] ? 0.9 : 0) }
  })
  const all = architectures.map(({ cost }) => cost)
  const { least, most } = costRange(nasbench201Space, table)
  assert.ok(Math.abs(least - Math.min(...all)) < 1e-9 && Math.abs(most - Math.max(...all)) < 1e-9)
  // scores that speak for `none`, so that what is wanted has empty nodes
  const scores = new Map([
    [
      cell.name,
      Array.from({ length: 6 }, () => cell.candidates.map((_, k) => generator.uniform() + (k === 0 ? 1 : 0))),
    ],
  ])
  const scored = (columns: readonly number[]) =>
    columns.reduce((sum, column, row) => sum + (scores.get(cell.name)?.[row][column] ?? 0), 0)
  for (const share of [0.05, 0.2, 0.4]) {
    const limit = { table, most: least + share * (most - least) }
    const limited = withLimits(nasbench201Space, [limit])
    const picks = nasbench201Space.encode(limited.decode(scores))
    const columns = (picks.get(cell.name) ?? []).flat()
    const taken = architectures.find((one) => one.columns.join() === columns.join())
    assert.ok(taken && Math.abs(tableCost(table, picks) - taken.cost) < 1e-9 && taken.cost <= limit.most)
    const within = architectures.filter(({ cost }) => cost <= limit.most)
    assert.ok(Math.abs(scored(columns) - Math.max(...within.map((one) => scored(one.columns)))) < 1e-9)
  }
})

test('cells within a limit are the best of all, and no deleted operation is in them', () => {
  const generator = new Generator(2, 'cells')
  const few = cellSpace({
    name: 'few',
    nodes: 2,
    operations: Object.fromEntries(
      ['none', 'skip_connect', 'sep_conv_3x3', 'sep_conv_5x5'].map((name) => [name, darts.operations[name]]),
    ),
  })
  const scores = scoresOf(few, () => generator.uniform())
  const limits = [limitOf(few, 'parameters', 0.4)]
  const limited = withLimits(few, limits)
  const found = limited.decode(scores)
  assert.ok(Math.abs(scoreOf(few, scores, found) - enumerated(few, scores, limits)) < 1e-9)
  // without skip connections only the cheapest two convolutions a node are left, which are too much
  const available: Available = new Map(
    few.choices.map(({ name, rows }) => [
      name,
      Array.from({ length: rows }, () => [false, false, true, true]),
    ]),
  )
  const beyond = limited.decode(scores, available)
  assert.ok([...beyond.normal, ...beyond.reduce].every(([operation]) => operation === 'sep_conv_3x3'))
})

for (const space of [dartsSpace, nasbench201Space] as readonly SearchSpace[])
  test(`${space.name}: where limits do not bind nothing changes, and what is wanted without them is known`, () => {
    const limits = [limitOf(space, 'parameters', 1)]
    const limited = withLimits(space, limits)
    assert.equal(limited.wanted(), undefined)
    const generator = new Generator(3, 'same')
    for (let draw = 0; draw < 30; draw++) {
      // equals among them, as of operations that were never sampled
      const scores = scoresOf(space, () => (draw % 2 ? generator.below(3) : generator.uniform()))
      const plain = space.decode(scores)
      assert.deepEqual(limited.decode(scores), plain)
      assert.deepEqual(limited.wanted(), [tableCost(limits[0].table, space.encode(plain))])
    }
  })

test('without limits for a while: the architecture of the scores, and what it costs; bound again after, also after an error', async () => {
  const generator = new Generator(5, 'without')
  const scores = scoresOf(small, () => generator.uniform())
  const plain = small.decode(scores)
  const table = networkCosts(small, cifar, 'parameters')
  const most = tableCost(table, small.encode(plain))
  const limited = withLimits(small, [{ table, most: most - 1 }])
  const decoded: unknown[] = []
  await limited.withoutLimits(async () => {
    await null
    decoded.push(limited.decode(scores))
  })
  assert.deepEqual([decoded, limited.wanted()], [[plain], [most]])
  await assert.rejects(
    limited.withoutLimits(() => Promise.reject(new Error('none'))),
    /none/,
  )
  assert.ok(tableCost(table, small.encode(limited.decode(scores))) < most)
})

test('a limit as large as the architecture leaves it; one less gives another that keeps to it, also with equal scores', () => {
  const generator = new Generator(4, 'least')
  for (let draw = 0; draw < 10; draw++) {
    const scores = scoresOf(small, () => (draw % 2 ? generator.below(2) : generator.uniform()))
    const plain = small.decode(scores)
    const table = networkCosts(small, cifar, 'parameters')
    const most = tableCost(table, small.encode(plain))
    assert.deepEqual(withLimits(small, [{ table, most }]).decode(scores), plain)
    if (most === costRange(small, table).least) continue
    const limited = withLimits(small, [{ table, most: most - 1 }])
    const next = limited.decode(scores)
    assert.ok(tableCost(table, small.encode(next)) < most)
    assert.deepEqual(limited.decode(scores), next)
    assert.deepEqual(limited.wanted(), [most])
  }
})

test('limits that no network keeps to are refused with the nearest that one does, one by one and together', () => {
  const table = networkCosts(small, cifar, 'parameters')
  const { least } = costRange(small, table)
  const said = (message: RegExp, ...limits: readonly Limit[]) =>
    assertRefuses(() => checkReachable(small, limits, 'some size'), 'budget', message)
  said(/no network of 'small' has as little as 10 parameters: the cheapest of some size has .* parameters/, {
    table,
    most: 10,
  })
  checkReachable(small, [{ table, most: least }], 'some size')
  /** Cheap where the other is dear. */
  const opposite: CostTable = {
    quantity: 'latency',
    unit: 'ms',
    base: 1,
    costs: new Map(
      [...table.costs].map(([name, rows]) => [name, rows.map((row) => row.map((cost) => 1e6 - cost))]),
    ),
  }
  said(
    /is within .* parameters and .* ms latency at once, for some size: within .* ms latency the least is .* parameters; within .* parameters the least is .* ms latency; allow more/,
    { table, most: least },
    { table: opposite, most: costRange(small, opposite).least },
  )
})

test('amounts are read with their units and written with four digits', () => {
  const counts = { '3.3M': 3.3e6, '520 m': 520e6, '400k': 400_000, '1.2G': 1.2e9, '17': 17, '0': 0 }
  for (const [text, value] of Object.entries(counts)) assert.equal(parseCount(text), value)
  const times = { '12ms': 12, '800us': 0.8, '0.1 s': 100, '5': 5 }
  for (const [text, value] of Object.entries(times))
    assert.ok(Math.abs((parseTime(text) ?? 0) - value) < 1e-12)
  for (const text of ['', '-1M', 'NaN', '1e400', '3.3.3M', '12 miles', 'M', '9'.repeat(30)]) {
    assert.equal(parseCount(text), undefined)
    assert.equal(parseTime(text), undefined)
  }
  assert.equal(parseCount('12ms'), undefined)
  assert.equal(parseTime('12M'), undefined)
  assert.equal(formatNumber(3_349_342, ''), '3.349 M')
  assert.equal(formatNumber(9999, ''), '9999')
  assert.equal(formatNumber(12_345_678_901, '', 'up'), '12.35 G')
  assert.equal(formatNumber(0.81234, 'ms'), '0.8123 ms')
  assert.equal(formatNumber(0, 'ms'), '0 ms')
  assert.equal(formatAmount(520e6, { quantity: 'multiply-adds', unit: '' }), '520 M multiply-adds')
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e12 }), (amount) => {
      // what is named as the nearest can be asked for
      assert.ok((parseCount(formatNumber(amount, '', 'up')) ?? 0) >= amount)
    }),
  )
})
