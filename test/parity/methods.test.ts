/** DARTS and GDAS against the published code: gradients of alpha, temperatures, draws. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type ArchWeightsOf, type InitContext, Network, namedParameters, Sgd } from '../../src/nn/index.ts'
import { dartsSpace } from '../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../src/spaces/nasbench201/space.ts'
import { darts, unrolledGradients } from '../../src/strategies/darts.ts'
import { drawnCandidates, gdasTemperature, straightThrough } from '../../src/strategies/gdas.ts'
import { lossGradients } from '../../src/strategies/shared/arch-optimizer.ts'
import { copy, Generator, softmax, type Tensor, tidy } from '../../src/torch/index.ts'
import { absent, assertClose, below, readJson, readTensors, tensorOf } from './fixtures.ts'
import { assertNorm, type Layout, manners } from './norms.ts'

const init = (): InitContext => ({ device: 'cpu', generator: new Generator(0) })

/** A supernet of the space of DARTS with the golden weights and velocities. */
function secondOrder(golden: ReadonlyMap<string, Tensor>, layout: Layout) {
  const supernet = new Network(dartsSpace.supernet({ channels: 4, cells: 4, classes: 10 }), init())
  const weights = namedParameters(supernet)
  for (const [name, weight] of weights) copy(weight, tensorOf(golden, `init/${name}`))
  const weightOptimizer = new Sgd(weights, { momentum: 0.9, weightDecay: 3e-4 })
  weightOptimizer.load(below(golden, 'momentum/'))
  const batch = (half: string) => ({
    images: layout(tensorOf(golden, `${half}.x`)),
    labels: tensorOf(golden, `${half}.y`),
  })
  return { supernet, weights, weightOptimizer, train: batch('train'), valid: batch('valid') }
}

for (const [manner, run] of Object.entries(manners))
  test(`DARTS: gradients of first and second order, and a step, ${manner}`, { skip: absent }, () =>
    run((layout) =>
      tidy(() => {
        const golden = readTensors('methods/darts-second-order.safetensors')
        const { supernet, weights, weightOptimizer, train, valid } = secondOrder(golden, layout)
        const alphas = below(golden, 'init/', (name) => name.startsWith('alpha.'))
        const names = [...alphas.keys()]
        const all = Array.from({ length: 14 }, () => [0, 1, 2, 3, 4, 5, 6, 7])
        const archWeights: ArchWeightsOf = (group) => ({
          weights: softmax(tensorOf(alphas, `alpha.${group}`), 1),
          sampledOps: all,
        })
        const first = lossGradients(supernet, [...alphas.values()], archWeights, valid).gradients
        const context = { supernet, weightOptimizer, lr: 0.025 }
        const before = new Map([...weights].map(([name, weight]) => [name, weight.bytes()]))
        const second = unrolledGradients(context, [...alphas.values()], archWeights, train, valid).gradients
        for (const [name, weight] of weights)
          assert.deepEqual(weight.bytes(), before.get(name), `${name} was not put back`)
        for (const [index, name] of names.entries()) {
          assertNorm(first[index], tensorOf(golden, `grad.first-order/${name}`), 1e-3, `first ${name}`)
          assertNorm(second[index], tensorOf(golden, `grad.second-order/${name}`), 1e-3, `second ${name}`)
        }
        const settings = {
          darts: { order: 'second' },
          archOptimizer: { lr: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3 },
        } as const
        const strategy = darts.create(
          { space: dartsSpace, init: init(), seed: 0, epochs: 50 },
          {
            ...settings,
            archOptimizer: { ...settings.archOptimizer, betas: [0.5, 0.999] },
          },
        )
        const own = strategy.state().tensors
        for (const name of names) copy(tensorOf(own, name), tensorOf(alphas, name))
        strategy.archStep(context, train, valid)
        for (const name of names) assertClose(tensorOf(own, name), tensorOf(golden, `final/${name}`), name)
        strategy.dispose()
        weightOptimizer.dispose()
      }),
    ),
  )

const gdasSchema = z.object({
  cases: z.array(
    z.object({ case: z.number(), tau: z.number(), index: z.array(z.number()), loss: z.number() }),
  ),
})

for (const [manner, run] of Object.entries(manners))
  test(`GDAS: draws, straight-through weights and gradients, ${manner}`, { skip: absent }, () =>
    run((layout) => {
      const golden = readTensors('methods/gdas.safetensors')
      const { cases } = gdasSchema.parse(readJson('methods/gdas.json'))
      assert.equal(cases.length, 3)
      const supernet = new Network(nasbench201Space.supernet({ channels: 4, cells: 3, classes: 10 }), init())
      const weights = namedParameters(supernet)
      for (const [name, weight] of weights) copy(weight, tensorOf(golden, `init/${name}`))
      const alpha = tensorOf(golden, 'init/arch_parameters')
      const batch = { images: layout(tensorOf(golden, 'x')), labels: tensorOf(golden, 'y') }
      for (const { case: which, tau, index } of cases) {
        const of = (part: string) => tensorOf(golden, `case${which}/${part}`)
        const noise = of('gumbel').matrix()
        assert.deepEqual(drawnCandidates(alpha.matrix(), noise), index)
        assertClose(straightThrough(alpha, noise, tau).weights, of('hard-weights'), 'weights')
        const { gradients, outcome } = lossGradients(
          supernet,
          [alpha, ...weights.values()],
          () => straightThrough(alpha, noise, tau),
          batch,
        )
        assert.ok(Math.abs(outcome.loss.item() - of('loss').item()) < 1e-5)
        assertNorm(gradients[0], of('grad/arch_parameters'), 2e-4, 'alpha')
        for (const [at, name] of [...weights.keys()].entries()) {
          const wanted = golden.get(`case${which}/grad/${name}`)
          if (wanted) assertNorm(gradients[at + 1], wanted, 2e-4, name)
        }
      }
    }),
  )

test('GDAS: the temperature of each epoch', { skip: absent }, () => {
  const schema = z.object({
    tau_max: z.number(),
    tau_min: z.number(),
    epochs: z.number(),
    tau_of_epoch: z.array(z.number()),
  })
  const {
    tau_max: tau,
    tau_min: minTau,
    epochs,
    tau_of_epoch,
  } = schema.parse(readJson('methods/gdas-tau.json'))
  assert.equal(tau_of_epoch.length, epochs)
  for (const [epoch, wanted] of tau_of_epoch.entries())
    assert.ok(Math.abs(gdasTemperature({ tau, minTau }, epoch, epochs) - wanted) < 1e-12)
})
