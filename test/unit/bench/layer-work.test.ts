/** The least work of layers by themselves, against counts made by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layerWork } from '../../../bench/layer-work.ts'
import { addBothWays, convolutionWork, mixWork, nothing } from '../../../bench/work.ts'
import {
  batchNorm2d,
  concat,
  conv2d,
  flatten,
  functional,
  gate,
  globalAvgPool2d,
  type Layer,
  linear,
  pool2d,
  relu,
  sequential,
  shift,
  sigmoid,
  zero,
} from '../../../src/nn/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

/** 2 images of 3 channels and 4 x 4 pixels: 96 numbers. */
const input = { batch: 2, channels: 3, side: 4 }
const all = { x: true, weights: true }
const none = { x: false, weights: false }

test('convolutions: whole ones as the kernels, grouped ones by their taps, with bias and without padding', () => {
  const whole = layerWork(conv2d(3, 5, 3), input, all)
  assert.deepEqual(whole, convolutionWork({ input, outputs: 5, kernel: 3, stride: 1 }, all))
  // 2 x 2 from 4 x 4: 24 outputs of 9 taps, 27 weights and 3 of the bias
  const grouped = layerWork(conv2d(3, 3, 3, { groups: 3, padding: 0, bias: true }), input, all)
  assert.equal(grouped.weights, 30)
  assert.deepEqual(grouped.forward, { bytes: 4 * (96 + 24 + 30), flops: 2 * 24 * 9 })
  assert.deepEqual(grouped.backward, { bytes: 4 * (96 + 24 + 30 + 96 + 30), flops: 4 * 24 * 9 })
})

test('the mean of each channel and a linear layer on it', () => {
  const mean = layerWork(globalAvgPool2d, input, all)
  assert.deepEqual(mean.forward, { bytes: 4 * (96 + 6), flops: 96 })
  assert.deepEqual(mean.backward, { bytes: 4 * (6 + 96), flops: 6 })
  const logits = layerWork(linear(3, 10), { batch: 2, channels: 3, side: 1 }, all)
  // 6 means and 40 weights -> 20 logits; the same and 20 gradients -> 6 and 40
  assert.equal(logits.weights, 40)
  assert.deepEqual(logits.forward, { bytes: 4 * (6 + 40 + 20), flops: 2 * 60 })
  assert.deepEqual(logits.backward, { bytes: 4 * (6 + 20 + 40 + 6 + 40), flops: 2 * 120 })
})

test('a batch norm is a sum of one term whose gradient nobody else computes', () => {
  const sum = mixWork(input, [{ normed: true, wanted: true }], true)
  assert.deepEqual(layerWork(batchNorm2d(3, true), input, all), { ...sum, weights: 6 })
  assert.equal(layerWork(batchNorm2d(3, false), input, all).weights, 0)
})

test('what has no weights reads its input and writes its output, and the same of gradients', () => {
  const bytes = (layer: Layer) => {
    const { forward, backward } = layerWork(layer, input, all)
    return [forward.bytes / 4, backward.bytes / 4]
  }
  // going back they read their result, too
  assert.deepEqual(bytes(relu), [192, 288])
  assert.deepEqual(bytes(sigmoid), [192, 288])
  assert.deepEqual(bytes(pool2d('avg', 2)), [96 + 24, 96 + 24])
  // a maximum's place takes the bytes of two numbers
  assert.deepEqual(bytes(pool2d('max', 2)), [96 + 3 * 24, 96 + 3 * 24])
  assert.deepEqual(bytes(zero(2)), [24 + 24, 24 + 24])
  assert.deepEqual(
    [bytes(shift), bytes(flatten)],
    [
      [0, 0],
      [0, 0],
    ],
  )
  for (const layer of [relu, sigmoid, pool2d('max', 1), pool2d('avg', 1), zero(1), globalAvgPool2d])
    assert.deepEqual(layerWork(layer, input, none).backward, nothing, layer.type)
})

test('layers inside others are counted, and what brings them together', () => {
  const branches = [[{ name: 'a', layer: conv2d(3, 2, 1) }], [functional(relu)]]
  const parts = [conv2d(3, 2, 1), relu].map((layer) => layerWork(layer, input, all))
  const joined = { bytes: 4 * 2 * 160, flops: 0 }
  assert.deepEqual(
    layerWork(concat(branches), input, all),
    addBothWays([...parts, { forward: joined, backward: joined, weights: 0 }]),
  )
  const layers = sequential('', [globalAvgPool2d, conv2d(3, 3, 1, { bias: true }), sigmoid])
  const small = { ...input, side: 1 }
  const inside = [
    layerWork(globalAvgPool2d, input, all),
    layerWork(conv2d(3, 3, 1, { bias: true }), small, all),
    layerWork(sigmoid, small, all),
  ]
  const product = {
    forward: { bytes: 4 * 2 * 96, flops: 96 },
    backward: { bytes: 4 * 3 * 96, flops: 2 * 96 },
    weights: 0,
  }
  assert.deepEqual(layerWork(gate(layers), input, all), addBothWays([...inside, product]))
})

test('inside another layer a gradient is wanted where weights before it are trained', () => {
  const weights = { x: false, weights: true }
  const [before, after] = [conv2d(3, 3, 1), conv2d(3, 3, 3)]
  const inside = addBothWays([layerWork(before, input, weights), layerWork(after, input, all)]).backward
  const layers = sequential('', [before, after])
  const { bytes, flops } = inside
  const joined = { bytes: bytes + 4 * 2 * 96, flops }
  assert.deepEqual(layerWork(concat([layers]), input, weights).backward, joined)
  const mean = layerWork(globalAvgPool2d, input, all).backward
  const scales = [...layers, functional(globalAvgPool2d)]
  const scaled = { bytes: bytes + mean.bytes + 4 * 3 * 96, flops: flops + mean.flops + 2 * 96 }
  assert.deepEqual(layerWork(gate(scales), input, weights).backward, scaled)
  const still = [functional(globalAvgPool2d), functional(sigmoid)]
  assert.deepEqual(layerWork(gate(still), input, weights).backward, nothing)
})

test('of a layer of one’s own nothing is known', () => {
  const own: Layer = {
    type: 'opaque',
    name: 'wavelet',
    make: () => {
      throw new Error('nobody runs it')
    },
    outputShape: (shape) => shape,
  }
  assertRefuses(() => layerWork(own, input, all), 'input', /'wavelet' is one of its own/)
})
