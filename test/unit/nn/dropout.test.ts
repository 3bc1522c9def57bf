/** Dropout in a network: how much is left out, by what numbers, what gradients pass, and that nothing is where it measures. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Dropout, dropout, functional, Network, type Program } from '../../../src/nn/index.ts'
import {
  channelsLast,
  Generator,
  grad,
  setRequiresGrad,
  sum,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'

/** Images as they are, but for what is left out. */
const program: Program = {
  states: [{ id: 'logits', kind: 'layers', input: 'images', name: '', layers: [functional(dropout)] }],
  outputs: { logits: 'logits' },
  blocks: [],
  modules: [],
}
const network = new Network(program, { device: 'cpu', generator: new Generator(0) })

const [count, side] = [8, 15]
const size = 3 * side * side
const ones = (images = count) =>
  channelsLast(Tensor.from(new Float32Array(images * size).fill(1), [images, 3, side, side]))

function passed(images: Tensor, how: Dropout | undefined, training = true, start = 0): number[] {
  const part = { start, images: images.shape[0], total: count, sum: (all: readonly Tensor[]) => [...all] }
  return [...network.forward(images, { training, dropout: how, part }).logits.floats()]
}

const zeros = (values: readonly number[]) => values.filter((value) => value === 0).length

test('about so many elements are left out, the others are scaled so that the mean stays', () =>
  tidy(() => {
    for (const rate of [0.1, 0.4, 0.7]) {
      const found = passed(ones(), { rate, generator: new Generator(3) })
      const spread = Math.sqrt(rate * (1 - rate) * found.length)
      assert.ok(Math.abs(zeros(found) - rate * found.length) < 4 * spread, `${rate}: ${zeros(found)}`)
      for (const value of found) assert.ok(value === 0 || Math.abs(value * (1 - rate) - 1) < 1e-4)
    }
  }))

test('neighbours are left out independently of each other', () =>
  tidy(() => {
    const found = passed(ones(), { rate: 0.5, generator: new Generator(4) }).map((value) =>
      value === 0 ? 1 : -1,
    )
    for (const lag of [1, 2, 3, 4, side, side * side, size]) {
      const products = found.slice(lag).map((value, at) => value * found[at])
      const mean = products.reduce((total, value) => total + value, 0) / products.length
      assert.ok(Math.abs(mean) * Math.sqrt(products.length) < 4.5, `${lag}: ${mean}`)
    }
  }))

test('numbers are those of the generator: the same state leaves out the same, the next pass something else', () =>
  tidy(() => {
    const generator = new Generator(5)
    const first = passed(ones(), { rate: 0.5, generator })
    const state = generator.state()
    const second = passed(ones(), { rate: 0.5, generator })
    assert.notDeepEqual(second, first)
    generator.load(state)
    assert.deepEqual(passed(ones(), { rate: 0.5, generator }), second)
  }))

test('parts of a batch leave out what the whole does, wherever they begin', () =>
  tidy(() => {
    const of = (images: number, start: number) =>
      passed(ones(images), { rate: 0.5, generator: new Generator(6) }, true, start)
    assert.deepEqual(
      [3, 4, 1].flatMap((images, at) => of(images, [0, 3, 7][at])),
      of(count, 0),
    )
  }))

test('gradients pass where elements did, by the same factor', () =>
  tidy(() => {
    const x = ones()
    setRequiresGrad([x], true)
    const { logits } = network.forward(x, {
      training: true,
      dropout: { rate: 0.4, generator: new Generator(7) },
    })
    const [gradient] = grad(sum(logits), [x])
    assert.deepEqual(gradient?.floats(), logits.floats())
  }))

test('next to one a rate leaves a few, and numbers stay finite', () =>
  tidy(() => {
    const found = passed(ones(), { rate: 1 - 2 ** -40, generator: new Generator(9) })
    assert.ok(zeros(found) > found.length - 20 && found.every(Number.isFinite))
  }))

test('nothing is left out in evaluation, at rate zero, or where a pass does not say', () =>
  tidy(() => {
    const generator = new Generator(8)
    const before = generator.state()
    const all = [...ones().floats()]
    assert.deepEqual(passed(ones(), { rate: 0.5, generator }, false), all)
    assert.deepEqual(passed(ones(), { rate: 0, generator }), all)
    assert.deepEqual(passed(ones(), undefined), all)
    assert.deepEqual(generator.state(), before)
  }))
