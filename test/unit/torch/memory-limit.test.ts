/** The limit of tensors' memory: kept to the byte, on any thread, an error of its own kind, and nothing left behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchStream } from '../../../src/data/index.ts'
import { toTensors } from '../../../src/data/training-images.ts'
import { DdsasError } from '../../../src/errors.ts'
import {
  call,
  callLater,
  dtypes,
  Generator,
  grad,
  liveSlots,
  resetPeakMemory,
  setMemoryLimit,
  setRequiresGrad,
  setThreads,
  sum,
  type Tensor,
  tensorMemory,
  tidy,
  withMemoryLimit,
} from '../../../src/torch/index.ts'
import { chain } from './chain.ts'

const bytes = (count: number) => call('aten::zeros', [count], dtypes.uint8)

/** Runs `body` with so many bytes left, which end with it. */
function withRoom<Result>(room: number, body: () => Result): Result {
  setMemoryLimit('cpu', tensorMemory().live + room)
  try {
    return body()
  } finally {
    setMemoryLimit('cpu', 0)
  }
}

const held = () => ({ slots: liveSlots(), live: tensorMemory().live })

const isMemory = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof DdsasError, String(error))
  assert.deepEqual([error.kind, error.exitCode], ['memory', 1], error.message)
  assert.match(error.message, pattern)
  return true
}

test('the last byte can be had, and not one more; what fits afterwards can', () => {
  const before = held()
  tidy(() => {
    withRoom(1000, () => {
      const all = bytes(1000)
      assert.equal(tensorMemory().live, before.live + 1000)
      assert.throws(
        () => bytes(1),
        isMemory(
          /^aten::zeros.*: tensors hold \d+ bytes, 1 byte more would go beyond the limit of \d+ bytes$/,
        ),
      )
      all.dispose()
      assert.throws(() => bytes(1001), isMemory(/1001 bytes more/))
      assert.equal(tensorMemory().live, before.live)
      const [half, rest] = [bytes(600), bytes(400)]
      assert.throws(() => bytes(1), isMemory(/./))
      for (const tensor of [half, rest]) tensor.dispose()
    })
    bytes(2000)
  })
  assert.deepEqual(held(), before)
})

test('an error names the operator with its shapes, what is held, what was asked for and the limit', () => {
  const size = 3 * 2 ** 20
  tidy(() => {
    const x = bytes(size)
    const pattern =
      /^aten::add\.Tensor\(Byte\[3145728\], Byte\[3145728\].*\): tensors hold (\d+\.\d) MiB, 3\.0 MiB more would go beyond the limit of (\d+\.\d) MiB$/
    assert.throws(() => withRoom(size - 1, () => call('aten::add.Tensor', x, x)), isMemory(pattern))
  })
})

test('a refused peak is none, and what is held for tensors stays as the C library keeps it', () => {
  resetPeakMemory()
  const { peak, held: kept } = tensorMemory()
  assert.throws(() => withRoom(10, () => bytes(1 << 24)), isMemory(/16\.0 MiB more/))
  assert.equal(tensorMemory().peak, peak)
  tidy(() => void bytes(1 << 24))
  resetPeakMemory()
  assert.ok(
    tensorMemory().held >= Math.max(kept, process.platform === 'linux' ? tensorMemory().live + (1 << 24) : 0),
  )
})

for (const threads of [1, 2]) {
  test(`a backward pass that runs out ends with all it held given back, on ${threads} threads`, () => {
    setThreads(threads)
    const run = (room: number | undefined) =>
      tidy(() => {
        const { x, weights, node } = chain(new Generator(4))
        const loss = sum(call('aten::mul.Tensor', node, node))
        const backward = () => grad(loss, [x, ...weights])
        if (room === undefined) return backward().map((gradient) => gradient?.bytes())
        assert.throws(() => withRoom(room, backward), isMemory(/^grad: tensors hold/))
        return undefined
      })
    const wanted = run(undefined)
    const before = held()
    resetPeakMemory()
    run(undefined)
    const needed = tensorMemory().peak - before.live
    for (const part of [0, 0.1, 0.2, 0.3]) run(Math.round(part * needed))
    assert.deepEqual(held(), before)
    assert.deepEqual(run(undefined), wanted, 'nothing of the passes that failed is in the next')
    setThreads(1)
  })
}

test('a backward pass that ends for want of memory keeps nothing of what it had still to compute', () => {
  const before = held()
  tidy(() => {
    const inputs = [1, 2].map(() => call('aten::ones', [1000], dtypes.float32))
    setRequiresGrad(inputs, true)
    const [first, second] = inputs.map((x) => sum(call('aten::mul.Tensor', x, x)))
    const loss = call('aten::add.Tensor', first, second)
    assert.throws(() => withRoom(200, () => grad(loss, inputs)), isMemory(/^grad: tensors hold/))
  })
  assert.deepEqual(held(), before)
})

/** Images as a stream reads them. */
function imagesOf(count: number) {
  return toTensors(
    {
      name: 'made',
      split: 'train',
      images: Uint8Array.from({ length: count * 3072 }, (_, index) => index % 251),
      labels: new Uint8Array(count),
      count,
      size: 32,
      classes: ['one'],
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      fingerprint: '',
    },
    'cpu',
  )
}

test('a batch that is prepared on another thread is refused where it is asked for, and leaves nothing', () => {
  const before = held()
  const data = imagesOf(8)
  const options = {
    part: [0, 1, 2, 3, 4, 5, 6, 7],
    batch: 4,
    augmentation: { padding: 4, flip: true, cutout: 0 },
  }
  for (const room of [100, 4 * 3 * 32 * 32 * 4 - 1, 5 * 3 * 32 * 32 * 4]) {
    const stream = new BatchStream(data, options, new Generator(1))
    withRoom(room, () => {
      const twice = () => tidy(() => [stream.next(), stream.next()].length)
      assert.throws(twice, isMemory(/^(ddsas::augment|fromBytes|aten::)/))
      stream.dispose()
    })
  }
  data.images.dispose()
  data.labels.dispose()
  assert.deepEqual(held(), before)
})

test('tensors that fit together are never refused, however many threads ask at once', () => {
  const before = held()
  const [count, each] = [16, 1 << 16]
  for (let round = 0; round < 20; round++)
    tidy(() => {
      const made = withRoom(count * each, () => {
        const calls = Array.from({ length: 2 * count }, () => callLater('aten::zeros', [each], dtypes.uint8))
        const results = calls.map((asked): Tensor | undefined => {
          try {
            return asked.finish()
          } catch (error) {
            isMemory(/65536 bytes more/)(error)
            return undefined
          }
        })
        return results.filter((tensor) => tensor !== undefined)
      })
      assert.equal(made.length, count)
    })
  assert.deepEqual(held(), before)
})

test('a limit ends with what it was for', async () => {
  const failing = withMemoryLimit('cpu', tensorMemory().live + 100, async () => {
    await Promise.resolve()
    tidy(() => void bytes(101))
  })
  await assert.rejects(failing, isMemory(/101 bytes more/))
  tidy(() => void bytes(101))
  await withMemoryLimit('cpu', 0, async () => tidy(() => void bytes(1 << 20)))
})

test('what cannot be a limit is refused', () => {
  for (const limit of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(
      () => setMemoryLimit('cpu', limit),
      /setMemoryLimit: a limit should be a whole number of bytes/,
    )
  assert.throws(() => setMemoryLimit('meta', 1), /memory of meta has no limit in this build/)
})
