/** Backward passes that PyTorch refuses, refused by each kernel itself: a second one, and one whose weights have moved. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Adam, Sgd } from '../../../src/nn/index.ts'
import {
  avgPool3,
  call,
  channelsLast,
  detach,
  factorizedReduce,
  fanOut,
  Generator,
  grad,
  keep,
  maxPool3,
  mix,
  reluPointwise,
  separable,
  setRequiresGrad,
  sum,
  type Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { randomTensor } from '../spaces/numerical.ts'
import { copies, statistics, testOtherInstructions } from './kernel-cases.ts'
import { assertRan, onGrid, vectors } from './runs.ts'

const generator = new Generator(5)
const random = (...shape: number[]) => randomTensor(shape, generator, 'float32')
const images = () => channelsLast(random(2, 8, 6, 6))
const across = (outputs = 8) => random(outputs, 8, 1, 1)
const how = { stride: 1, dilation: 1, training: true } as const
const affine = () => ({ ...statistics(8, generator), weight: random(8), bias: random(8) })
const convolution = () => ({ spatial: random(8, 1, 3, 3), pointwise: across(), stride: 1, dilation: 1 })

/** What computes it, and its result. */
type Case = readonly [kernels: readonly string[], compute: (x: Tensor) => Tensor]

const cases: Readonly<Record<string, Case>> = {
  separable: [['separable'], (x) => separable({ x }, random(8, 1, 3, 3), across(), how).x],
  'separable after a norm': [
    ['separable'],
    (x) => separable({ x }, random(8, 1, 5, 5), across(), { ...how, norm: statistics(8, generator) }).x,
  ],
  'separable after an affine norm': [
    ['separable'],
    (x) => separable({ x }, random(8, 1, 3, 3), across(), { ...how, norm: affine() }).x,
  ],
  relu_pointwise: [['relu_pointwise'], (x) => reluPointwise([x], across(4)).x],
  factorized_reduce: [['factorized_reduce'], (x) => factorizedReduce([x], across(4), across(4)).x],
  mix: [['mix'], (x) => mix([{ x }, { x }], null, [statistics(8, generator), undefined], { training: true })],
  'mix of affine norms': [[vectors('mix')], (x) => mix([{ x }], null, [affine()], { training: true })],
  max_pool3: [['max_pool3'], (x) => maxPool3(x, 1)],
  avg_pool3: [['avg_pool3'], (x) => avgPool3(x, 2)],
  fan_out: [['fan_out'], (x) => copies(x, 2)[0]],
  'fan_out, its convolution': [['fan_out', 'separable'], (x) => fanOut(x, [convolution(), undefined])[0].x],
  'fan_out, its maximum': [
    ['fan_out', 'max_pool3'],
    (x) => fanOut(x, [{ pool: 'max', stride: 1 }, undefined])[0].x,
  ],
  'fan_out, its average': [
    ['fan_out', 'avg_pool3'],
    (x) => fanOut(x, [{ pool: 'avg', stride: 1 }, undefined])[0].x,
  ],
}

for (const [name, [kernels, compute]] of Object.entries(cases))
  test(`a second backward pass is refused: ${name}`, () => {
    tidy(() => {
      const x = images()
      setRequiresGrad([x], true)
      // a sum keeps nothing, so that it could go back twice
      const loss = assertRan(kernels, name, () => sum(compute(x)))
      assert.ok(grad(loss, [x])[0])
      assert.throws(() => grad(loss, [x]), /second time/)
    })
  })

const optimizers = {
  sgd_: (w: Tensor) => new Sgd(new Map([['w', w]]), { momentum: 0.9, weightDecay: 0 }),
  adam_: (w: Tensor) => new Adam(new Map([['w', w]]), { lr: 0.1, betas: [0.5, 0.9], weightDecay: 0 }),
}

for (const [name, make] of Object.entries(optimizers))
  test(`a backward pass that needs weights which ${name} has moved since is refused`, () => {
    tidy(() => {
      const [x, spatial] = [images(), random(8, 1, 3, 3)]
      const pointwise = keep(across())
      setRequiresGrad([x, spatial, pointwise], true)
      const loss = sum(separable({ x }, spatial, pointwise, how).x)
      const optimizer = make(pointwise)
      assertRan([`${name}/grid`], name, () => optimizer.step([detach(pointwise)], 0.1))
      assert.throws(() => grad(loss, [x]), /modified by an inplace operation/)
      optimizer.dispose()
      pointwise.dispose()
    })
  })

test('a gradient is computed where it is read, of each kernel whose result a norm reads', {
  skip: onGrid && 'GPUs leave none',
}, () => {
  const makers: Readonly<Record<string, (x: Tensor) => { x: Tensor }>> = {
    separable: (x) => separable({ x }, random(8, 1, 3, 3), across(), how),
    relu_pointwise: (x) => reluPointwise([x], across()),
    factorized_reduce: (x) => factorizedReduce([x], across(4), across(4)),
    max_pool3: (x) => ({ x: maxPool3(x, 1) }),
    fan_out: (x) => fanOut(x, [undefined, { pool: 'avg', stride: 1 }])[1],
  }
  for (const [name, make] of Object.entries(makers))
    tidy(() => {
      const x = images()
      setRequiresGrad([x], true)
      const y = mix([make(x)], null, [statistics(8, generator)], { training: true })
      const loss = sum(call('aten::mul.Tensor', y, y))
      assertRan(['left_gradient'], name, () => grad(loss, [x]))
    })
})

// what is refused does not depend on the vectors' width
testOtherInstructions(import.meta.url, ['grid'])
