/** ddsas::augment against a plain formula, what is drawn for it, and inputs it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Augmentation,
  drawAugmentation,
  type ImageTensors,
  plain,
  prepareImages,
} from '../../../src/data/augment.ts'
import { call, Generator, slice, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { assertRan } from '../torch/runs.ts'

const count = 6
const size = 5
const mean = [0.1, 0.5, 0.25]
const std = [0.2, 1, 0.5]
const pixels = Uint8Array.from({ length: count * 3 * size * size }, (_, i) => (i * 83 + 17) % 256)

/** A set of six small images; its tensors belong to the scope around. */
function dataset(): ImageTensors {
  const labels = Tensor.from(
    BigInt64Array.from({ length: count }, (_, i) => BigInt(i)),
    [count],
  )
  return { images: Tensor.from(pixels, [count, 3, size, size]), labels, size, mean, std }
}

const indexTensor = (indices: readonly number[]) =>
  Tensor.from(BigInt64Array.from(indices, BigInt), [indices.length])

interface Draw {
  readonly index: number
  readonly top: number
  readonly left: number
  readonly flip: number
  readonly y: number
  readonly x: number
}

/** The image step by step: pad with zeros, crop, flip, scale to [0, 1], normalise, cut out. */
function augmented(draw: Draw, { padding, cutout }: Pick<Augmentation, 'padding' | 'cutout'>): number[] {
  const side = size + 2 * padding
  return [0, 1, 2].flatMap((c) => {
    const padded = Array.from({ length: side }, () => Array.from({ length: side }, () => 0))
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++)
        padded[y + padding][x + padding] = pixels[((draw.index * 3 + c) * size + y) * size + x]
    const cropped = padded
      .slice(draw.top, draw.top + size)
      .map((row) => row.slice(draw.left, draw.left + size))
    const flipped = cropped.map((row) => (draw.flip ? [...row].reverse() : row))
    const normal = flipped.map((row) => row.map((pixel) => (pixel / 255 - mean[c]) / std[c]))
    const half = Math.floor(cutout / 2)
    if (draw.y >= 0)
      for (let y = Math.max(0, draw.y - half); y < Math.min(size, draw.y + half); y++)
        for (let x = Math.max(0, draw.x - half); x < Math.min(size, draw.x + half); x++) normal[y][x] = 0
    return normal.flat()
  })
}

const how = fc.record({
  padding: fc.integer({ min: 0, max: 3 }),
  cutout: fc.integer({ min: 0, max: 12 }),
})

const cases = how.chain(({ padding, cutout }) =>
  fc.record({
    how: fc.constant({ padding, cutout }),
    draws: fc.array(
      fc.record({
        index: fc.nat(count - 1),
        top: fc.nat(2 * padding),
        left: fc.nat(2 * padding),
        flip: fc.nat(1),
        y: cutout > 0 ? fc.nat(size - 1) : fc.constant(-1),
        x: cutout > 0 ? fc.nat(size - 1) : fc.constant(-1),
      }),
      { maxLength: 8 },
    ),
  }),
)

test('crop, flip, normalisation and cutout of each image are those of a plain formula', () => {
  fc.assert(
    fc.property(cases, ({ how, draws }) => {
      tidy(() => {
        const drawn = Int32Array.from(draws.flatMap(({ top, left, flip, y, x }) => [top, left, flip, y, x]))
        const indices = indexTensor(draws.map(({ index }) => index))
        const prepare = () => prepareImages(dataset(), indices, drawn, { ...how, flip: true }).finish()
        const images = assertRan(['augment/portable'], 'a batch', prepare)
        assert.deepEqual([images.shape, images.dtype], [[draws.length, 3, size, size], 'float32'])
        const wanted = draws.flatMap((draw) => augmented(draw, how))
        for (const [i, value] of images.floats().entries())
          assert.ok(Math.abs(value - wanted[i]) < 1e-5, `[${i}]: ${value}, expected ${wanted[i]}`)
      })
    }),
    { numRuns: 150 },
  )
})

test('draws lie in their ranges, take all their values, and are those of the seed', () => {
  const augmentation = { padding: 2, flip: true, cutout: 4 }
  const drawn = drawAugmentation(2000, size, augmentation, new Generator(1))
  assert.deepEqual(drawAugmentation(2000, size, augmentation, new Generator(1)), drawn)
  assert.notDeepEqual(drawAugmentation(2000, size, augmentation, new Generator(2)), drawn)
  const values = [0, 1, 2, 3, 4].map((field) => [...drawn].filter((_, i) => i % 5 === field))
  const distinct = values.map((field) => [...new Set(field)].sort((a, b) => a - b))
  assert.deepEqual(distinct, [
    [0, 1, 2, 3, 4],
    [0, 1, 2, 3, 4],
    [0, 1],
    [0, 1, 2, 3, 4],
    [0, 1, 2, 3, 4],
  ])
  const flipped = values[2].reduce((sum, flip) => sum + flip, 0)
  assert.ok(Math.abs(flipped - 1000) < 5 * Math.sqrt(500), `${flipped} of 2000 are flipped`)
})

test('what is switched off is not drawn: the plain augmentation takes nothing from the generator', () => {
  const generator = new Generator(3)
  const before = generator.state()
  assert.deepEqual([...drawAugmentation(2, size, plain, generator)], [0, 0, 0, -1, -1, 0, 0, 0, -1, -1])
  assert.deepEqual(generator.state(), before)
  const still = drawAugmentation(50, size, { padding: 0, flip: false, cutout: 3 }, generator)
  for (let i = 0; i < still.length; i += 5) assert.deepEqual([...still.subarray(i, i + 3)], [0, 0, 0])
})

/** The operator itself with one argument replaced. */
function augment(replaced: Record<string, Tensor | number[]>): Tensor {
  const given = {
    images: dataset().images,
    indices: indexTensor([0, 5]),
    draws: Tensor.from(new Int32Array(10), [2, 5]),
    mean,
    std,
    ...replaced,
  }
  return call('ddsas::augment', given.images, given.indices, given.draws, given.mean, given.std, 0, 0)
}

const bytes = (...shape: number[]) => Tensor.from(new Uint8Array(shape.reduce((a, b) => a * b)), shape)

test('inputs of another shape or type are refused, naming them', () => {
  tidy(() => {
    assert.deepEqual(augment({}).shape, [2, 3, size, size])
    const refused: [RegExp, Record<string, Tensor | number[]>][] = [
      [/images.*\[6, 75\]/, { images: bytes(6, 75) }],
      [/images.*Float/, { images: Tensor.from(new Float32Array(3), [1, 3, 1, 1]) }],
      [/images/, { images: call('aten::transpose.int', bytes(6, 3, 5, 4), 2, 3) }],
      [/indices/, { indices: Tensor.from(Int32Array.of(0, 1), [2]) }],
      [/indices/, { indices: Tensor.from(BigInt64Array.of(0n, 1n), [1, 2]) }],
      [/draws.*\[2, 5\].*\[3, 5\]/, { draws: Tensor.from(new Int32Array(15), [3, 5]) }],
      [/draws.*\[2, 4\]/, { draws: Tensor.from(new Int32Array(8), [2, 4]) }],
      [/draws.*Float/, { draws: Tensor.from(new Float32Array(10), [2, 5]) }],
      [/mean and std.*3/, { mean: [0.5] }],
      [/mean and std.*3/, { std: [1, 1, 1, 1] }],
    ]
    for (const [pattern, replaced] of refused)
      assertRefuses(() => augment(replaced), 'torch', /ddsas::augment/, pattern)
  })
})

test('an index that is not in the data set is refused with its value', () => {
  tidy(() => {
    for (const index of [6, -1, 2 ** 40]) {
      const pattern = new RegExp(`index ${index} of 6 images`)
      assertRefuses(() => augment({ indices: indexTensor([0, index]) }), 'torch', pattern)
      const work = prepareImages(dataset(), indexTensor([index]), new Int32Array(5), plain)
      assertRefuses(() => work.finish(), 'torch', /ddsas::augment/, pattern)
    }
  })
})

test('indices that do not lie side by side in memory are read right, or refused', () => {
  tidy(() => {
    const everySecond = slice(indexTensor([0, 1, 5, 2]), 0, 0, 4, 2)
    assert.deepEqual(augment({ indices: everySecond }).bytes(), augment({}).bytes())
  })
})

test('what a GPU computes is what the CPU computes, to the bit', () => {
  tidy(() => {
    const generator = new Generator(9)
    const how = { padding: 4, flip: true, cutout: 6 }
    const data = dataset()
    const positions = [3, 0, 5, 3]
    const draws = drawAugmentation(positions.length, data.size, how, generator)
    const prepare = () => prepareImages(data, indexTensor(positions), draws, how).finish()
    const own = assertRan(['augment/portable'], 'a batch', prepare)
    const drawn = Tensor.from(draws, [positions.length, 5])
    const settings = [data.mean, data.std, how.padding, how.cutout] as const
    const other = assertRan(['augment/grid'], 'a batch on the grid', () =>
      call('ddsas::augment_on_grid', data.images, indexTensor(positions), drawn, ...settings),
    )
    assert.deepEqual(other.bytes(), own.bytes())
  })
})

test('a launch of 2^32 places is refused, as their numbers have 32 bits', () => {
  tidy(() => {
    // no image at all, of 2^32 pixels
    const images = Tensor.from(new Uint8Array(0), [0, 1, 2 ** 16, 2 ** 16])
    const draws = Tensor.from(Int32Array.of(0, 0, 0, -1, -1), [1, 5])
    assertRefuses(
      () => call('ddsas::augment_on_grid', images, indexTensor([0]), draws, [0], [1], 0, 0),
      'torch',
      /1 images of 65536 x 65536 pixels is too large for one launch/,
    )
  })
})
