/** Accuracy of a supernet: it goes by the batch alone, and leaves the supernet as it was, also when it is stopped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ImageTensors } from '../../../src/data/index.ts'
import { type Network, namedBuffers } from '../../../src/nn/index.ts'
import { evaluateSupernet } from '../../../src/search/evaluate.ts'
import { copy, Generator, Tensor, tidy } from '../../../src/torch/index.ts'
import { makeStrategy, makeSupernet } from '../strategies/tiny.ts'

const options = { batch: 4, device: 'cpu' }
const positions = [0, 1, 2, 3, 4, 5, 6, 7]

function build() {
  const supernet = makeSupernet()
  const strategy = makeStrategy()
  strategy.openWindow()
  const generator = new Generator(0)
  const pixels = Uint8Array.from({ length: 8 * 3 * 8 * 8 }, () => generator.below(256))
  const labels = Tensor.from(BigInt64Array.from(positions, BigInt), [8])
  const norm = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] }
  const data: ImageTensors = { images: Tensor.from(pixels, [8, 3, 8, 8]), labels, size: 8, ...norm }
  const archWeights = (group: string) => strategy.archWeights(group)
  return { supernet, archWeights, data }
}

function statistics(supernet: Network): number[][] {
  return [...namedBuffers(supernet).values()].map((tensor) => [...tensor.floats()])
}

test('running statistics neither enter the result nor are changed', () =>
  tidy(() => {
    const { supernet, archWeights, data } = build()
    const before = statistics(supernet)
    const first = evaluateSupernet(supernet, archWeights, data, positions, options)
    assert.deepEqual(statistics(supernet), before)
    for (const tensor of namedBuffers(supernet).values())
      copy(
        tensor,
        Tensor.from(
          Float32Array.from({ length: tensor.size }, () => 7),
          tensor.shape,
        ),
      )
    assert.deepEqual(evaluateSupernet(supernet, archWeights, data, positions, options), first)
    assert.ok(first.loss > 0 && first.accuracy >= 0 && first.accuracy <= 1)
  }))

test('an evaluation that is stopped leaves the statistics as they were', () =>
  tidy(() => {
    const { supernet, archWeights, data } = build()
    const before = statistics(supernet)
    let batches = 0
    const pause = () => {
      batches += 1
      if (batches === 2) throw new Error('stopped')
    }
    assert.throws(
      () => evaluateSupernet(supernet, archWeights, data, positions, { ...options, pause }),
      /stopped/,
    )
    assert.deepEqual(statistics(supernet), before)
  }))
