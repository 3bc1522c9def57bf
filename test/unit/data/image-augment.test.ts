/** ddsas::image_augment against plain formulas: resizing, each operation of the jitter, their order, bad arguments. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { augmentImages } from '../../../src/data/image-augment.ts'
import { type Box, noDraw } from '../../../src/data/image-transform.ts'
import { call, Generator, liveSlots, Tensor, tidy } from '../../../src/torch/index.ts'
import { runsIn } from '../torch/runs.ts'
import { failsWith } from './files.ts'
import { augmented } from './image-formula.ts'

const statistics = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/** Random pixels, some rows of one colour: where all channels are equal there is no hue. */
function randomImage(width: number, height: number, generator: Generator) {
  const pixels = Uint8Array.from({ length: width * height * 3 }, (_, at) =>
    at < width * 3 ? 100 : generator.below(256),
  )
  return { width, height, pixels }
}

const whole = (width: number, height: number): Box => ({ left: 0, top: 0, width, height })

/** By the kernel: with the instructions that the compiler's clones for this processor use, of which it has one or two. */
function augmentedBy(images: Parameters<typeof augmentImages>[0], size: number): Tensor {
  const { result, ran } = runsIn(() => augmentImages(images, { ...statistics, size }).finish())
  assert.match(ran.join(), /^image_augment\/(portable|avx2)$/)
  return result
}

function worstDifference(found: ArrayLike<number>, expected: readonly number[]): number {
  assert.equal(found.length, expected.length)
  return expected.reduce((worst, value, at) => Math.max(worst, Math.abs(value - found[at])), 0)
}

test('resizes as the antialiased bilinear filter does, shrinking, growing, from boxes between pixels', () => {
  const generator = new Generator(1)
  const cases: readonly (readonly [number, number, Box])[] = [
    [50, 40, whole(50, 40)],
    [7, 5, whole(7, 5)],
    [1, 1, whole(1, 1)],
    [3, 200, whole(3, 200)],
    [60, 33, { left: 3.25, top: 1.5, width: 40.1, height: 30.9 }],
    [60, 33, { left: 59.5, top: 32, width: 0.5, height: 1 }],
    [12, 12, { left: 0, top: 0, width: 12, height: 12 }],
  ]
  for (const [width, height, box] of cases) {
    const image = { ...randomImage(width, height, generator), box }
    for (const size of [12, 7, 1])
      for (const flip of [false, true])
        tidy(() => {
          const draw = { ...noDraw, flip }
          const result = augmentedBy([{ image, draw }], size)
          assert.deepEqual(result.shape, [1, 3, size, size])
          const worst = worstDifference(result.floats(), augmented({ ...image, ...draw }, size, statistics))
          assert.ok(worst < 2e-5, `${width} x ${height} to ${size}: ${worst}`)
        })
  }
})

test('jitters as torchvision does on float images, in any order, with other draws for each image', () => {
  const generator = new Generator(2)
  const size = 47
  const images = Array.from({ length: 12 }, (_, index) => {
    const [width, height] = [20 + generator.below(20), 20 + generator.below(20)]
    const image = { ...randomImage(width, height, generator), box: whole(width, height) }
    const factors = [0.6, 0.6, 0.6].map((low) => low + 0.8 * generator.uniform())
    const order = index < 4 ? [index, -1, -1, -1] : generator.permutation(4)
    const draw = { crop: [], flip: index % 2 === 1, order, factors: [...factors, generator.uniform() - 0.5] }
    return { image, draw }
  })
  tidy(() => {
    const floats = augmentedBy(images, size).floats()
    for (const [index, { image, draw }] of images.entries()) {
      const found = floats.subarray(index * 3 * size * size, (index + 1) * 3 * size * size)
      const worst = worstDifference(found, augmented({ ...image, ...draw }, size, statistics))
      assert.ok(worst < 5e-5, `image ${index}, order ${draw.order}: ${worst}`)
    }
  })
})

test('a hue turned by nothing, half a turn and back, and colours at the ends of the scale', () => {
  const corners = Array.from({ length: 8 }, (_, at) =>
    [at & 1, (at >> 1) & 1, at >> 2].map((bit) => 255 * bit),
  )
  const image = { width: 4, height: 2, pixels: Uint8Array.from(corners.flat()), box: whole(4, 2) }
  for (const turn of [0, -0.5, 0.5, 1 / 3, -1 / 6])
    tidy(() => {
      const draw = { crop: [], flip: false, order: [3, -1, -1, -1], factors: [1, 1, 1, turn] }
      const found = augmentedBy([{ image, draw }], 4).floats()
      const worst = worstDifference(found, augmented({ ...image, ...draw }, 4, statistics))
      assert.ok(worst < 5e-5, `turn ${turn}: ${worst}`)
    })
})

test('the batch is channels last and nothing is left behind', () => {
  const before = liveSlots()
  tidy(() => {
    const image = { ...randomImage(9, 9, new Generator(3)), box: whole(9, 9) }
    const result = augmentImages([{ image, draw: noDraw }], { ...statistics, size: 8 }).finish()
    // a view in this order exists only where the channels lie innermost
    const pixels = call('aten::view', call('aten::permute', result, [0, 2, 3, 1]), [-1])
    assert.deepEqual(pixels.shape, [192])
  })
  assert.equal(liveSlots(), before)
})

test('arguments that do not fit are refused', () => {
  const good = {
    images: [Tensor.from(new Uint8Array(27), [3, 3, 3])],
    boxes: Tensor.from(Float64Array.of(0, 0, 3, 3), [1, 4]),
    draws: Tensor.from(Int32Array.of(0, -1, -1, -1, -1), [1, 5]),
    factors: Tensor.from(Float32Array.of(1, 1, 1, 0), [1, 4]),
    size: 4,
  }
  const box = (...values: number[]) => ({ boxes: Tensor.from(Float64Array.from(values), [1, 4]) })
  const cases: readonly (readonly [Partial<typeof good>, RegExp])[] = [
    [box(0, 0, 4, 3), /box 0, 0, 4 x 3 is not inside/],
    [box(-0.5, 0, 3, 3), /is not inside/],
    [box(0, 0, 0, 3), /is not inside/],
    [box(Number.NaN, 0, 3, 3), /is not inside/],
    [{ images: [Tensor.from(new Uint8Array(9), [3, 3, 1])] }, /uint8 \[h, w, 3\]/],
    [{ images: [Tensor.from(new Float32Array(27), [3, 3, 3])] }, /uint8 \[h, w, 3\]/],
    [{ images: [...good.images, ...good.images] }, /float64 \[2, 4\]/],
    [{ draws: Tensor.from(Int32Array.of(0, 4, 0, 0, 0), [1, 5]) }, /operation 4/],
    [{ draws: Tensor.from(Int32Array.of(0, 1, 2, 1, -1), [1, 5]) }, /operation 1 is drawn twice/],
    [{ factors: Tensor.from(Float32Array.of(1, 1, 1, 0.6), [1, 4]) }, /turned by/],
    [{ factors: Tensor.from(Float32Array.of(1, 1, 1), [1, 3]) }, /float32 \[1, 4\]/],
    [{ size: 0 }, /size should be positive/],
  ]
  for (const [change, pattern] of cases) {
    const { images, boxes, draws, factors, size } = { ...good, ...change }
    const { mean, std } = statistics
    assert.throws(
      () => tidy(() => call('ddsas::image_augment', images, boxes, draws, factors, mean, std, size)),
      failsWith('torch', pattern),
    )
  }
})
