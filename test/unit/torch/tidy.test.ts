/** Scopes that free tensors: what survives them, what does not, and that nothing is freed twice. */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { add, adopt, keep, liveSlots, mul, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

const one = () => Tensor.from(Float32Array.of(1, 2), [2])

let before = 0
beforeEach(() => {
  before = liveSlots()
})
const held = () => liveSlots() - before

test('a scope frees what was made in it, except its result', () => {
  const x = one()
  const y = tidy(() => add(mul(x, 3), mul(x, 4)))
  assert.equal(held(), 2)
  assert.deepEqual([...y.floats()], [7, 14])
  for (const tensor of [x, y]) tensor.dispose()
  assert.equal(held(), 0)
})

test('tensors in nested arrays and plain objects of the result survive', () => {
  const result = tidy(() => {
    one()
    return { list: [one(), [one()]], deep: { tensor: one(), none: null, text: 'x' } }
  })
  assert.equal(held(), 3)
  const tensors = [result.list.flat(), result.deep.tensor].flat(2)
  for (const tensor of tensors) {
    assert.deepEqual([...tensor.floats()], [1, 2])
    tensor.dispose()
  }
  assert.equal(held(), 0)
})

test('a result passes to the scope around, which frees it', () => {
  let inner: Tensor | undefined
  tidy(() => {
    inner = tidy(() => one())
    assert.equal(held(), 1)
    assert.deepEqual([...inner.floats()], [1, 2])
  })
  assert.equal(held(), 0)
  assertRefuses(() => inner?.bytes(), 'torch', /disposed/)
})

test('a result made in a scope further out stays there', () => {
  tidy(() => {
    const outer = one()
    assert.equal(
      tidy(() => outer),
      outer,
    )
    assert.deepEqual([...outer.floats()], [1, 2])
  })
  assert.equal(held(), 0)
})

test('a body that throws frees all its tensors, passes its error on and leaves no scope open', () => {
  const failure = new Error('body')
  assert.throws(
    () =>
      tidy(() => {
        one()
        tidy(() => {
          one()
          throw failure
        })
      }),
    failure,
  )
  assert.equal(held(), 0)
  const outside = one()
  assert.equal(held(), 1)
  outside.dispose()
})

test('a kept tensor outlives all its scopes; an adopted one ends with the scope that adopted it', () => {
  const kept: Tensor[] = []
  tidy(() => {
    const outer = one()
    tidy(() => {
      kept.push(keep(one()), keep(outer))
    })
  })
  assert.deepEqual(
    kept.map((tensor) => [...tensor.floats()]),
    [
      [1, 2],
      [1, 2],
    ],
  )
  tidy(() => {
    tidy(() => {
      for (const tensor of kept) assert.equal(adopt(tensor), tensor)
    })
    for (const tensor of kept) assertRefuses(() => tensor.item(), 'torch', /disposed/)
  })
  assert.equal(held(), 0)
})

test('disposing twice frees once: the slot given to the next tensor is not touched', () => {
  const first = one()
  first.dispose()
  const second = Tensor.from(Float32Array.of(5), [1])
  first.dispose()
  assert.equal(second.item(), 5)
  assert.equal(held(), 1)
  second.dispose()
  second.dispose()
  assert.equal(held(), 0)
})

test('a tensor disposed of inside a scope is not freed again by it', () => {
  const other = tidy(() => {
    const x = one()
    x.dispose()
    return keep(one())
  })
  assert.deepEqual([...other.floats()], [1, 2])
  other.dispose()
  assert.equal(held(), 0)
})

test('every use after disposal is an error that says so', () => {
  const x = one()
  const live = one()
  x.dispose()
  for (const use of [() => x.bytes(), () => x.floats(), () => x.item(), () => add(live, x), () => x.shape])
    assertRefuses(use, 'torch', /disposed/)
  assertRefuses(() => add(live, x), 'torch', /^aten::add\.Tensor/)
  live.dispose()
})

test('shape, dtype and device, asked for before, are refused once disposed of', () => {
  const x = one()
  assert.deepEqual([x.shape, x.dtype, x.device], [[2], 'float32', 'cpu'])
  x.dispose()
  for (const use of [() => x.shape, () => x.dtype, () => x.device, () => x.size])
    assertRefuses(use, 'torch', /disposed/)
})
