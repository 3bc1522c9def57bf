/** GDAS's draws, and what the candidates that were not drawn add to a sum. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  flatten,
  functional,
  globalAvgPool2d,
  images,
  linear,
  Network,
  pool2d,
  type Sequence,
  type Term,
} from '../../../src/nn/index.ts'
import { nasbench1shot1Space } from '../../../src/spaces/nasbench1shot1/space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import {
  drawnCandidates,
  gdas,
  gdasTemperature,
  relaxed,
  straightThrough,
} from '../../../src/strategies/gdas.ts'
import { gumbelNoise } from '../../../src/strategies/shared/gumbel.ts'
import {
  channelsLast,
  crossEntropy,
  Generator,
  grad,
  setRequiresGrad,
  softmax,
  Tensor,
  tidy,
  withoutKernels,
} from '../../../src/torch/index.ts'
import { programOf } from '../nn/programs.ts'
import { randomTensor } from '../spaces/numerical.ts'

test('candidates are drawn as often as the softmax of alpha says', () => {
  const alpha = [[0, 1, 2]]
  const total = Math.exp(0) + Math.exp(1) + Math.exp(2)
  const generator = new Generator(3, 'draws')
  const draws = 20_000
  const counts = [0, 0, 0]
  for (let draw = 0; draw < draws; draw++)
    counts[drawnCandidates(alpha, gumbelNoise({ rows: 1, candidates: ['a', 'b', 'c'] }, generator))[0]] += 1
  for (const [k, count] of counts.entries()) {
    const wanted = Math.exp(k) / total
    // five standard deviations
    assert.ok(
      Math.abs(count / draws - wanted) < 5 * Math.sqrt((wanted * (1 - wanted)) / draws),
      `${k}: ${count}`,
    )
  }
})

test('noise that is not finite is drawn again', () => {
  const values = [0, 0.5, 0]
  const generator = new Generator(0)
  generator.uniform = () => values.shift() ?? 0.25
  const noise = gumbelNoise({ rows: 1, candidates: ['a', 'b'] }, generator).flat()
  assert.deepEqual(noise, [-Math.log(-Math.log(0.5)), -Math.log(-Math.log(0.75))])
})

test('a search of one epoch has the first temperature; the last epoch of others has the last', () => {
  const how = { tau: 10, minTau: 0.1 }
  assert.equal(gdasTemperature(how, 0, 1), 10)
  assert.equal(gdasTemperature(how, 0, 2), 10)
  assert.ok(Math.abs(gdasTemperature(how, 1, 2) - 0.1) < 1e-12)
})

test('straight-through: the drawn candidate weighs 1, the others nothing, and both have the gradient of the softmax', () => {
  tidy(() => {
    const alpha = Tensor.from(Float32Array.of(0.3, -0.2, 0.1, 0.5, 0, 0.4), [2, 3])
    const noise = [
      [0.1, 0.9, -0.3],
      [-1, 0.2, 0.3],
    ]
    setRequiresGrad([alpha], true)
    const { weights, sampledOps, added } = straightThrough(alpha, noise, 0.7)
    assert.deepEqual(sampledOps, [[1], [2]])
    for (const [k, value] of weights.floats().entries())
      assert.ok(Math.abs(value - [0, 1, 0, 0, 0, 1][k]) < 1e-6)
    for (const value of added.floats()) assert.equal(value, 0)
  })
})

test('of a group that is not sampled all runs, by the softmax of alpha and noise; to measure accuracy without noise', () => {
  const space = nasbench1shot1Space(2)
  const init = { device: 'cpu', generator: new Generator(0) }
  const strategy = gdas.create({ space, init, seed: 1, epochs: 3 }, gdas.defaults(space))
  strategy.prepareStep({ epoch: 0, step: 0, globalStep: 0 })
  tidy(() => {
    const { weights, sampledOps } = strategy.archWeights('input.3', 'train')
    assert.deepEqual(sampledOps, [[0, 1, 2]])
    assert.ok(Math.abs([...weights.floats()].reduce((sum, value) => sum + value) - 1) < 1e-6)
    // at temperature 10 of nearly equal alphas noise alone tells them apart
    assert.ok(new Set(weights.floats()).size === 3)
    const alpha = strategy.parameters?.().get('alpha.input.3')
    assert.ok(alpha)
    const evaluated = strategy.archWeights('input.3', 'eval').weights.floats()
    for (const [k, value] of softmax(alpha, 1).floats().entries())
      assert.ok(Math.abs(value - evaluated[k]) < 1e-6)
    const noise = [[0.3, -0.1, 0.7]]
    const logits = (alpha.matrix()[0] ?? []).map((value, k) => (value + noise[0][k]) / 0.5)
    const total = logits.reduce((sum, value) => sum + Math.exp(value), 0)
    for (const [k, value] of relaxed(alpha, noise, 0.5).floats().entries())
      assert.ok(Math.abs(value - Math.exp(logits[k]) / total) < 1e-6)
    assert.deepEqual(
      strategy.archWeights('op', 'train').sampledOps.map(({ length }) => length),
      [1, 1, 1, 1],
    )
  })
  strategy.dispose()
})

for (const [manner, run] of [
  ['kernels', (body: () => void) => body()],
  ['ATen', withoutKernels],
] as const)
  test(`what a row adds reaches every element of its sum, ${manner}`, () =>
    run(() =>
      tidy(() => {
        const init = { device: 'cpu', generator: new Generator(0) }
        const term = (row: number, layers: Sequence): Term => ({
          ...{ input: images, name: '', layers, operation: '' },
          choice: { group: 'cell', row, column: 0 },
        })
        // nothing in it has a kink
        const head = [functional(globalAvgPool2d), functional(flatten), { name: 'l', layer: linear(3, 3) }]
        const program = programOf([
          { id: 'sum', kind: 'sum', terms: [term(0, []), term(1, [functional(pool2d('avg', 1))])] },
          { id: 'logits', kind: 'layers', input: 'sum', name: '', layers: head },
        ])
        const network = new Network(program, init)
        const x = channelsLast(randomTensor([2, 3, 8, 8], new Generator(1), 'float32'))
        const labels = Tensor.from(BigInt64Array.of(0n, 2n), [2])
        const weights = Tensor.from(new Float32Array(3).fill(1), [3, 1])
        const sampledOps = [[0], [0], [0]]
        const loss = (added?: Tensor) => {
          const archWeights = () => ({ weights, sampledOps, ...(added ? { added } : {}) })
          return crossEntropy(network.forward(x, { training: true, archWeights }).logits, labels)
        }
        const added = Tensor.from(new Float32Array(3), [3])
        setRequiresGrad([added], true)
        const own = loss(added)
        assert.ok(Math.abs(own.item() - loss().item()) < 1e-6, 'nothing is added')
        const [gradient] = grad(own, [added])
        assert.ok(gradient)
        const step = 1e-2
        for (const [row, slope] of gradient.floats().entries()) {
          const at = (by: number) => {
            const values = new Float32Array(3)
            values[row] = by
            return loss(Tensor.from(values, [3])).item()
          }
          const difference = (at(step) - at(-step)) / (2 * step)
          assert.ok(
            Math.abs(difference - slope) < 1e-3 * Math.abs(slope) + 1e-5,
            `row ${row}: ${difference}, ${slope}`,
          )
        }
        // the rows of the sum alike, and one that has no term in it not at all
        const [first, second, third] = gradient.floats()
        assert.ok(
          Math.abs(first) > 1e-3 && Math.abs(first - second) < 1e-6 && third === 0,
          gradient.floats().join(),
        )
      }),
    ))

test('accuracy is measured of the architecture that would be picked, which draws nothing', () => {
  const init = { device: 'cpu', generator: new Generator(0) }
  const context = { space: nasbench201Space, init, seed: 1, epochs: 3 }
  const strategy = gdas.create(context, gdas.defaults(nasbench201Space))
  const before = JSON.stringify(strategy.state().data)
  tidy(() => {
    const { sampledOps, added } = strategy.archWeights('cell', 'eval')
    const derived = strategy.derive(() => assert.fail('nothing is measured'))
    assert.ok(!(derived instanceof Promise))
    assert.deepEqual(sampledOps, nasbench201Space.encode(derived).get('cell'))
    assert.equal(added, undefined)
  })
  assert.equal(JSON.stringify(strategy.state().data), before)
  strategy.dispose()
})
