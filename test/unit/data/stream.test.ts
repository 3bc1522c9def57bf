/** The stream of batches: each image once a pass, labels with their images, exact continuation, nothing left behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ImageTensors } from '../../../src/data/augment.ts'
import {
  BatchStream,
  forEachPlainBatch,
  type ImageBatch,
  type StreamState,
} from '../../../src/data/stream.ts'
import { Generator, liveSlots, Tensor, tidy } from '../../../src/torch/index.ts'

const count = 20

/** Image i has the value i in every pixel, and label 100 + i. */
function dataset(): ImageTensors {
  const images = Uint8Array.from({ length: count * 3 * 16 }, (_, i) => Math.floor(i / 48))
  const labels = BigInt64Array.from({ length: count }, (_, i) => BigInt(100 + i))
  return {
    images: Tensor.from(images, [count, 3, 4, 4]),
    labels: Tensor.from(labels, [count]),
    size: 4,
    mean: [0, 0, 0],
    std: [1 / 255, 1 / 255, 1 / 255],
  }
}

const unchanged = { padding: 0, flip: false, cutout: 0 }
const strong = { padding: 2, flip: true, cutout: 2 }
const whole = Array.from({ length: count }, (_, i) => i)

interface Read {
  readonly labels: number[]
  readonly pixels: number[]
}

const read = ({ images, labels }: ImageBatch): Read => ({
  labels: [...new BigInt64Array(labels.bytes().buffer)].map(Number),
  pixels: [...images.floats()],
})

const take = (stream: BatchStream, batches: number) =>
  Array.from({ length: batches }, () => tidy(() => read(stream.next())))

function withStream<Result>(
  options: { part?: readonly number[]; batch: number; augmentation?: typeof strong; seed?: number },
  use: (stream: BatchStream) => Result,
): Result {
  return tidy(() => {
    const { part = whole, batch, augmentation = strong, seed = 1 } = options
    const stream = new BatchStream(dataset(), { part, batch, augmentation }, new Generator(seed))
    const result = use(stream)
    stream.dispose()
    return result
  })
}

test('a pass gives each image of the part once, in batches of which the last may be smaller', () => {
  const parts = fc.record({
    part: fc.uniqueArray(fc.nat(count - 1), { minLength: 1, maxLength: count }),
    batch: fc.integer({ min: 1, max: 25 }),
    seed: fc.nat(),
  })
  fc.assert(
    fc.property(parts, ({ part, batch, seed }) => {
      withStream({ part, batch, seed, augmentation: unchanged }, (stream) => {
        const perPass = Math.ceil(part.length / batch)
        assert.equal(stream.batchesPerPass, perPass)
        for (let pass = 0; pass < 2; pass++) {
          const batches = take(stream, perPass)
          const sizes = batches.map(({ labels }) => labels.length)
          assert.ok(sizes.slice(0, -1).every((size) => size === batch))
          const seen = batches.flatMap(({ labels }) => labels).map((label) => label - 100)
          assert.deepEqual(
            seen.sort((a, b) => a - b),
            [...part].sort((a, b) => a - b),
          )
        }
      })
    }),
    { numRuns: 40 },
  )
})

test('labels are those of their images', () => {
  withStream({ batch: 7, augmentation: unchanged }, (stream) => {
    for (const { labels, pixels } of take(stream, 6))
      for (const [i, label] of labels.entries())
        for (const pixel of pixels.slice(i * 48, (i + 1) * 48))
          assert.ok(Math.abs(pixel - (label - 100)) < 1e-4)
  })
})

test('the order changes from pass to pass and with the seed; the same seed gives the same batches', () => {
  const first = withStream({ batch: 8 }, (stream) => take(stream, 6))
  assert.deepEqual(
    withStream({ batch: 8 }, (stream) => take(stream, 6)),
    first,
  )
  const order = (batches: Read[]) => batches.flatMap(({ labels }) => labels)
  assert.notDeepEqual(order(first.slice(0, 3)), order(first.slice(3)))
  const other = withStream({ batch: 8, seed: 2 }, (stream) => take(stream, 3))
  assert.notDeepEqual(order(other), order(first.slice(0, 3)))
  assert.deepEqual(
    first.map(({ labels }) => labels.length),
    [8, 8, 4, 8, 8, 4],
  )
})

test('a stream loaded with the state of another goes on with its batches, wherever in a pass it stood', () => {
  for (const taken of [0, 1, 2, 3, 4, 7]) {
    let state: StreamState | undefined
    const wanted = withStream({ batch: 8 }, (stream) => {
      take(stream, taken)
      state = JSON.parse(JSON.stringify(stream.state()))
      return take(stream, 5)
    })
    withStream({ batch: 8, seed: 99 }, (stream) => {
      take(stream, 2)
      assert.ok(state)
      stream.load(state)
      assert.deepEqual(stream.state(), state, 'a loaded stream stands where it was told to')
      assert.deepEqual(take(stream, 5), wanted, `after ${taken} batches`)
    })
  }
})

test('asking for the state changes nothing, and a stream can go back to an earlier state of its own', () => {
  withStream({ batch: 6 }, (stream) => {
    take(stream, 2)
    const state = stream.state()
    assert.deepEqual(stream.state(), state)
    const wanted = take(stream, 4)
    stream.load(state)
    assert.deepEqual(take(stream, 4), wanted)
  })
})

test('batches are float32 images and int64 labels, which outlive the stream and are freed by their scope', () => {
  tidy(() => {
    const data = dataset()
    const before = liveSlots()
    const stream = new BatchStream(data, { part: whole, batch: 4, augmentation: strong }, new Generator(1))
    assert.equal(liveSlots(), before)
    tidy(() => {
      const { images, labels } = stream.next()
      const shape = [images.shape, images.dtype, labels.shape, labels.dtype]
      assert.deepEqual(shape, [[4, 3, 4, 4], 'float32', [4], 'int64'])
      stream.dispose()
      assert.equal(images.floats().length, 192)
    })
    assert.equal(liveSlots(), before)
    for (let i = 0; i < 3; i++) take(stream, 7)
    // the labels of the batch under preparation
    assert.equal(liveSlots(), before + 1)
    stream.dispose()
    stream.dispose()
    assert.equal(liveSlots(), before)
    assert.equal(take(stream, 1)[0].labels.length, 4)
    stream.dispose()
    assert.equal(liveSlots(), before)
  })
})

test('plain batches: the positions in order, unchanged but for the normalisation, each freed after its use', () => {
  tidy(() => {
    const data = dataset()
    const before = liveSlots()
    const seen: number[] = []
    const sizes: number[] = []
    forEachPlainBatch(data, [3, 19, 0, 3, 7], 2, (batch) => {
      const { labels, pixels } = read(batch)
      sizes.push(labels.length)
      seen.push(...labels.map((label) => label - 100))
      for (const [i, pixel] of pixels.entries())
        assert.ok(Math.abs(pixel - (labels[Math.floor(i / 48)] - 100)) < 1e-4)
    })
    assert.deepEqual(
      [seen, sizes],
      [
        [3, 19, 0, 3, 7],
        [2, 2, 1],
      ],
    )
    assert.equal(liveSlots(), before)
  })
})

test('parts of batches are together what one process gets, and their state is the same', () => {
  const property = (world: number, batch: number, seed: number) => {
    const options = { part: whole, batch, augmentation: strong }
    const data = dataset()
    const alone = new BatchStream(data, options, new Generator(seed))
    const parts = Array.from(
      { length: world },
      (_, rank) => new BatchStream(data, { ...options, share: { rank, world } }, new Generator(seed)),
    )
    for (let step = 0; step < 4; step++)
      tidy(() => {
        const wanted = read(alone.next())
        const found = parts.map((one) => one.next())
        const own = found.map((one) => ({ ...read(one), images: one.place?.images ?? -1 }))
        const labels = own.flatMap((one) => one.labels.slice(0, one.images))
        const pixels = own.flatMap((one) => one.pixels.slice(0, one.images * 48))
        assert.deepEqual({ labels, pixels }, wanted)
        // where there are fewer images than processes, one stands in
        assert.ok(own.every((one) => one.labels.length === Math.max(one.images, 1)))
        for (const one of parts) assert.deepEqual(one.state(), alone.state())
      })
    for (const one of [alone, ...parts]) one.dispose()
    data.images.dispose()
    data.labels.dispose()
  }
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 1, max: 9 }), fc.nat(1000), property),
    {
      numRuns: 25,
    },
  )
})

test('batches of another size go on where the last one ended, also where the stream was saved before', () => {
  const sizes = (batches: readonly Read[]) => batches.map(({ labels }) => labels.length)
  const [state, wanted] = withStream({ batch: 6 }, (stream) => {
    const first = take(stream, 1)
    // prepared already, and drawn anew
    stream.resize(8)
    assert.equal(stream.batchesPerPass, 3)
    const saved = stream.state()
    const batches = take(stream, 3)
    assert.deepEqual(sizes(batches), [8, 6, 8])
    const pass = [...first, ...batches.slice(0, 2)].flatMap(({ labels }) => labels)
    assert.deepEqual(
      pass.sort(),
      whole.map((image) => 100 + image),
    )
    return [saved, batches] as const
  })
  withStream({ batch: 3, seed: 5 }, (stream) => {
    take(stream, 2)
    stream.resize(8)
    stream.load(state)
    assert.deepEqual(take(stream, 3), wanted)
  })
})
