/** The least work of each operator, against counts made by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  convolutionWork,
  factorizedReduceWork,
  fanOutWork,
  mixWork,
  nothing,
  poolWork,
  separableWork,
  sgdWork,
} from '../../../bench/work.ts'

/** 2 images of 3 channels and 4 x 4 pixels: 96 numbers. */
const input = { batch: 2, channels: 3, side: 4 }
const all = { x: true, weights: true }
const none = { x: false, weights: false }

test('a 1x1 convolution from 3 to 5 channels', () => {
  const options = { input, outputs: 5, kernel: 1, stride: 1 }
  // reads 96 numbers and 15 weights, writes 2 * 5 * 16 = 160; each output takes 3 multiply-adds
  const forward = { bytes: 4 * (96 + 15 + 160), flops: 2 * 160 * 3 }
  assert.deepEqual(convolutionWork(options, none), { forward, backward: nothing, weights: 15 })
  // reads x, the gradient and the weights; writes the gradients of x and of the weights
  const both = { bytes: 4 * (96 + 160 + 15 + 96 + 15), flops: 4 * 160 * 3 }
  assert.deepEqual(convolutionWork(options, all).backward, both)
  const weights = { bytes: 4 * (96 + 160 + 15 + 15), flops: 2 * 160 * 3 }
  assert.deepEqual(convolutionWork(options, { x: false, weights: true }).backward, weights)
})

test('a 3x3 convolution, and what halves an image', () => {
  const stem = convolutionWork({ input, outputs: 2, kernel: 3, stride: 1 }, none)
  assert.deepEqual(stem.forward, { bytes: 4 * (96 + 54 + 64), flops: 2 * 64 * 27 })
  // two convolutions of 3 x 2 weights; 2 * 4 * 4 outputs of 3 multiply-adds
  const reduced = factorizedReduceWork({ input, outputs: 4 }, none)
  assert.deepEqual(reduced, {
    forward: { bytes: 4 * (96 + 12 + 32), flops: 2 * 32 * 3 },
    backward: nothing,
    weights: 12,
  })
})

test('a separable convolution of stride 2', () => {
  // 27 + 9 weights; 2 * 3 * 4 = 24 outputs, 9 multiply-adds each to get there spatially, 3 across channels
  const options = { input, outputs: 3, kernel: 3, stride: 2, normed: false }
  const { forward, backward, weights } = separableWork(options, all)
  assert.equal(weights, 36)
  assert.deepEqual(forward, { bytes: 4 * (96 + 24 + 36), flops: 2 * 24 * (9 + 3) })
  // between the convolutions 24 * 3, to x 24 * 9, to the weights 24 * 9 and 24 * 3
  assert.deepEqual(backward, { bytes: 4 * (96 + 24 + 36 + 96 + 36), flops: 2 * 24 * (3 + 9 + 9 + 3) })
  const toInput = separableWork(options, { x: true, weights: false }).backward
  assert.deepEqual(toInput, { bytes: 4 * (96 + 24 + 36 + 96), flops: 2 * 24 * (3 + 9) })
  assert.deepEqual(separableWork(options, none).backward, nothing)
  // to 5 channels: 27 + 15 weights, 2 * 5 * 4 = 40 outputs
  const wider = separableWork({ ...options, outputs: 5 }, none)
  assert.equal(wider.weights, 42)
  assert.deepEqual(wider.forward, { bytes: 4 * (96 + 40 + 42), flops: 2 * (24 * 9 + 40 * 3) })
})

test('a batch norm before a separable convolution asks for sums backward, and no more pass', () => {
  const options = { input, outputs: 3, kernel: 5, stride: 1 }
  const plain = separableWork({ ...options, normed: false }, all)
  const normed = separableWork({ ...options, normed: true }, all)
  assert.equal(normed.forward.bytes, plain.forward.bytes)
  assert.equal(normed.forward.flops - plain.forward.flops, 2 * 96)
  assert.equal(normed.backward.bytes, plain.backward.bytes)
  assert.equal(normed.backward.flops - plain.backward.flops, 3 * 96)
})

test('a convolution that shares its input does not count it, and reads its result where the gradient was left to it', () => {
  const options = { input, outputs: 3, kernel: 3, stride: 2, normed: false }
  const alone = separableWork(options, all)
  const shared = separableWork({ ...options, shared: true }, all)
  assert.equal(alone.forward.bytes - shared.forward.bytes, 4 * 96)
  assert.equal(alone.backward.bytes - shared.backward.bytes, 4 * 2 * 96)
  const left = separableWork({ ...options, left: true }, all)
  // two multiply-adds for each of the 24 gradients
  assert.equal(left.backward.bytes - alone.backward.bytes, 4 * 24)
  assert.equal(left.backward.flops - alone.backward.flops, 4 * 24)
  for (const how of [{ shared: true }, { left: true }])
    assert.deepEqual(separableWork({ ...options, ...how }, none).backward, nothing)
})

test('pooling of stride 2 with two readers: an average adds nine numbers, a maximum keeps a byte', () => {
  const pool = { input, stride: 2, readers: 2, norms: 2 }
  const average = poolWork({ kind: 'avg', ...pool }, all)
  assert.deepEqual(average.forward, { bytes: 4 * 24, flops: 9 * 24 })
  // of each reader the gradient and the result, two multiply-adds for each number, and their sum
  assert.deepEqual(average.backward, { bytes: 4 * 4 * 24, flops: 9 * 24 + 2 * 4 * 24 + 24 })
  const maximum = poolWork({ kind: 'max', ...pool }, all)
  assert.deepEqual(maximum.forward, { bytes: 4 * 24 + 24, flops: 0 })
  assert.deepEqual(maximum.backward, { bytes: 4 * 4 * 24 + 24, flops: 24 + 2 * 4 * 24 + 24 })
  assert.deepEqual(poolWork({ kind: 'max', ...pool }, none).backward, nothing)
  // without a norm after it a gradient is as it comes
  const bare = poolWork({ kind: 'avg', ...pool, norms: 0 }, all)
  assert.deepEqual(bare.backward, { bytes: 4 * 2 * 24, flops: 9 * 24 + 24 })
})

test('a weighted sum reads its terms once forward, and twice backward where a norm has to know the sums', () => {
  const normed = { normed: true, wanted: true }
  const identity = { normed: false, wanted: true }
  const { forward, backward } = mixWork(input, [normed, normed, identity], false)
  // two multiply-adds for moments less one add: 3 flops a normed number; one multiply-add a term
  assert.deepEqual(forward, { bytes: 4 * 96 * 4, flops: 96 * (3 * 2 + 2 * 3) })
  // sums: dy and both normed terms; then dy, the two again, and three gradients
  assert.equal(backward.bytes, 4 * 96 * (3 + 6))
  // the sum of dy 1, two dots 2 each; a gradient 1 multiplication, with a norm two multiply-adds
  assert.equal(backward.flops, 96 * (1 + 2 * 2 + 3 + 3 * 2))
  // the sums of all, but the gradients of one normed term and the other: dy, a term, two gradients
  const left = mixWork(input, [{ ...normed, left: true }, normed, identity], false).backward
  assert.deepEqual(left, { bytes: 4 * 96 * (3 + 4), flops: 96 * (1 + 2 * 2 + 2 + 3) })
})

test('where the mixing weights alone have a gradient the terms are read once', () => {
  const constant = { normed: true, wanted: false }
  assert.equal(mixWork(input, [constant, constant], true).backward.bytes, 4 * 96 * 3)
  assert.deepEqual(mixWork(input, [constant, constant], false).backward, nothing)
})

test('gradients of several readers are added, that of one is not', () => {
  const gradient = { x: true, weights: false }
  const copied = (copies: number) => ({ copies, convolutions: 0, pools: 0 })
  assert.deepEqual(fanOutWork(input, copied(3), all).backward, { bytes: 4 * 96 * 4, flops: 96 * 2 })
  assert.deepEqual(fanOutWork(input, copied(1), gradient).backward, nothing)
  assert.deepEqual(fanOutWork(input, copied(3), none).backward, nothing)
})

test('convolutions and poolings of one tensor read it together, and add to one gradient', () => {
  const readers = { copies: 1, convolutions: 2, pools: 1 }
  assert.deepEqual(fanOutWork(input, readers, all).forward, { bytes: 4 * 96, flops: 0 })
  // the tensor, another reader's gradient, the sum of the four
  assert.deepEqual(fanOutWork(input, readers, all).backward, { bytes: 4 * 96 * 3, flops: 96 * 3 })
  assert.deepEqual(fanOutWork(input, readers, { x: false, weights: true }).backward, {
    bytes: 4 * 96,
    flops: 0,
  })
  assert.deepEqual(fanOutWork(input, readers, none).backward, nothing)
  // a pooling's gradient does not ask for the tensor
  const pooled = fanOutWork(input, { copies: 0, convolutions: 0, pools: 1 }, all)
  assert.deepEqual(pooled, {
    forward: { bytes: 4 * 96, flops: 0 },
    backward: { bytes: 4 * 96, flops: 0 },
    weights: 0,
  })
})

test('a 1x1 convolution reads its result where its gradient was left to it', () => {
  const options = { input, outputs: 4, kernel: 1, stride: 1 }
  const [alone, left] = [false, true].map((left) => convolutionWork({ ...options, left }, all))
  const written = (96 / input.channels) * 4
  assert.equal(left.backward.bytes - alone.backward.bytes, 4 * written)
  assert.equal(left.backward.flops - alone.backward.flops, 4 * written)
  assert.deepEqual(left.forward, alone.forward)
})

test('SGD reads and writes weight and momentum; a gradient is read for its norm and for the update', () => {
  assert.equal(sgdWork(100, 10).bytes, 4 * (4 * 100 + 2 * 10))
})
