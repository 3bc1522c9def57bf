/** Choosing at the end by masking: against a loss whose parts are known, by enumeration; deterministic, and taken up where it stopped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ArchWeightsOf } from '../../../../src/nn/index.ts'
import { dartsSpace } from '../../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../../../../src/spaces/space.ts'
import { Ddsas } from '../../../../src/strategies/ddsas/ddsas.ts'
import { published } from '../../../../src/strategies/ddsas/extended.ts'
import { defaultSettings } from '../../../../src/strategies/ddsas/settings.ts'
import { usualOccasion } from '../../../../src/strategies/strategy.ts'
import { Generator, liveSlots } from '../../../../src/torch/index.ts'
import { free, saved } from './states.ts'

type Matrix = readonly (readonly number[])[]

function strategyOf<A>(
  space: SearchSpace<A>,
  selection: 'loss' | 'accuracy' | 'saliency',
  size: number,
): Ddsas<A> {
  const { ddsas, ...rest } = defaultSettings(space)
  const extended = { ...published, selection, selectionImages: 7 }
  const settings = { ...rest, ddsas: { ...ddsas, variant: 'extended' as const, subspace: size, extended } }
  const init = { device: 'cpu', generator: new Generator(3, 'strategy') }
  const made = new Ddsas({ space, init, seed: 3, epochs: 2 }, settings)
  for (let window = 0; window < 12; window++) made.openWindow({ epoch: 0, globalStep: window })
  return made
}

/** What each operation takes off the loss where it runs: any numbers, of both signs. */
function gainsOf<A>(space: SearchSpace<A>): ReadonlyMap<string, Matrix> {
  const generator = new Generator(9, 'gains')
  return new Map(
    space.choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, () => candidates.map(() => generator.normal())),
    ]),
  )
}

/** A supernet whose loss is the sum of its parts, and how often it was asked. */
class Sums<A> {
  readonly gains: ReadonlyMap<string, Matrix>
  readonly space: SearchSpace<A>
  calls = 0
  /** After so many calls it is stopped once. */
  stopAt = Number.POSITIVE_INFINITY
  readonly seen: Map<string, readonly (readonly number[])[]>[] = []

  constructor(space: SearchSpace<A>) {
    this.space = space
    this.gains = gainsOf(space)
  }

  readonly evaluate = async (of: ArchWeightsOf, images?: number) => {
    assert.equal(images, 7)
    if (this.calls === this.stopAt) {
      this.stopAt = Number.POSITIVE_INFINITY
      throw new Error('stopped')
    }
    this.calls += 1
    let gain = 0
    const runs = new Map<string, readonly (readonly number[])[]>()
    for (const { name } of this.space.choices) {
      const { sampledOps, weights } = of(name)
      runs.set(name, sampledOps)
      for (const [row, columns] of sampledOps.entries()) {
        const all = weights.matrix()[row]
        const total = columns.reduce((sum, column) => sum + all[column], 0)
        if (columns.length > 0) assert.ok(Math.abs(total - 1) < 1e-6, 'the rest weighs one again')
        for (const column of columns) gain += this.gains.get(name)?.[row][column] ?? Number.NaN
      }
    }
    this.seen.push(runs)
    return { loss: 10 - gain, accuracy: 0.5 + gain / 100 }
  }
}

const last = { last: true }

test('NAS-Bench-201: of all cells in the most salient subspace the one of least loss, by loss and by accuracy', async () => {
  for (const by of ['loss', 'accuracy'] as const) {
    const strategy = strategyOf(nasbench201Space, by, 12)
    const sums = new Sums(nasbench201Space)
    const { saliency, mask } = strategy.memory('cell')
    const found = await strategy.derive(sums.evaluate, last)
    const [whole] = sums.seen
    const runs = whole.get('cell') ?? []
    // L without `none`: every edge's most salient, and then the most salient of the rest
    const none = nasbench201Space.choices[0].none ?? -1
    const places = saliency.flatMap((row, edge) => row.map((value, k) => ({ edge, k, value })))
    const usable = places.filter(({ k }) => k !== none).sort((a, b) => b.value - a.value)
    const firsts = mask.map((_, edge) => usable.find((one) => one.edge === edge))
    const rest = usable.filter((one) => !firsts.includes(one)).slice(0, 12 - 6)
    const wanted = mask.map((_, edge) =>
      [...firsts, ...rest].flatMap((one) => (one?.edge === edge ? [one.k] : [])).sort((a, b) => a - b),
    )
    assert.deepEqual(runs, wanted)
    // every cell of it
    const gains = sums.gains.get('cell') ?? []
    let cells: { picks: number[]; gain: number }[] = [{ picks: [], gain: 0 }]
    for (const [edge, columns] of wanted.entries())
      cells = cells.flatMap(({ picks, gain }) =>
        columns.map((column) => ({ picks: [...picks, column], gain: gain + gains[edge][column] })),
      )
    assert.ok(cells.length > 10)
    const [best] = cells.sort((a, b) => b.gain - a.gain)
    assert.deepEqual(
      nasbench201Space.encode(found).get('cell'),
      best.picks.map((column) => [column]),
    )
    // the whole, and each operation of an edge with several
    assert.equal(sums.calls, 1 + wanted.flatMap((columns) => (columns.length > 1 ? columns : [])).length)
    strategy.dispose()
  }
})

test("DARTS's cells: on each edge the operation, into each node the two edges, whose loss costs most", async () => {
  const strategy = strategyOf(dartsSpace, 'loss', 28)
  const sums = new Sums(dartsSpace)
  const found = await strategy.derive(sums.evaluate, last)
  const picks = dartsSpace.encode(found)
  for (const [name, runs] of sums.seen[0]) {
    const gains = sums.gains.get(name) ?? []
    for (let node = 0, first = 0; node < 4; first += node + 2, node++) {
      const edges = Array.from({ length: node + 2 }, (_, input) => {
        const columns = runs[first + input]
        const own = columns.map((column) => gains[first + input][column])
        const whole = own.reduce((sum, one) => sum + one, 0)
        return { edge: first + input, whole, column: columns[own.indexOf(Math.max(...own))] }
      })
      const two = edges.sort((a, b) => b.whole - a.whole).slice(0, 2)
      for (const { edge } of edges) {
        const wanted = two.find((one) => one.edge === edge)
        assert.deepEqual(picks.get(name)?.[edge], wanted ? [wanted.column] : [], `${name}, edge ${edge}`)
      }
    }
  }
  strategy.dispose()
})

test('all scores that picked it are told, and what else would be next; between epochs saliency chooses and nothing is measured', async () => {
  const strategy = strategyOf(dartsSpace, 'loss', 28)
  const usual = strategyOf(dartsSpace, 'saliency', 28)
  const sums = new Sums(dartsSpace)
  assert.deepEqual(await strategy.derive(sums.evaluate, usualOccasion), usual.derive())
  assert.deepEqual(strategy.scores(), usual.scores())
  assert.equal(sums.calls, 0)
  const found = await strategy.derive(sums.evaluate, last)
  assert.notDeepEqual(found, usual.derive())
  const { values, available } = strategy.scores()
  assert.deepEqual(dartsSpace.decode(values, available), found)
  // as the loop does after the last epoch
  strategy.finish({ epoch: 2, step: 0, globalStep: 12 })
  const { calls } = sums
  assert.deepEqual(await strategy.derive(sums.evaluate, last), found)
  assert.equal(sums.calls, calls, 'what was measured is not measured again')
  assert.deepEqual(strategy.takeRecord()?.architecture, found)
  for (const one of [strategy, usual]) one.dispose()
})

test('a step forgets what was measured', async () => {
  const strategy = strategyOf(nasbench201Space, 'loss', 12)
  const sums = new Sums(nasbench201Space)
  await strategy.derive(sums.evaluate, last)
  const { calls } = sums
  strategy.prepareStep({ epoch: 0, step: 1, globalStep: 31 })
  await strategy.derive(sums.evaluate, last)
  assert.equal(sums.calls, 2 * calls)
  strategy.dispose()
})

test('stopped midway, another goes on from the saved state: the same cell, nothing measured twice, progress told', async () => {
  const strategy = strategyOf(nasbench201Space, 'loss', 12)
  const sums = new Sums(nasbench201Space)
  const told: [number, number][] = []
  const progress = (done: number, total: number) => void told.push([done, total])
  const wanted = await strategy.derive(sums.evaluate, { last: true, progress })
  const { calls } = sums
  assert.deepEqual(
    told,
    Array.from({ length: calls }, (_, at) => [at + 1, calls]),
  )
  const before = liveSlots()
  const stopped = strategyOf(nasbench201Space, 'loss', 12)
  const again = new Sums(nasbench201Space)
  again.stopAt = 4
  await assert.rejects(async () => stopped.derive(again.evaluate, last), /stopped/)
  const state = saved(stopped)
  const other = strategyOf(nasbench201Space, 'loss', 12)
  other.load(state)
  free(state)
  assert.deepEqual(await other.derive(again.evaluate, last), wanted)
  assert.equal(again.calls, calls)
  assert.deepEqual(other.state().data.masked, strategy.state().data.masked)
  for (const one of [stopped, other]) one.dispose()
  assert.equal(liveSlots(), before, 'nothing is left behind')
  strategy.dispose()
})
