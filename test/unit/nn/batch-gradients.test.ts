/** Gradients of a batch in parts: the same sums as of the whole, and less memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Batch, batchGradients } from '../../../src/nn/index.ts'
import {
  add,
  call,
  channelsLast,
  conv2d,
  crossEntropy,
  Generator,
  globalAvgPool2d,
  grad,
  linear,
  relu,
  resetPeakMemory,
  reshape,
  setRequiresGrad,
  setThreads,
  sum,
  Tensor,
  tensorMemory,
  tidy,
} from '../../../src/torch/index.ts'

setThreads(1)

const classes = 3

function drawn(shape: readonly number[], generator: Generator): Tensor {
  const count = shape.reduce((product, size) => product * size, 1)
  return Tensor.from(
    Float64Array.from({ length: count }, () => generator.normal()),
    shape,
  )
}

/** A network without norms, in float64: kernel, classifier, and a weight that the loss does not depend on. */
function small(images: number, side = 5) {
  const generator = new Generator(images, 'parts')
  const parameters = [drawn([4, 3, 3, 3], generator), drawn([classes, 4], generator), drawn([2], generator)]
  const labels = BigInt64Array.from({ length: images }, () => BigInt(generator.below(classes)))
  const batch: Batch = {
    images: channelsLast(drawn([images, 3, side, side], generator)),
    labels: Tensor.from(labels, [images]),
  }
  const seen: number[] = []
  const forward = ({ images: x, labels: wanted }: Batch) => {
    seen.push(wanted.size)
    assert.equal(x.shape[0], wanted.size)
    const features = globalAvgPool2d(relu(conv2d(x, parameters[0], { padding: 1 })))
    const logits = linear(reshape(features, [wanted.size, 4]), parameters[1])
    return { logits, loss: crossEntropy(logits, wanted) }
  }
  return { parameters, batch, forward, seen }
}

function assertClose(actual: Tensor | null, wanted: Tensor | null, what: string): void {
  assert.ok(actual && wanted, what)
  const values = wanted.floats()
  for (const [i, value] of actual.floats().entries())
    assert.ok(Math.abs(value - values[i]) <= 1e-13 * (1 + Math.abs(values[i])), `${what}[${i}]: ${value}`)
}

test('parts of any size add up to the whole: gradients, loss, correct predictions', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }), (images, microBatch) =>
      tidy(() => {
        const { parameters, batch, forward, seen } = small(images)
        const whole = batchGradients(parameters, batch, 0, forward)
        assert.deepEqual(seen.splice(0), [images])
        const parts = batchGradients(parameters, batch, microBatch, forward)
        assert.equal(seen.length, Math.ceil(images / microBatch))
        assert.ok(Math.max(...seen) <= microBatch && Math.max(...seen) - Math.min(...seen) <= 1, seen.join())
        for (const index of [0, 1])
          assertClose(parts.gradients[index], whole.gradients[index], `gradient ${index}`)
        assert.equal(parts.gradients[2], null)
        assertClose(parts.outcome.loss, whole.outcome.loss, 'loss')
        assert.equal(parts.outcome.correct.item(), whole.outcome.correct.item())
      }),
    ),
    { numRuns: 40 },
  )
})

test('a whole batch takes the gradients of its loss to the bit, and nothing is left to record', () => {
  tidy(() => {
    const { parameters, batch, forward } = small(6)
    const { gradients } = batchGradients(parameters, batch, 6, forward)
    setRequiresGrad(parameters, true)
    const wanted = grad(forward(batch).loss, parameters)
    setRequiresGrad(parameters, false)
    for (const [index, gradient] of wanted.entries())
      assert.deepEqual(gradients[index]?.bytes(), gradient?.bytes(), `gradient ${index}`)
    batchGradients(parameters, batch, 2, forward)
    assert.throws(() => grad(sum(parameters[0]), [parameters[0]]))
    assert.throws(() => batchGradients(parameters, batch, 2, () => assert.fail('within')), /within/)
    assert.throws(() => grad(sum(parameters[0]), [parameters[0]]), 'after an error, neither')
  })
})

test('a parameter that some parts alone depend on keeps what those give', () => {
  tidy(() => {
    const { parameters, batch, forward } = small(4)
    let part = 0
    const { gradients } = batchGradients(parameters, batch, 2, (images) => {
      const { logits, loss } = forward(images)
      part += 1
      return { logits, loss: part === 1 ? loss : add(loss, sum(parameters[2])) }
    })
    assert.deepEqual([...(gradients[2]?.floats() ?? [])], [0.5, 0.5])
  })
})

test('memory is that of a part', () => {
  tidy(() => {
    const { parameters, batch, forward } = small(32, 24)
    const peak = (microBatch: number) => {
      resetPeakMemory()
      const before = tensorMemory().live
      tidy(() => {
        call('aten::stack', [batchGradients(parameters, batch, microBatch, forward).outcome.loss], 0)
      })
      return tensorMemory().peak - before
    }
    const [whole, quarter] = [peak(0), peak(8)]
    assert.ok(quarter < 0.3 * whole, `${quarter} of ${whole} bytes`)
  })
})
