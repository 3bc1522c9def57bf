/** Mixing weights against plain numbers and central differences. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { edgeCount, edgeIndex } from '../../../../src/spaces/darts/space.ts'
import {
  maskTensor,
  mixingWeights,
  unnormalisedWeights,
} from '../../../../src/strategies/ddsas/mixing-weights.ts'
import type { Mixture } from '../../../../src/strategies/ddsas/mixture.ts'
import { rawWeights } from '../../../../src/strategies/ddsas/mixture.ts'
import { Generator, grad, setRequiresGrad, setThreads, Tensor, tidy } from '../../../../src/torch/index.ts'
import { checkGradients, randomTensor, weighed } from '../../spaces/numerical.ts'
import { matrices } from './spaces.ts'

setThreads(1)
const tensor = (rows: readonly (readonly number[])[]) =>
  Tensor.from(Float64Array.from(rows.flat()), [rows.length, rows[0].length])

const values = fc.double({ min: -5, max: 5, noNaN: true })
const given = fc
  .record({ edges: fc.integer({ min: 1, max: 5 }), operations: fc.integer({ min: 1, max: 5 }) })
  .chain((size) =>
    fc.record({
      alpha: matrices(size, values),
      zeta: matrices(size, values),
      mask: matrices(size, fc.boolean()).map((rows) =>
        rows.map((row, edge) => row.map((here, k) => here || k === edge % row.length)),
      ),
      mixture: fc.constantFrom<Mixture>('simple', 'joint'),
    }),
  )

test('weights are the plain ones, and normalised they sum to one on each edge; zero where not sampled', () => {
  fc.assert(
    fc.property(given, ({ alpha, zeta, mask, mixture }) => {
      tidy(() => {
        const plain = rawWeights(alpha, zeta, mask, mixture)
        const raw = unnormalisedWeights(
          tensor(alpha),
          tensor(zeta),
          maskTensor(mask, 'cpu'),
          mixture,
        ).matrix()
        const normal = mixingWeights(tensor(alpha), tensor(zeta), maskTensor(mask, 'cpu'), mixture).matrix()
        for (const [edge, row] of plain.entries()) {
          const total = row.reduce((all, weight) => all + weight, 0)
          for (const [k, weight] of row.entries()) {
            assert.ok(Math.abs(raw[edge][k] - weight) <= 1e-13)
            assert.ok(Math.abs(normal[edge][k] - weight / total) <= 1e-12)
            if (!mask[edge][k]) assert.deepEqual([raw[edge][k], normal[edge][k]], [0, 0])
          }
        }
      })
    }),
    { numRuns: 60 },
  )
})

/** Edges with one, some and all of four operations sampled. */
const mask = [
  [true, true, true, true],
  [false, true, false, true],
  [false, false, true, false],
  [true, false, true, true],
]

for (const mixture of ['simple', 'joint'] as const)
  for (const [form, weights] of Object.entries({ mixingWeights, unnormalisedWeights }))
    test(`${form}, ${mixture}: gradients of alpha and zeta agree with central differences`, () => {
      tidy(() => {
        const generator = new Generator(1, mixture)
        const [alpha, zeta] = [randomTensor([4, 4], generator), randomTensor([4, 4], generator)]
        const upstream = randomTensor([4, 4], generator)
        // normalised, the probability of the whole edge cancels
        const mayVanish = (name: string) => name === 'zeta' && mixture === 'joint' && form === 'mixingWeights'
        const body = () =>
          tidy(() => weighed(weights(alpha, zeta, maskTensor(mask, 'cpu'), mixture), upstream))
        checkGradients(body, new Map(Object.entries({ alpha, zeta })), generator, { mayVanish })
      })
    })

test('what is not sampled gets no gradient, and zeta none from normalised Eq. (9)', () => {
  tidy(() => {
    const generator = new Generator(2)
    const [alpha, zeta] = [randomTensor([4, 4], generator), randomTensor([4, 4], generator)]
    const upstream = randomTensor([4, 4], generator)
    setRequiresGrad([alpha, zeta], true)
    const gradients = (mixture: Mixture) =>
      grad(weighed(mixingWeights(alpha, zeta, maskTensor(mask, 'cpu'), mixture), upstream), [
        alpha,
        zeta,
      ]).map((gradient) => gradient?.matrix() ?? [])
    for (const matrix of gradients('simple'))
      for (const [edge, row] of matrix.entries())
        for (const [k, value] of row.entries()) {
          const alone = mask[edge].filter(Boolean).length === 1
          if (!mask[edge][k]) assert.equal(value, 0)
          else if (alone) assert.ok(Math.abs(value) < 1e-15)
          else assert.ok(Math.abs(value) > 1e-6, `[${edge}][${k}]: ${value}`)
        }
    for (const value of gradients('joint')[1].flat()) assert.ok(Math.abs(value) < 1e-14)
  })
})

test('edges are numbered node by node', () => {
  const numbers = [0, 1, 2, 3].flatMap((node) =>
    Array.from({ length: node + 2 }, (_, input) => edgeIndex(node, input)),
  )
  assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
  assert.equal(edgeCount({ nodes: 4 }), 14)
})
