/** The expected cost: its values against sums over all architectures, its gradients against central differences. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CostTable } from '../../../src/budget/cost-table.ts'
import { ExpectedCost, LimitPenalty } from '../../../src/budget/penalty.ts'
import type { ArchWeightsOf } from '../../../src/nn/index.ts'
import { cellSpace, dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { Alternative, SearchSpace } from '../../../src/spaces/space.ts'
import { Generator, liveSlots, mul, Tensor, tidy } from '../../../src/torch/index.ts'
import { checkGradients } from '../spaces/numerical.ts'

const where = { device: 'cpu', dtype: 'float64' } as const

function tableOf({ choices }: SearchSpace, cost: () => number, base = 0): CostTable {
  const costs = new Map(
    choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, () => candidates.map(cost)),
    ]),
  )
  return { quantity: 'parameters', unit: '', base, costs }
}

/** Positive strengths of each group, some candidates of which do not run. */
function strengthsOf({ choices }: SearchSpace, generator: Generator): Map<string, number[][]> {
  return new Map(
    choices.map(({ name, rows, candidates, none }) => [
      name,
      Array.from({ length: rows }, (_, row) =>
        candidates.map((_, k) => ((row + k) % 3 === 0 && k !== none ? 0 : 0.1 + generator.uniform())),
      ),
    ]),
  )
}

function weightsOf(strengths: ReadonlyMap<string, number[][]>): {
  readonly tensors: Map<string, Tensor>
  readonly of: ArchWeightsOf
} {
  const tensors = new Map(
    [...strengths].map(([name, rows]) => [
      name,
      Tensor.from(Float64Array.from(rows.flat()), [rows.length, rows[0].length]),
    ]),
  )
  const of: ArchWeightsOf = (name) => {
    const tensor = tensors.get(name)
    assert.ok(tensor)
    return { weights: mul(tensor, 3), sampledOps: [], strengths: () => tensor }
  }
  return { tensors, of }
}

/** By the definition, alternative by alternative. */
function expectedByHand(
  { parts = [] }: SearchSpace,
  strengths: ReadonlyMap<string, number[][]>,
  { base, costs }: CostTable,
): number {
  const picked = new Set(parts.flat(2).map(({ group, row, column }) => `${group} ${row} ${column}`))
  const chance = ({ group, row, column }: Alternative[number]) => {
    const values = (strengths.get(group)?.[row] ?? []).map((value, k) =>
      picked.has(`${group} ${row} ${k}`) ? value : 0,
    )
    return (Math.max(...values) * values[column]) / values.reduce((sum, value) => sum + value, 0)
  }
  return parts.reduce((total, alternatives) => {
    const chances = alternatives.map((one) => one.reduce((product, choice) => product * chance(choice), 1))
    const sum = chances.reduce((all, value) => all + value, 0)
    return alternatives.reduce(
      (so, one, at) =>
        so +
        (chances[at] / sum) *
          one.reduce((cost, { group, row, column }) => cost + (costs.get(group)?.[row]?.[column] ?? 0), 0),
      total,
    )
  }, base)
}

/** Alternatives of one candidate, and of two. */
const uneven: SearchSpace<unknown> = {
  ...nasbench201Space,
  decode: () => undefined,
  encode: () => new Map(),
  parse: () => undefined,
  format: () => '',
  distance: () => 0,
  network: () => {
    throw new Error('not built')
  },
  indicators: () => ({}),
  parts: [
    [
      [{ group: 'cell', row: 0, column: 1 }],
      [
        { group: 'cell', row: 1, column: 1 },
        { group: 'cell', row: 2, column: 3 },
      ],
    ],
    [[{ group: 'cell', row: 3, column: 0 }], [{ group: 'cell', row: 3, column: 2 }]],
  ],
}
const spaces: readonly (readonly [name: string, space: SearchSpace])[] = [
  ['darts', dartsSpace],
  ['cells of two nodes', cellSpace({ ...darts, name: 'two', nodes: 2 })],
  ['nasbench201', nasbench201Space],
  ['uneven alternatives', uneven],
]

test('a node that nothing leads into costs what it costs, by the chance that `none` is picked in each of its rows', () => {
  tidy(() => {
    const generator = new Generator(7, 'empty nodes')
    const table = tableOf(nasbench201Space, () => generator.uniform(), 5)
    const empty = [
      { group: 'cell', rows: [1, 2], none: 0, cost: 3 },
      { group: 'cell', rows: [3, 4, 5], none: 0, cost: 7 },
    ]
    const strengths = new Map([
      ['cell', Array.from({ length: 6 }, () => Array.from({ length: 5 }, () => 0.1 + generator.uniform()))],
    ])
    const rows = strengths.get('cell') ?? []
    const none = rows.map(([first, ...others]) => first / others.reduce((sum, value) => sum + value, first))
    const wanted =
      expectedByHand(nasbench201Space, strengths, table) +
      3 * none[1] * none[2] +
      7 * none[3] * none[4] * none[5]
    const expected = new ExpectedCost(nasbench201Space, [{ table: { ...table, empty }, most: 1 }], where)
    const [share] = expected.shares(weightsOf(strengths).of).floats()
    assert.ok(Math.abs(share - wanted) < 1e-12 * wanted, `${share} ${wanted}`)
    expected.dispose()
  })
})

for (const [name, space] of spaces) {
  test(`${name}: the shares of two limits are what all alternatives cost, each by its chance`, () => {
    tidy(() => {
      const generator = new Generator(1, name)
      const limits = [100, 3].map((most) => ({ table: tableOf(space, () => generator.uniform(), 5), most }))
      const strengths = strengthsOf(space, generator)
      const expected = new ExpectedCost(space, limits, where)
      const shares = expected.shares(weightsOf(strengths).of).floats()
      for (const [q, { table, most }] of limits.entries()) {
        const wanted = expectedByHand(space, strengths, table) / most
        assert.ok(Math.abs(shares[q] - wanted) < 1e-12 * Math.max(1, wanted), `${shares[q]} ${wanted}`)
      }
      expected.dispose()
    })
  })

  test(`${name}: gradients of the shares agree with central differences`, () => {
    tidy(() => {
      const generator = new Generator(2, name)
      const limits = [{ table: tableOf(space, () => generator.uniform(), 5), most: 10 }]
      const { tensors, of } = weightsOf(strengthsOf(space, generator))
      const expected = new ExpectedCost(space, limits, where)
      checkGradients(() => tidy(() => mul(expected.shares(of), 7)), tensors, generator, {
        mayVanish: () => name === 'uneven alternatives',
      })
      expected.dispose()
    })
  })
}

test('of the soft choice each node has two edges, and each row of one candidate counts one', () => {
  for (const [space, picks] of [
    [dartsSpace, 16],
    [nasbench201Space, 6],
  ] as const)
    tidy(() => {
      const limits = [{ table: tableOf(space, () => 1), most: 1 }]
      const expected = new ExpectedCost(space, limits, where)
      const share = expected.shares(weightsOf(strengthsOf(space, new Generator(3, 'ones'))).of)
      assert.ok(Math.abs(share.floats()[0] - picks) < 1e-12)
      expected.dispose()
    })
})

test('candidates that are never picked count for nothing: the others of the row take their place', () => {
  const none = 0
  tidy(() => {
    const generator = new Generator(4, 'none')
    const limits = [{ table: tableOf(dartsSpace, () => generator.uniform()), most: 1 }]
    const expected = new ExpectedCost(dartsSpace, limits, where)
    const strengths = strengthsOf(dartsSpace, generator)
    const share = () => expected.shares(weightsOf(strengths).of).floats()[0]
    const before = share()
    for (const rows of strengths.values()) for (const row of rows) row[none] = 100
    assert.equal(share(), before)
    expected.dispose()
  })
})

test('lambda grows with what is too much, falls with what is left and never below 0, and leaves no tensor behind', () => {
  const slots = liveSlots()
  const limits = [10, 20].map((most) => ({ table: tableOf(nasbench201Space, () => 1, 4), most }))
  const penalty = new LimitPenalty(nasbench201Space, limits, 'cpu', { rate: 0.5 })
  tidy(() => {
    const { of } = weightsOf(strengthsOf(nasbench201Space, new Generator(5, 'lambda')))
    const float: ArchWeightsOf = (group) => {
      const { weights } = of(group)
      return { weights: Tensor.from(Float32Array.from(weights.floats()), weights.shape), sampledOps: [] }
    }
    assert.equal(penalty.used, false)
    // 4 + 6 of 10, and of 20
    assert.equal(penalty.of(float).item(), 0)
    assert.equal(penalty.used, true)
    penalty.follow([15, 30])
    assert.deepEqual(penalty.lambdas, [0.25, 0.25])
    assert.ok(Math.abs(penalty.of(float).item() - 0.25 * (1 - 1 + 0.5 - 1)) < 1e-6)
    penalty.follow([10, 0])
    assert.deepEqual(penalty.lambdas, [0.25, 0])
    penalty.load([2, 1])
    assert.ok(Math.abs(penalty.of(float).item() + 0.5) < 1e-6)
  })
  penalty.dispose()
  assert.equal(liveSlots(), slots)
})
