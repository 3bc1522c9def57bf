/** Records of a small search, computed again from nothing but their numbers: scores, subspaces, saliency, the architecture. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cellTypes } from '../../../../src/spaces/darts/genotype.ts'
import { darts } from '../../../../src/spaces/darts/space.ts'
import type { VariantName } from '../../../../src/strategies/ddsas/settings.ts'
import {
  parseWindow,
  type SearchWindow,
  type WindowGroup,
  type WindowLine,
} from '../../../../src/strategies/ddsas/window-record.ts'
import { keep, Tensor, tidy } from '../../../../src/torch/index.ts'
import { archStep, makeStrategy, progressOf, type Tiny, withTiny } from '../tiny.ts'

const operations = Object.keys(darts.operations)
const perEpoch = 5
const epochs = 3
const size = 40

type Matrix = readonly (readonly number[])[]
type Mask = readonly (readonly boolean[])[]

/** What the paper and the published code do. */
const manners = {
  'authors-code': { c: 1.44, prior: 1, noneCounts: false, opens: [0, 3, 5, 8, 10, 13], lastCounts: false },
  paper: { c: Math.sqrt(2), prior: 0, noneCounts: true, opens: [0, 3, 6, 9, 12], lastCounts: true },
} as const

/** Runs steps; the records that were handed over, as they are read from a file. */
function steps(tiny: Tiny, from: number, to: number): WindowLine[] {
  const { strategy } = tiny
  const taken: WindowLine[] = []
  for (let total = from; total < to; total++)
    tidy(() => {
      const at = progressOf(total, perEpoch)
      if (at.step === 0) strategy.beginEpoch(at.epoch)
      strategy.prepareStep(at)
      archStep(tiny)
      const record = strategy.takeRecord()
      assert.equal(strategy.takeRecord(), undefined)
      if (record !== undefined) taken.push(record)
    })
  return taken
}

function finish({ strategy }: Tiny): WindowLine[] {
  const end = perEpoch * epochs
  strategy.finish(progressOf(end, perEpoch))
  return [strategy.takeRecord() ?? assert.fail('nothing was handed over')]
}

const read = (line: WindowLine): SearchWindow => parseWindow(JSON.parse(JSON.stringify(line)), 'a record')

/** The subspace by its definition: each edge's best first, then the best of the rest. */
function subspaceOf({ mean, bonus, zeta, available }: WindowGroup, noneCounts: boolean): boolean[][] {
  const all = mean
    .flatMap((row, edge) =>
      row.map((value, k) => ({ edge, k, score: value + bonus[edge][k], zeta: zeta[edge][k] })),
    )
    .filter(({ edge, k }) => available[edge][k])
  const ranked = all.sort((a, b) => (a.score === b.score ? b.zeta - a.zeta : b.score > a.score ? 1 : -1))
  const firsts = mean.map((_, edge) => ranked.findIndex((one) => one.edge === edge && one.k !== 0))
  const rest = ranked.flatMap(({ k }, at) => (!firsts.includes(at) && (noneCounts || k !== 0) ? [at] : []))
  const more = rest.slice(0, size - firsts.length)
  const last = more.at(-1) ?? -1
  const taken = new Set([...firsts, ...more])
  if (!noneCounts)
    for (const [at, { edge, k }] of ranked.entries())
      if (k === 0 && (at < last || at < firsts[edge])) taken.add(at)
  const mask = mean.map((row) => row.map(() => false))
  for (const at of taken) mask[ranked[at].edge][ranked[at].k] = true
  return mask
}

/** s <- (s t + w) / (t + 1) where sampled, with w = p q of Eq. (7). */
function credited(before: Matrix, { pulls, mask }: WindowGroup, alpha: Matrix, zeta: Matrix): number[][] {
  return before.map((row, edge) => {
    const total = alpha[edge].reduce((sum, a, k) => sum + (mask[edge][k] ? Math.exp(a) : 0), 0)
    return row.map((s, k) => {
      const t = pulls[edge][k]
      const weight = Math.exp(alpha[edge][k]) / total / (1 + Math.exp(-zeta[edge][k]))
      return mask[edge][k] ? (s * t + weight) / (t + 1) : s
    })
  })
}

function assertClose(found: Matrix, wanted: Matrix, what: string): void {
  for (const [edge, row] of wanted.entries())
    for (const [k, value] of row.entries())
      assert.ok(
        Math.abs(found[edge][k] - value) < 1e-6,
        `${what} of ${edge}, ${k}: ${found[edge][k]}, not ${value}`,
      )
}

/** The two edges of each node whose best operation is most salient, as a genotype names them. */
function pickedFrom({ saliency, available }: WindowGroup): unknown[] {
  const picked: unknown[] = []
  for (let node = 0, first = 0; node < 4; first += node + 2, node++) {
    const inputs = Array.from({ length: node + 2 }, (_, input) => {
      const values = saliency[first + input].map((s, k) => (k === 0 || !available[first + input][k] ? -1 : s))
      const most = Math.max(...values)
      return { most, input, name: operations[values.indexOf(most)] }
    })
    const two = inputs.sort((a, b) => b.most - a.most).slice(0, 2)
    picked.push(...two.map(({ name, input }) => [name, input]))
  }
  return picked
}

const matricesOf = ({ strategy }: Tiny, cell: string) => {
  const parameters = strategy.parameters()
  const [alpha, zeta] = ['alpha', 'zeta'].map((name) => parameters.get(`${name}.${cell}`)?.matrix() ?? [])
  return { alpha, zeta }
}

for (const variant of ['authors-code', 'paper'] as const satisfies readonly VariantName[])
  test(`${variant}: from the numbers of a record follow its subspace, its saliency and its architecture`, () => {
    const { c, prior, noneCounts, opens, lastCounts } = manners[variant]
    withTiny({ variant, subspace: size, window: 3 }, (tiny) => {
      const windows = [...steps(tiny, 0, perEpoch * epochs), ...finish(tiny)].map(read)
      const ends = [...opens.slice(1), perEpoch * epochs]
      const places = windows.map(({ epoch, opened, closed }) => [epoch, opened, closed])
      assert.deepEqual(
        places,
        opens.map((opened, i) => [Math.floor(opened / perEpoch), opened, ends[i]]),
      )
      for (const [i, window] of windows.entries()) {
        const next = windows.at(i + 1)
        const last = next === undefined
        assert.deepEqual([window.last, window.credited], [last, !last || lastCounts])
        assert.deepEqual([window.exploration, window.totalPulls], [c, i + prior])
        const { normal, reduce } = window.groups
        const concat = [2, 3, 4, 5]
        assert.deepEqual(window.architecture, {
          ...{ normal: pickedFrom(normal), normal_concat: concat },
          ...{ reduce: pickedFrom(reduce), reduce_concat: concat },
        })
        for (const cell of cellTypes) {
          const group = window.groups[cell]
          assert.deepEqual(group.mask, subspaceOf(group, noneCounts), `subspace ${i} of ${cell}`)
          const before =
            i === 0 ? group.saliency.map((row) => row.map(() => 0)) : windows[i - 1].groups[cell].saliency
          const { alpha, zeta } = next?.groups[cell] ?? matricesOf(tiny, cell)
          const wanted = window.credited ? credited(before, group, alpha, zeta) : before
          assertClose(group.saliency, wanted, `saliency ${i} of ${cell}`)
          const earlier = windows.slice(0, i).map(({ groups }) => groups[cell].mask)
          const pulls = group.mask.map((row, edge) =>
            row.map((_, k) => prior + earlier.filter((mask: Mask) => mask[edge][k]).length),
          )
          assert.deepEqual(group.pulls, pulls)
          const never = group.bonus.flat().filter((bonus) => bonus === Number.POSITIVE_INFINITY).length
          assert.equal(never, pulls.flat().filter((t) => t === 0).length)
        }
      }
      assert.deepEqual(windows.at(-1)?.architecture, JSON.parse(JSON.stringify(tiny.strategy.derive())))
      assert.ok(
        windows.some(({ groups }) => groups.normal.bonus.flat().includes(Number.POSITIVE_INFINITY)) ===
          (prior === 0),
      )
    })
  })

test('what a space no longer holds is told of by the first window that is sampled without it', () => {
  const changes = [{ epoch: 1, change: { kind: 'shrink', count: 60 } as const }]
  withTiny({ variant: 'paper', subspace: size, window: 4, changes }, (tiny) => {
    const windows = [...steps(tiny, 0, perEpoch * epochs), ...finish(tiny)].map(read)
    const held = windows.map(({ groups }) => groups.reduce.available.flat().filter(Boolean).length)
    // the second window was open when the space shrank
    assert.deepEqual(held, [112, 112, 52, 52])
    assert.deepEqual(windows[2].groups.reduce.available, tiny.strategy.memory('reduce').available)
  })
})

test('saved in the middle of a window, another strategy hands over the same records', () => {
  withTiny({ window: 4 }, (tiny) => {
    steps(tiny, 0, 7)
    const { tensors, data } = tiny.strategy.state()
    const copies = [...tensors].map(
      ([name, tensor]) => [name, keep(Tensor.from(tensor.bytes(), tensor.shape, tensor.dtype))] as const,
    )
    const state = { tensors: new Map(copies), data: JSON.parse(JSON.stringify(data)) }
    const wanted = JSON.stringify([...steps(tiny, 7, perEpoch * epochs), ...finish(tiny)])
    const { window: _, ...older } = state.data
    for (const [known, saved] of [
      [true, state],
      // of a version that kept no records: what it knew of the open window is lost
      [false, { ...state, data: older }],
    ] as const) {
      const other = { ...tiny, strategy: makeStrategy({ window: 4 }, 77) }
      other.strategy.load(saved)
      const found = [...steps(other, 7, perEpoch * epochs), ...finish(other)]
      assert.equal(JSON.stringify(found), known ? wanted : JSON.stringify(JSON.parse(wanted).slice(1)))
      other.strategy.dispose()
    }
    for (const [, copy] of copies) copy.dispose()
  })
})
