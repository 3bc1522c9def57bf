/** PC-DARTS's edge weights, and when alpha and beta rest. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchStep } from '../../../src/search/search.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { nodesOf } from '../../../src/spaces/space.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { EdgeWeights, pcDarts } from '../../../src/strategies/pc-darts.ts'
import { copy, Generator, noGrad, setThreads, Tensor, tidy } from '../../../src/torch/index.ts'
import { withSession } from '../search/pairs.ts'

setThreads(1)

test('edges into a node share 1 by a softmax of beta', () => {
  const [choices] = dartsSpace.choices
  const edges = new EdgeWeights(choices, { device: 'cpu', generator: new Generator(0) })
  const beta = Float32Array.from({ length: choices.rows }, (_, row) => Math.sin(3 * row))
  tidy(() => {
    noGrad(() => copy(edges.beta, Tensor.from(beta, [choices.rows])))
    const found = edges.weights().floats()
    for (const { rows } of nodesOf(choices)) {
      const total = rows.reduce((sum, row) => sum + Math.exp(beta[row]), 0)
      for (const row of rows) assert.ok(Math.abs(found[row] - Math.exp(beta[row]) / total) < 1e-6)
    }
  })
  edges.dispose()
})

const parts = { space: nasbench201Space, strategy: pcDarts as AnyStrategy }

test('candidates weigh their share of the edge, and what passes by them weighs the edge', () =>
  withSession(parts, (session) =>
    tidy(() => {
      const { weights, rows } = session.strategy.archWeights('cell', 'train')
      const edges = rows?.floats() ?? assert.fail('no edge weights')
      for (const [row, shares] of weights.matrix().entries())
        assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - edges[row]) < 1e-6)
    }),
  ))

for (const [warmUp, moves] of [
  [0.25, false],
  [0, true],
] as const)
  test(`with a warm-up of ${warmUp} alpha and beta ${moves ? 'move' : 'rest'} in the first epoch`, () =>
    withSession(
      parts,
      async (session) => {
        const values = () =>
          [...(session.strategy.parameters?.() ?? [])].map(([name, tensor]) => [name, ...tensor.floats()])
        const before = values()
        assert.deepEqual(
          before.map(([name]) => name),
          ['alpha.cell', 'beta.cell'],
        )
        const { valid } = await searchStep(session, 0.02)
        assert.equal(valid !== null, moves)
        for (const [k, parameter] of values().entries())
          assert.equal(JSON.stringify(parameter) !== JSON.stringify(before[k]), moves)
        const key = session.strategy.graphKey
        session.strategy.prepareStep({ epoch: 3, step: 0, globalStep: 9 })
        assert.equal(key !== session.strategy.graphKey, !moves)
      },
      (config) => ({ ...config, pcDarts: { warmUp } }),
    ))
