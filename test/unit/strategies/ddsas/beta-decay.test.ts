/** The beta-decay regulariser: its gradient against finite differences of its value, and what a search applies it to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cellTypes } from '../../../../src/spaces/darts/genotype.ts'
import { betaDecayGradient } from '../../../../src/strategies/ddsas/beta-decay.ts'
import { betaDecayAt, published } from '../../../../src/strategies/ddsas/extended.ts'
import { maskTensor } from '../../../../src/strategies/ddsas/mixing-weights.ts'
import { Tensor, tidy } from '../../../../src/torch/index.ts'
import { withTiny } from '../tiny.ts'
import { matrices, smallSpaces } from './spaces.ts'
import { perEpoch, update } from './states.ts'

type Matrix = readonly (readonly number[])[]
type Mask = readonly (readonly boolean[])[]

/** lambda times the mean over edges of ln sum exp(alpha) over what is available. */
function regulariser(alpha: Matrix, available: Mask, lambda: number): number {
  const edges = alpha.map((row, edge) =>
    Math.log(row.reduce((sum, a, k) => sum + (available[edge][k] ? Math.exp(a) : 0), 0)),
  )
  return (lambda * edges.reduce((sum, one) => sum + one, 0)) / alpha.length
}

test('the gradient is that of finite differences in float64, and zero for what is not available', () => {
  const given = smallSpaces.chain((space) =>
    fc.record({
      available: fc.constant(space.available),
      alpha: matrices(space, fc.double({ min: -3, max: 3, noNaN: true })),
      lambda: fc.double({ min: 0, max: 50, noNaN: true }),
    }),
  )
  fc.assert(
    fc.property(given, ({ available, alpha, lambda }) => {
      const found = tidy(() => {
        const values = Tensor.from(Float64Array.from(alpha.flat()), [alpha.length, alpha[0].length])
        return betaDecayGradient(values, maskTensor(available, 'cpu'), lambda).matrix()
      })
      const step = 1e-5
      for (const [edge, row] of alpha.entries())
        for (const k of row.keys()) {
          const at = (by: number) =>
            regulariser(alpha.with(edge, row.with(k, row[k] + by)), available, lambda)
          const wanted = (at(step) - at(-step)) / (2 * step)
          assert.ok(Math.abs(found[edge][k] - wanted) < 1e-7, `${edge}, ${k}: ${found[edge][k]}, ${wanted}`)
          if (!available[edge][k]) assert.equal(found[edge][k], 0)
        }
    }),
    { numRuns: 50 },
  )
})

test('its weight grows linearly from 0 in the first epoch', () => {
  const settings = { ...published, betaDecay: 30 }
  assert.deepEqual(
    [0, 1, 2, 3].map((epoch) => betaDecayAt(settings, epoch, 4)),
    [0, 10, 20, 30],
  )
  assert.equal(betaDecayAt(settings, 0, 1), 0)
})

test('a large one lowers alpha of all that an edge has available, sampled or not, and no zeta; not in the first epoch', () => {
  const changes = [{ epoch: 0, change: { kind: 'close' as const, operations: ['sep_conv_5x5'] } }]
  const extended = { ...published, betaDecay: 1e6 }
  const after = (total: number, options: object) => {
    let found: number[][][] = []
    withTiny({ variant: 'extended', window: 4, changes, ...options }, (tiny) => {
      // an epoch late, Adam begins with the regulariser
      tiny.strategy.beginEpoch(0)
      update(tiny, total)
      const parameters = tiny.strategy.parameters()
      found = cellTypes.flatMap((cell) =>
        ['alpha', 'zeta'].map((kind) => parameters.get(`${kind}.${cell}`)?.matrix() ?? []),
      )
    })
    return found
  }
  assert.deepEqual(after(0, { extended }), after(0, {}))
  const [usual, decayed] = [after(perEpoch, {}), after(perEpoch, { extended })]
  for (const [at, matrix] of decayed.entries())
    for (const [edge, row] of matrix.entries())
      for (const [k, value] of row.entries()) {
        const isAlpha = at % 2 === 0
        // column 5 is closed; Adam's first step is its learning rate, 0.05, up or down, from 1e-3 N(0, 1)
        if (isAlpha && k !== 5) assert.ok(value < -0.04, `alpha ${edge}, ${k}: ${value}`)
        else assert.equal(value, usual[at][edge][k])
      }
})
