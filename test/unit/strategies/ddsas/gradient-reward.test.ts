/** Sampling by the size of gradients: what the size is, its means over windows, and that a search notes just that. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { published } from '../../../../src/strategies/ddsas/extended.ts'
import { noRewards, rewarded, rewardMeans } from '../../../../src/strategies/ddsas/gradient-reward.ts'
import { maskTensor, mixingWeights } from '../../../../src/strategies/ddsas/mixing-weights.ts'
import { parseWindow } from '../../../../src/strategies/ddsas/window-record.ts'
import { lossGradients } from '../../../../src/strategies/shared/arch-optimizer.ts'
import { grad, mul, setRequiresGrad, sum, Tensor, tidy } from '../../../../src/torch/index.ts'
import { archStep, progressOf, type Tiny, withTiny } from '../tiny.ts'
import { matrices, smallSpaces } from './spaces.ts'
import { perEpoch } from './states.ts'

const real = fc.double({ min: -3, max: 3, noNaN: true })
const cases = smallSpaces.chain((space) =>
  fc.record({
    mask: fc.constant(space.available),
    alpha: matrices(space, real),
    zeta: matrices(space, real),
    slopes: matrices(space, real),
  }),
)

test('d loss / d alpha_k is w_k (g_k - sum w g), 1 - w_k times what leaving k out costs at first order; zeta has 1 - p_k of it', () => {
  const matrix = (rows: readonly (readonly number[])[]) =>
    Tensor.from(Float64Array.from(rows.flat()), [rows.length, rows[0].length])
  fc.assert(
    fc.property(cases, ({ mask, alpha, zeta, slopes }) => {
      const found = tidy(() => {
        const parameters = [matrix(alpha), matrix(zeta)]
        setRequiresGrad(parameters, true)
        const [a, z] = parameters
        const weights = mixingWeights(a, z, maskTensor(mask, 'cpu'), 'simple')
        const loss = sum(mul(weights, matrix(slopes)))
        return grad(loss, parameters).map((one) => one?.matrix() ?? [])
      })
      for (const [edge, runs] of mask.entries()) {
        const p = zeta[edge].map((x) => 1 / (1 + Math.exp(-x)))
        const parts = p.map((x, k) => (runs[k] ? x * Math.exp(alpha[edge][k]) : 0))
        const total = parts.reduce((all, part) => all + part, 0)
        const lossWithout = (left?: number) => {
          const kept = parts.map((part, k) => (k === left ? 0 : part))
          const all = kept.reduce((one, part) => one + part, 0)
          return kept.reduce((loss, part, k) => loss + (part / all) * slopes[edge][k], 0)
        }
        for (const [k, part] of parts.entries()) {
          const w = part / total
          const wanted = w * (slopes[edge][k] - lossWithout())
          assert.ok(Math.abs(found[0][edge][k] - wanted) < 1e-12)
          assert.ok(Math.abs(found[1][edge][k] - (1 - p[k]) * wanted) < 1e-12)
          // the loss is linear in the weights here, so that first order is all
          if (w > 0 && w < 0.999)
            assert.ok(Math.abs(found[0][edge][k] - (1 - w) * (lossWithout() - lossWithout(k))) < 1e-9)
        }
      }
    }),
    { numRuns: 60 },
  )
})

test('rewards: mean over the windows in which an operation had company, of its size by the mean size of all', () => {
  const histories = smallSpaces.chain((space) =>
    fc.record({
      space: fc.constant(space),
      windows: fc.array(
        fc.record({
          mask: matrices(space, fc.boolean()),
          sums: matrices(space, fc.double({ min: 0, max: 1, noNaN: true }).map(Math.fround)),
        }),
        { maxLength: 8 },
      ),
    }),
  )
  fc.assert(
    fc.property(histories, ({ space, windows }) => {
      let memory = noRewards(space.available.map((row) => row.map(() => 0)))
      for (const { mask, sums } of windows) memory = rewarded(memory, sums, mask)
      const own = space.available.map((row) => row.map((): number[] => []))
      for (const { mask, sums } of windows) {
        const places = mask.flatMap((row, edge) =>
          row.filter(Boolean).length < 2 ? [] : row.flatMap((is, k) => (is ? [[edge, k] as const] : [])),
        )
        const mean = places.reduce((total, [edge, k]) => total + sums[edge][k], 0) / places.length
        if (places.length === 0 || mean === 0) continue
        for (const [edge, k] of places) own[edge][k].push(sums[edge][k] / mean)
      }
      for (const [edge, row] of rewardMeans(memory).entries())
        for (const [k, found] of row.entries()) {
          const all = own[edge][k]
          const r = all.reduce((total, one) => total + one, 0) / all.length
          assert.equal(memory.rewarded[edge][k], all.length)
          assert.ok(Math.abs(found - (all.length === 0 ? 0.5 : r / (1 + r))) < 1e-9)
        }
    }),
  )
})

/** |d loss / d alpha| of the validation batch, before the step that moves alpha. */
function sizesOf({ supernet, strategy, valid }: Tiny): number[] {
  const alpha = strategy.parameters().get('alpha.normal') ?? assert.fail('there is no alpha')
  const of = (group: string) => strategy.archWeights(group)
  const [gradient] = lossGradients(supernet, [alpha], of, valid).gradients
  return (gradient?.matrix() ?? []).flat().map(Math.abs)
}

test('a search samples by the sizes that its own steps had, and says so in its records', () => {
  const extended = { ...published, reward: 'gradient' } as const
  withTiny({ variant: 'extended', window: 3, extended }, (tiny) => {
    const { strategy } = tiny
    const all: number[][] = []
    for (let total = 0; total < 3; total++)
      tidy(() => {
        strategy.prepareStep(progressOf(total, perEpoch))
        all.push(sizesOf(tiny))
        archStep(tiny)
      })
    const { mask } = strategy.memory('normal')
    strategy.openWindow({ epoch: 0, globalStep: 3 })
    const summed = all[0].map((_, at) => all.reduce((total, sizes) => total + sizes[at], 0))
    const seen = mask.flatMap((row) => row.map((is) => is && row.filter(Boolean).length > 1))
    const kept = summed.filter((_, at) => seen[at])
    const mean = kept.reduce((total, size) => total + size, 0) / kept.length
    assert.ok(kept.length > 10 && mean > 0)
    // the record of the second window has the means that it was sampled by
    strategy.takeRecord()
    strategy.openWindow({ epoch: 0, globalStep: 6 })
    const line = JSON.parse(JSON.stringify(strategy.takeRecord() ?? assert.fail('there is no record')))
    const { groups } = parseWindow(line, 'it')
    for (const [at, found] of groups.normal.mean.flat().entries()) {
      const r = summed[at] / mean
      assert.ok(Math.abs(found - (seen[at] ? r / (1 + r) : 0.5)) < 1e-4, `${at}: ${found}`)
    }
    const { mean: text, ...older } = line.groups.normal
    assert.equal(typeof text, 'string')
    // without it the mean is sigmoid(zeta)
    const { zeta, mean: usual } = parseWindow({ ...line, groups: { normal: older } }, 'it').groups.normal
    assert.equal(usual[2][3], 1 / (1 + Math.exp(-zeta[2][3])))
  })
})
