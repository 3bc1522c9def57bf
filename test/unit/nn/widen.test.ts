/** Weights for a wider network: what is a copy of what, and that an operation computes the same with copies of its channels. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Network, namedBuffers, namedParameters, stateDict, Widening } from '../../../src/nn/index.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { copy, Generator, keep, mul, Tensor, tidy } from '../../../src/torch/index.ts'

const supernet = (partialChannels: number, seed: number) =>
  new Network(dartsSpace.supernet({ channels: 4, cells: 3, classes: 10, partialChannels }), {
    device: 'cpu',
    generator: new Generator(seed),
  })

const narrow = supernet(4, 1)
const wide = supernet(2, 2)
const widening = new Widening(narrow, new Generator(3))
widening.carry(stateDict(narrow), stateDict(wide))
const [old, grown] = [stateDict(narrow), stateDict(wide)]
const tensor = (all: ReadonlyMap<string, Tensor>, name: string) => all.get(name) ?? assert.fail(name)

test('what has its shape is copied, and old channels keep their places', () => {
  assert.deepEqual([...grown.keys()], [...old.keys()])
  let widened = 0
  for (const [name, to] of grown) {
    const from = tensor(old, name)
    if (from.shape.join() === to.shape.join()) {
      assert.deepEqual(to.floats(), from.floats(), name)
      continue
    }
    widened += 1
    const first = [...to.floats()].slice(0, to.shape.length === 1 ? from.size : 1)
    assert.deepEqual(first, [...from.floats()].slice(0, first.length), name)
  }
  assert.ok(widened > 100)
})

test('running statistics follow their channels', () => {
  const name = 'cells.1._ops.2._ops.4.op.3.running_mean'
  const [from, to] = [supernet(4, 5), supernet(2, 6)]
  copy(tensor(namedBuffers(from), name), Tensor.from(Float32Array.of(3, 7), [2]))
  new Widening(from, new Generator(7)).carry(stateDict(from), stateDict(to))
  const found = [...tensor(stateDict(to), name).floats()]
  assert.deepEqual(found.slice(0, 2), [3, 7])
  assert.ok(found.length === 4 && found.every((value) => value === 3 || value === 7))
})

/** Rows of a weight [outputs, …]. */
function rowsOf(weight: Tensor): number[][] {
  const values = [...weight.floats()]
  const length = weight.size / weight.shape[0]
  return Array.from({ length: weight.shape[0] }, (_, row) => values.slice(row * length, (row + 1) * length))
}

test('a channel that is new is a copy, the same one in every layer of an operation', () => {
  // a reduction cell has twice the channels: 2 of 8 before, 4 after
  const of = (layer: string) => `cells.1._ops.2._ops.4.op.${layer}.weight`
  const places = (layer: string) => {
    const before = rowsOf(tensor(old, of(layer)))
    return rowsOf(tensor(grown, of(layer))).map((row) =>
      before.findIndex((own) => own.slice(0, 2).join() === row.slice(0, own.length).slice(0, 2).join()),
    )
  }
  const depthwise = places('1')
  assert.deepEqual(depthwise.slice(0, 2), [0, 1])
  assert.ok(depthwise.every((place) => place >= 0))
  assert.deepEqual(places('2'), depthwise)
  assert.deepEqual(places('5'), depthwise)
  // what a pointwise convolution reads are the same copies
  for (const row of rowsOf(tensor(grown, of('2'))))
    for (const [at, place] of depthwise.entries()) assert.equal(row[at], row[place])
})

test('velocities grow as their weights do; those that there are not stay away', () => {
  const name = 'cells.1._ops.2._ops.4.op.1.weight'
  const doubled = tidy(() => keep(mul(tensor(old, name), 2)))
  tidy(() => {
    const found = widening.grown(new Map([[name, doubled]]), namedParameters(wide))
    assert.deepEqual([...found.keys()], [name])
    assert.deepEqual(found.get(name)?.floats(), mul(tensor(grown, name), 2).floats())
  })
  doubled.dispose()
})

test('narrower than before, the first channels are taken', () => {
  const back = supernet(4, 8)
  new Widening(wide, new Generator(9)).carry(stateDict(wide), stateDict(back))
  for (const [name, to] of stateDict(back)) assert.deepEqual(to.floats(), tensor(old, name).floats(), name)
})
