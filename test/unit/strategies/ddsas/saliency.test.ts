/** Upper confidence bounds, weights, saliency over windows and the chosen cell against their formulas. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseEdges } from '../../../../src/spaces/darts/decode.ts'
import { type Mixture, rawWeights } from '../../../../src/strategies/ddsas/mixture.ts'
import { closeWindow, emptyState } from '../../../../src/strategies/ddsas/saliency.ts'
import { ucbScores } from '../../../../src/strategies/ddsas/ucb.ts'
import { matrices, members, smallSpaces } from './spaces.ts'

const near = (actual: number, wanted: number, what: string) =>
  assert.ok(Math.abs(actual - wanted) <= 1e-12 * (1 + Math.abs(wanted)), `${what}: ${actual}, ${wanted}`)

const logits = fc.double({ min: -6, max: 6, noNaN: true })
const logistic = (x: number) => Math.exp(x) / (1 + Math.exp(x))

test('ucb: sigmoid(zeta) + c sqrt(ln T / t), infinite for what was never sampled', () => {
  const given = smallSpaces.chain((space) =>
    fc.record({
      zeta: matrices(space, logits),
      pulls: matrices(space, fc.nat(50)),
      totalPulls: fc.integer({ min: 1, max: 2000 }),
      exploration: fc.constantFrom(1.44, Math.SQRT2, 0),
    }),
  )
  fc.assert(
    fc.property(given, ({ zeta, pulls, totalPulls, exploration }) => {
      const scores = ucbScores(zeta, pulls, totalPulls, exploration)
      for (const [edge, row] of scores.entries())
        for (const [k, score] of row.entries()) {
          const t = pulls[edge][k]
          if (t === 0) assert.equal(score, Number.POSITIVE_INFINITY)
          else near(score, logistic(zeta[edge][k]) + exploration * (Math.log(totalPulls) / t) ** 0.5, 'score')
        }
    }),
  )
})

test('ucb before anything was sampled is no number that is not one', () => {
  assert.deepEqual(ucbScores([[0, 0]], [[0, 1]], 0, 1.44), [[Number.POSITIVE_INFINITY, 0.5]])
})

/** p_k q_k of one edge, or Eq. (9), straight from the definitions. */
function weightOf(alpha: number[], zeta: number[], sampled: boolean[], k: number, mixture: Mixture): number {
  if (!sampled[k]) return 0
  const q = Math.exp(alpha[k]) / alpha.reduce((sum, a, j) => sum + (sampled[j] ? Math.exp(a) : 0), 0)
  const p = zeta.map(logistic)
  return (
    q * (mixture === 'simple' ? p[k] : p.reduce((product, x, j) => product * (sampled[j] ? x : 1 - x), 1))
  )
}

test('weights: p q, or the probability of the sampled edge times q; shifting alpha changes nothing', () => {
  const given = smallSpaces.chain((space) =>
    fc.record({
      mask: fc.constant(space.available),
      alpha: matrices(space, logits),
      zeta: matrices(space, logits),
      mixture: fc.constantFrom<Mixture>('simple', 'joint'),
    }),
  )
  fc.assert(
    fc.property(given, ({ mask, alpha, zeta, mixture }) => {
      const weights = rawWeights(alpha, zeta, mask, mixture)
      const shifted = rawWeights(
        alpha.map((row) => row.map((a) => a + 1000)),
        zeta,
        mask,
        mixture,
      )
      for (const [edge, row] of mask.entries())
        for (const k of row.keys()) {
          near(
            weights[edge][k],
            weightOf(alpha[edge], zeta[edge], [...row], k, mixture),
            `weight ${edge}, ${k}`,
          )
          assert.ok(Math.abs(shifted[edge][k] - weights[edge][k]) < 1e-9)
        }
    }),
  )
})

const histories = smallSpaces.chain((space) =>
  fc.record({
    space: fc.constant(space),
    windows: fc.array(
      fc.record({
        mask: matrices(space, fc.boolean()),
        weights: matrices(space, fc.double({ min: 0, max: 1, noNaN: true })),
      }),
      { maxLength: 12 },
    ),
  }),
)

for (const [prior, what] of [
  [0, 'the mean over its windows, Eq. (12)'],
  [1, 'the sum over its windows by one more than their number'],
] as const)
  test(`saliency of an operation with t = ${prior} at first: ${what}`, () => {
    fc.assert(
      fc.property(histories, ({ space, windows }) => {
        let memory = emptyState(space.edges, space.operations, prior)
        for (const { mask, weights } of windows) memory = closeWindow({ ...memory, mask }, weights)
        for (const { edge, k } of members(memory.available)) {
          const own = windows.filter(({ mask }) => mask[edge][k]).map(({ weights }) => weights[edge][k])
          const sum = own.reduce((total, weight) => total + weight, 0)
          near(memory.saliency[edge][k], own.length === 0 ? 0 : sum / (own.length + prior), 'saliency')
          assert.equal(memory.pulls[edge][k], own.length + prior)
        }
      }),
    )
  })

test('closing a window changes nothing but saliency and pulls, and not the memory given', () => {
  const mask = [[true, false]]
  const given = { ...emptyState(1, 2, 0), mask }
  const copy = structuredClone(given)
  const closed = closeWindow(given, [[0.4, 0.9]])
  assert.deepEqual(given, copy)
  assert.deepEqual(closed, { ...given, saliency: [[0.4, 0]], pulls: [[1, 0]] })
})

test('a memory starts with everything available, nothing sampled, in rows of its own', () => {
  const memory = emptyState(3, 2, 1)
  assert.deepEqual(memory.available, Array(3).fill([true, true]))
  assert.deepEqual(memory.mask, Array(3).fill([false, false]))
  assert.deepEqual(memory.pulls, Array(3).fill([1, 1]))
  assert.equal(new Set([...memory.pulls, ...memory.saliency]).size, 6)
})

/**
 * Saliencies of a cell of n nodes, with few values so that equals are common; on each edge one operation other than `none`
 * is available at least.
 */
const salientCells = fc
  .record({ nodes: fc.integer({ min: 1, max: 5 }), operations: fc.integer({ min: 2, max: 5 }) })
  .chain(({ nodes, operations }) =>
    fc.nat(operations - 1).chain((none) => {
      const edges = (nodes * (nodes + 3)) / 2
      const kept = fc.array(fc.nat(operations - 2), { minLength: edges, maxLength: edges })
      return fc.record({
        nodes: fc.constant(nodes),
        none: fc.constant(none),
        saliency: matrices({ edges, operations }, fc.constantFrom(0, 0.1, 0.2, 0.3)),
        available: fc
          .tuple(matrices({ edges, operations }, fc.boolean()), kept)
          .map(([mask, ones]) =>
            mask.map((row, edge) => row.with(ones[edge] < none ? ones[edge] : ones[edge] + 1, true)),
          ),
      })
    }),
  )

test('the cell: of all incoming edges and available operations, the first with the largest saliencies', () => {
  fc.assert(
    fc.property(salientCells, ({ nodes, none, saliency, available }) => {
      const chosen = chooseEdges(saliency, available, none)
      assert.equal(chosen.length, nodes)
      let first = 0
      for (const [node, pair] of chosen.entries()) {
        const places = members(
          available.slice(first, first + node + 2).map((row) => row.map((here, k) => here && k !== none)),
        ).map(({ edge, k }) => ({ input: edge, operation: k, value: saliency[first + edge][k] }))
        const edges: typeof places = []
        for (const _ of [0, 1]) {
          const open = places.filter(({ input }) => edges.every((taken) => taken.input !== input))
          const largest = Math.max(...open.map(({ value }) => value))
          edges.push(...open.filter(({ value }) => value === largest).slice(0, 1))
        }
        assert.deepEqual(
          pair,
          edges.map(({ input, operation }) => ({ input, operation })),
        )
        first += node + 2
      }
    }),
    { numRuns: 300 },
  )
})
