/** Mixing weights (Eq. 7 to 9) and their gradients with respect to alpha and zeta against the published code's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mixingWeights, unnormalisedWeights } from '../../src/strategies/ddsas/mixing-weights.ts'
import { rawWeights } from '../../src/strategies/ddsas/mixture.ts'
import { grad, mul, setRequiresGrad, sum, type Tensor } from '../../src/torch/index.ts'
import { absent, assertClose, fixtureNames, readTensors, tensorOf } from './fixtures.ts'

const file = 'mixing-weights.safetensors'
const cases = fixtureNames(/^mixing-weights/).length > 0 ? ['simple', 'all'] : []

test('golden values of mixing weights', { skip: absent }, () => {
  assert.ok(cases.length > 0, `${file} is not in the folder`)
})

function assertVanishes(gradient: Tensor | null): void {
  for (const value of gradient?.floats() ?? [Number.NaN]) assert.ok(Math.abs(value) < 1e-6, `${value}`)
}

for (const type of cases)
  for (const form of ['normalized', 'raw'])
    test(`${type}, ${form}`, () => {
      const golden = readTensors(file)
      const get = (name: string) => tensorOf(golden, `${type}.${form}/${name}`)
      const [alpha, zeta, sampled] = [get('alpha'), get('zeta'), get('mask')]
      const columns = alpha.shape[1]
      const bits = [...sampled.bytes()].map(Boolean)
      const mask = alpha.matrix().map((_, edge) => bits.slice(edge * columns, (edge + 1) * columns))
      const mixture = type === 'all' ? 'joint' : 'simple'
      setRequiresGrad([alpha, zeta], true)
      const weights = (form === 'raw' ? unnormalisedWeights : mixingWeights)(alpha, zeta, sampled, mixture)
      const [dalpha, dzeta] = grad(sum(mul(weights, get('upstream'))), [alpha, zeta])
      assertClose(weights, get('weights'), 'weights')
      assertClose(dalpha, get('dalpha'), 'dalpha', { floor: 1e-6 })
      // normalised, the probability of the whole edge cancels: what is left of that gradient is rounding, in any order
      if (type === 'all' && form === 'normalized') assertVanishes(dzeta)
      else assertClose(dzeta, get('dzeta'), 'dzeta', { floor: 1e-6 })
      if (form === 'raw') {
        const plain = rawWeights(alpha.matrix(), zeta.matrix(), mask, mixture).flat()
        const golden = get('weights').floats()
        for (const [i, value] of plain.entries())
          assert.ok(Math.abs(value - golden[i]) < 1e-6, `plain weights [${i}]`)
      }
    })
