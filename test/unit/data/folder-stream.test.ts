/** Batches of an image folder: the same for a seed whatever is decoded first, exact resume, corrupt files replaced. */
import assert from 'node:assert/strict'
import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import { type ImageFolder, readImageFolder } from '../../../src/data/folder.ts'
import type { SkippedImage } from '../../../src/data/folder-images.ts'
import { FolderStream, type FolderStreamOptions } from '../../../src/data/folder-stream.ts'
import { augmentImages } from '../../../src/data/image-augment.ts'
import { decodePlanned, imageSize, planDecoding, readImageFile } from '../../../src/data/image-decode.ts'
import { drawImage, imagenetTraining, randomBox } from '../../../src/data/image-transform.ts'
import type { ImageSource } from '../../../src/data/source.ts'
import { adopt, Generator, liveSlots, tidy } from '../../../src/torch/index.ts'
import { failsWith, temporaryFolder } from './files.ts'
import { missing, realFolder, smallFolder, spoil } from './image-files.ts'

const transform = { ...imagenetTraining, size: 16 }

function streamOf(folder: ImageFolder, options: Partial<FolderStreamOptions> = {}, seed = 7): FolderStream {
  const part = Array.from({ length: folder.count }, (_, index) => index)
  return new FolderStream(
    folder,
    { part, batch: 5, transform, device: 'cpu', ...options },
    new Generator(seed),
  )
}

/** The next batches as plain numbers; their tensors are freed. */
async function take(source: ImageSource, count: number) {
  const batches = []
  for (let index = 0; index < count; index++) {
    const { images, labels, skipped } = await source.next()
    batches.push(
      tidy(() => {
        adopt(images)
        adopt(labels)
        const numbers = [...new BigInt64Array(labels.bytes().buffer)].map(Number)
        return { shape: images.shape, floats: Buffer.from(images.bytes()), labels: numbers, skipped }
      }),
    )
  }
  return batches
}

test('one pass gives every image once, the last batch smaller, each pass in another order', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const stream = streamOf(folder)
  assert.equal(stream.batchesPerPass, 3)
  const batches = await take(stream, 6)
  assert.deepEqual(
    batches.map(({ shape }) => shape),
    [5, 5, 2, 5, 5, 2].map((count) => [count, 3, 16, 16]),
  )
  const labels = batches.map((batch) => batch.labels)
  for (const pass of [labels.slice(0, 3), labels.slice(3)])
    assert.deepEqual(pass.flat().sort(), [...folder.labels])
  assert.notDeepEqual(labels.slice(0, 3), labels.slice(3))
  stream.dispose()
})

test('a batch is what its draws say, image by image', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const stream = streamOf(folder)
  const [batch] = await take(stream, 1)
  stream.dispose()
  const generator = new Generator(7)
  const order = generator.permutation(folder.count)
  for (let row = 0; row < 5; row++) {
    const draw = drawImage(transform, generator)
    const path = join(folder.directory, 'train', folder.files[order[row]])
    const file = await readImageFile(path)
    const plan = planDecoding(imageSize(file), randomBox(imageSize(file), draw, transform), 16, false)
    const image = await decodePlanned(file, plan)
    const floats = tidy(() => Buffer.from(augmentImages([{ image, draw }], transform).finish().bytes()))
    // channels last or not, bytes() is row-major, so an image is one stretch of it
    assert.deepEqual(floats, batch.floats.subarray(row * floats.length, (row + 1) * floats.length))
    assert.equal(batch.labels[row], folder.labels[order[row]])
  }
})

test('a seed gives the same batches whatever is prepared ahead, another seed others', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const expected = await take(streamOf(folder), 7)
  for (const ahead of [1, 5]) assert.deepEqual(await take(streamOf(folder, { ahead }), 7), expected)
  assert.notDeepEqual(await take(streamOf(folder, {}, 8), 7), expected)
})

test('a stream continues exactly from its state, also in the middle of a pass, also on itself', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const stream = streamOf(folder)
  for (let done = 0; done < 5; done++) {
    const state = JSON.parse(JSON.stringify(stream.state()))
    const expected = await take(stream, 4)
    const resumed = streamOf(folder, {}, 99)
    resumed.load(state)
    assert.deepEqual(resumed.state(), state)
    assert.deepEqual(await take(resumed, 4), expected)
    resumed.dispose()
    stream.load(state)
    await take(stream, 1)
  }
  stream.dispose()
})

test('slots stay flat, and none is left after dispose, whatever was under way', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const before = liveSlots()
  for (const pause of [0, 30]) {
    const stream = streamOf(folder)
    await take(stream, 10)
    await sleep(pause)
    stream.dispose()
    stream.dispose()
    // what was under way frees its own when it ends
    for (let tries = 0; liveSlots() !== before && tries < 6000; tries++) await sleep(10)
    assert.equal(liveSlots(), before)
  }
})

test('batches of another size go on where the last one ended', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const [stream, other] = [streamOf(folder), streamOf(folder, { batch: 4 })]
  const [first] = await take(stream, 1)
  stream.resize(4)
  assert.equal(stream.batchesPerPass, 3)
  other.load(stream.state())
  const batches = await take(stream, 2)
  assert.deepEqual([...first.labels, ...batches.flatMap(({ labels }) => labels)].sort(), [...folder.labels])
  assert.deepEqual(await take(other, 2), batches)
  for (const one of [stream, other]) one.dispose()
})

test('a part keeps to its positions', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const part = folder.files.flatMap((_, index) => (folder.labels[index] === 1 ? [index] : []))
  const stream = streamOf(folder, { part, batch: 4 })
  assert.equal(stream.batchesPerPass, 2)
  for (const { labels } of await take(stream, 4)) assert.ok(labels.every((label) => label === 1))
  stream.dispose()
})

test('a corrupt file is replaced by the next of the order, told of once, on every pass alike', async (context) => {
  const directory = temporaryFolder(context)
  const folder = await smallFolder(directory)
  const sound = await take(streamOf(folder), 3)
  for (const index of [2, 3, 8]) spoil(directory, `train/${folder.files[index]}`)
  truncateSync(join(directory, 'train', folder.files[9]), 0)
  const corrupt = new Set([2, 3, 8, 9])
  const told: [SkippedImage, number][] = []
  const stream = streamOf(readImageFolder(directory, 'train'), {
    onSkip: (skipped, count) => told.push([skipped, count]),
  })
  const batches = await take(stream, 3)
  // own files alone count, whatever had to be tried in their places
  const skipped = batches.map((batch) => batch.skipped ?? 0)
  assert.equal(
    skipped.reduce((sum, count) => sum + count, 0),
    4,
  )
  const order = new Generator(7).permutation(folder.count)
  for (const [place, position] of order.entries()) {
    const [batch, row] = [batches[Math.floor(place / 5)], place % 5]
    let found = place
    while (corrupt.has(order[found % order.length])) found++
    assert.equal(batch.labels[row], folder.labels[order[found % order.length]])
    const bytes = 4 * 3 * 16 * 16
    const pixels = ({ floats }: { floats: Buffer }) => floats.subarray(row * bytes, (row + 1) * bytes)
    // the draws of the others are not touched
    if (!corrupt.has(position)) assert.deepEqual(pixels(batch), pixels(sound[Math.floor(place / 5)]))
  }
  const again = streamOf(readImageFolder(directory, 'train'))
  await take(stream, 3)
  const state = stream.state()
  const expected = await take(stream, 3)
  again.load(state)
  assert.deepEqual(await take(again, 3), expected)
  const names = [2, 3, 8, 9].map((index) => folder.files[index])
  assert.deepEqual(told.map(([{ file }]) => file).sort(), names)
  assert.deepEqual(
    told.map(([, count]) => count),
    [1, 2, 3, 4],
  )
  assert.match(told[0][0].reason, /\w/)
  assert.deepEqual(
    stream
      .skipped()
      .map(({ file }) => file)
      .sort(),
    names,
  )
  for (const each of [stream, again]) each.dispose()
})

test('a folder of corrupt files is an error that names the first, not a loop without end', async (context) => {
  const directory = temporaryFolder(context)
  const folder = await smallFolder(directory, 2)
  for (const file of folder.files) spoil(directory, `train/${file}`)
  const stream = streamOf(folder)
  await assert.rejects(
    stream.next(),
    failsWith('data', /too many files .*[ab]\/\d\.jpg/, /npx ddsas data check/),
  )
  // what was prepared ahead failed as well, with no one waiting for it
  await sleep(50)
  stream.dispose()
})

test('while this thread computes, the pool decodes what comes next', { skip: missing }, async () => {
  const folder = readImageFolder(realFolder, 'train')
  const stream = streamOf(folder, { batch: 80, transform: imagenetTraining })
  await take(stream, 1)
  // `queue` counts tasks that no thread has begun, `process` those whose results this one has not taken yet
  for (const end = performance.now() + 300_000; sharp.counters().queue > 0 && performance.now() < end; );
  const { queue, process } = sharp.counters()
  assert.equal(queue, 0)
  assert.ok(process > 8, `${process} images decoded without this thread`)
  await take(stream, 3)
  stream.dispose()
})

test('the real folder, with its grey images', { skip: missing }, async () => {
  const stream = streamOf(readImageFolder(realFolder, 'train'), { batch: 48, transform: imagenetTraining })
  const batches = await take(stream, stream.batchesPerPass)
  assert.equal(stream.skipped().length, 0)
  const all = batches.flatMap(({ floats }) => [...new Float32Array(floats.buffer, floats.byteOffset, 1000)])
  assert.ok(all.every((value) => Number.isFinite(value) && value > -2.2 && value < 2.7))
  stream.dispose()
})
