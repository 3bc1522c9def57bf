/** Architectures are drawn evenly, and ranked by validation; a ranking that was stopped goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ArchWeightsOf } from '../../../src/nn/index.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import { Ranking } from '../../../src/strategies/shared/ranking.ts'
import { UniformPaths } from '../../../src/strategies/shared/single-path.ts'
import type { Evaluate, StrategyContext } from '../../../src/strategies/strategy.ts'
import { Generator, liveSlots } from '../../../src/torch/index.ts'

function contextOf<A>(space: SearchSpace<A>): StrategyContext<A> {
  return { space, init: { device: 'cpu', generator: new Generator(0) }, seed: 5, epochs: 3 }
}

/** Pearson's chi-square of counts that should all be the same. */
function chiSquare(counts: readonly number[]): number {
  const wanted = counts.reduce((sum, count) => sum + count, 0) / counts.length
  return counts.reduce((sum, count) => sum + (count - wanted) ** 2 / wanted, 0)
}

/** Chi-square of one degree of freedom less than there are kinds, at 1 - 1e-4, by Wilson and Hilferty. */
function bound(kinds: number): number {
  const df = kinds - 1
  return df * (1 - 2 / (9 * df) + 3.719 * Math.sqrt(2 / (9 * df))) ** 3
}

function countsOf(all: readonly string[]): number[] {
  const counts = new Map<string, number>()
  for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1)
  return [...counts.values()]
}

function drawn<A>(space: SearchSpace<A>, count: number): A[] {
  const paths = new UniformPaths(contextOf(space))
  const found = Array.from({ length: count }, () => {
    paths.prepareStep()
    return space.parse(paths.state().current, 'state')
  })
  paths.dispose()
  return found
}

test('every operation of every edge, and every pair of them, is drawn as often in NAS-Bench-201', () => {
  const cells = drawn(nasbench201Space, 2000).map(({ cell }) => cell)
  for (let edge = 0; edge < 6; edge++) {
    const one = countsOf(cells.map((cell) => cell[edge]))
    assert.equal(one.length, 5)
    assert.ok(chiSquare(one) < bound(5), one.join())
    const two = countsOf(cells.map((cell) => `${cell[edge]} ${cell[(edge + 1) % 6]}`))
    assert.equal(two.length, 25)
    assert.ok(chiSquare(two) < bound(25), two.join())
  }
})

test('every operation, and every pair of edges into a node, is drawn as often in the space of DARTS', () => {
  const cells = drawn(dartsSpace, 1000).map(({ normal }) => normal)
  for (let node = 0; node < 4; node++) {
    const edges = cells.map((cell) => cell.slice(2 * node, 2 * node + 2))
    const operations = countsOf(edges.flatMap((pair) => pair.map(([name]) => name)))
    assert.equal(operations.length, 7, '`none` is no operation of a cell')
    assert.ok(chiSquare(operations) < bound(7), operations.join())
    if (node === 0) continue
    const pairs = countsOf(
      edges.map((pair) =>
        pair
          .map(([, input]) => input)
          .sort()
          .join(),
      ),
    )
    assert.equal(pairs.length, ((node + 2) * (node + 1)) / 2)
    assert.ok(chiSquare(pairs) < bound(pairs.length), pairs.join())
  }
})

/** Four cells that are told apart by what runs on the first edge, and what each scores on all images, or on some. */
const cells = ['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3'].map((first) =>
  nasbench201Space.parse(`|${first}~0|+|none~0|none~1|+|none~0|none~1|none~2|`, 'cell'),
)
const some = [
  { loss: 2, accuracy: 0.5 },
  { loss: 1, accuracy: 0.5 },
  { loss: 3, accuracy: 0.6 },
  { loss: 1, accuracy: 0.5 },
]
const all = [
  { loss: 1, accuracy: 0.9 },
  { loss: 1, accuracy: 0.8 },
  { loss: 1, accuracy: 0.1 },
  { loss: 1, accuracy: 0.9 },
]

/** Notes what was measured; stops as Ctrl-C does where it was asked for so many. */
function evaluation(stopAt = Number.POSITIVE_INFINITY) {
  const asked: [column: number, images: number | undefined][] = []
  const evaluate: Evaluate = async (weights: ArchWeightsOf, images) => {
    const [[column]] = weights('cell').sampledOps
    if (asked.length === stopAt) throw new Error('stopped')
    asked.push([column, images])
    return (images === undefined ? all : some)[column]
  }
  return { asked, evaluate }
}

const how = { images: 8, finalists: 3 }
const order = (ranking: Ranking<unknown>) =>
  ranking.ranked.map(({ architecture }) =>
    cells.findIndex((cell) => nasbench201Space.distance(cell, architecture as never) === 0),
  )

test('between epochs: by accuracy, of equals by loss, then as they came', async () => {
  const ranking = new Ranking(contextOf(nasbench201Space))
  const { asked, evaluate } = evaluation()
  const told: string[] = []
  const before = liveSlots()
  const progress = (done: number, total: number) => told.push(`${done}/${total}`)
  const [best] = await ranking.rank(cells, evaluate, how, { last: false, progress })
  assert.deepEqual(best, { architecture: cells[2], ...some[2] })
  assert.deepEqual(order(ranking), [2, 1, 3, 0])
  assert.deepEqual(
    asked,
    [0, 1, 2, 3].map((column) => [column, 8]),
  )
  assert.deepEqual(told, ['1/4', '2/4', '3/4', '4/4'])
  assert.equal(liveSlots(), before)
})

test('in the end the best of those are measured on all images, and ranked by that', async () => {
  const ranking = new Ranking(contextOf(nasbench201Space))
  const { asked, evaluate } = evaluation()
  const ranked = await ranking.rank(cells, evaluate, how, { last: true })
  assert.deepEqual(order(ranking), [3, 1, 2])
  assert.deepEqual(ranked[0], { architecture: cells[3], ...all[3] })
  assert.deepEqual(
    asked.slice(4),
    [2, 1, 3].map((column) => [column, undefined]),
  )
})

test('measured on all images already, nothing is measured twice', async () => {
  const ranking = new Ranking(contextOf(nasbench201Space))
  const { asked, evaluate } = evaluation()
  await ranking.rank(cells, evaluate, { images: 0, finalists: 3 }, { last: true })
  assert.deepEqual(order(ranking), [0, 3, 1, 2])
  assert.equal(asked.length, 4)
})

for (const stopAt of [2, 5])
  test(`stopped after ${stopAt} measurements, saved and read back, the rest is measured and the order is the same`, async () => {
    const whole = new Ranking(contextOf(nasbench201Space))
    await whole.rank(cells, evaluation().evaluate, how, { last: true })
    const stopped = new Ranking(contextOf(nasbench201Space))
    const first = evaluation(stopAt)
    await assert.rejects(stopped.rank(cells, first.evaluate, how, { last: true }), /stopped/)
    const resumed = new Ranking(contextOf(nasbench201Space))
    resumed.load({ tensors: new Map(), data: JSON.parse(JSON.stringify(stopped.state())) })
    const second = evaluation()
    await resumed.rank(cells, second.evaluate, how, { last: true })
    assert.equal(first.asked.length + second.asked.length, 7)
    assert.deepEqual(resumed.state(), whole.state())
    assert.deepEqual(whole.state().ranking.measured, [])
  })

test('a checkpoint whose ranking is malformed is refused', () => {
  const ranking = new Ranking(contextOf(nasbench201Space))
  const load = (ranked: unknown) => ranking.load({ tensors: new Map(), data: { ranking: ranked } })
  assert.throws(() => load({ measured: [{ loss: 'low' }] }), { kind: 'checkpoint' })
  assert.throws(() => load({ ranked: [{ loss: 1, accuracy: 1, architecture: { cell: ['conv'] } }] }), {
    kind: 'input',
  })
})
