/** Channel statistics against two plain passes over the pixels, and the published ones of CIFAR-10. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { z } from 'zod'
import { readCifar } from '../../../src/data/cifar.ts'
import { cifarLayouts, imageBytes, imageSize } from '../../../src/data/cifar-layout.ts'
import { readImageFolder } from '../../../src/data/folder.ts'
import { datasetStatistics, folderStatistics } from '../../../src/data/statistics.ts'
import { Generator } from '../../../src/torch/index.ts'
import { failsWith, temporaryFolder, writeCifar10 } from './files.ts'
import { missing, realFolder, smallFolder, spoil } from './image-files.ts'

/** Mean and deviation of one channel's values 0..255, in two passes. */
function plain(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value / 255, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value / 255 - mean) ** 2, 0) / values.length
  return { mean, std: Math.sqrt(variance) }
}

function close(found: readonly number[], expected: readonly number[], tolerance: number): void {
  for (const [channel, value] of found.entries())
    assert.ok(Math.abs(value - expected[channel]) < tolerance, `${found} is not ${expected}`)
}

test('images in memory', (context) => {
  const directory = temporaryFolder(context)
  writeCifar10(directory, 3)
  const dataset = readCifar(directory, 'cifar10', 'train')
  const { mean, std, images, pixels } = datasetStatistics(dataset)
  assert.deepEqual([images, pixels], [15, 15 * 1024])
  const channels = [0, 1, 2].map((channel) =>
    plain([...dataset.images].filter((_, at) => Math.floor(at / 1024) % 3 === channel)),
  )
  close(
    mean,
    channels.map((each) => each.mean),
    1e-12,
  )
  close(
    std,
    channels.map((each) => each.std),
    1e-12,
  )
})

test('images of a folder, each in its own size, corrupt ones left out and listed', async (context) => {
  const directory = temporaryFolder(context)
  const generator = new Generator(3)
  const values: number[][] = [[], [], []]
  mkdirSync(join(directory, 'train/a'), { recursive: true })
  for (const [index, [width, height]] of [[5, 7] as const, [1, 1] as const, [90, 13] as const].entries()) {
    const pixels = Buffer.from(Array.from({ length: width * height * 3 }, () => generator.below(256)))
    for (const [at, value] of pixels.entries()) values[at % 3].push(value)
    const raw = { width, height, channels: 3 } as const
    await sharp(pixels, { raw })
      .png()
      .toFile(join(directory, `train/a/${index}.png`))
  }
  writeFileSync(join(directory, 'train/a/bad.jpg'), 'text')
  const steps: number[] = []
  const folder = readImageFolder(directory, 'train')
  const found = await folderStatistics(folder, { onProgress: (done) => steps.push(done) })
  assert.deepEqual([found.images, found.pixels], [3, 35 + 1 + 90 * 13])
  assert.deepEqual(found.skipped, [{ file: 'a/bad.jpg', reason: 'is not a JPEG, PNG or WebP image' }])
  assert.deepEqual(steps, [1, 2, 3, 4])
  close(
    found.mean,
    values.map((each) => plain(each).mean),
    1e-12,
  )
  close(
    found.std,
    values.map((each) => plain(each).std),
    1e-12,
  )
})

test('one colour has no deviation, not even a rounding error', async (context) => {
  const directory = temporaryFolder(context)
  mkdirSync(join(directory, 'train/a'), { recursive: true })
  const background = { r: 255, g: 77, b: 0 }
  await sharp({ create: { width: 301, height: 203, channels: 3, background } })
    .png()
    .toFile(join(directory, 'train/a/1.png'))
  const { mean, std } = await folderStatistics(readImageFolder(directory, 'train'))
  assert.deepEqual(mean, [1, 77 / 255, 0])
  assert.deepEqual(std, [0, 0, 0])
})

test('nothing to compute from is an error', async (context) => {
  const directory = temporaryFolder(context)
  const folder = await smallFolder(directory, 1)
  for (const file of folder.files) spoil(directory, `train/${file}`)
  await assert.rejects(
    folderStatistics(folder),
    failsWith('data', /no image of train .*`npx ddsas data check/),
  )
})

/** How often each value occurs in each channel of CIFAR-10's training images: what a clone has of them without a download. */
const countsFile = join(import.meta.dirname, 'cifar10-counts.json')

/** As many images as CIFAR-10 has, with its counts of values: sorted by them, as statistics do not depend on the order. */
function imagesOf(counts: readonly (readonly number[])[], count: number): Uint8Array {
  const images = new Uint8Array(count * imageBytes)
  const plane = imageBytes / 3
  for (const [channel, ofValues] of counts.entries()) {
    const values = new Uint8Array(count * plane)
    let start = 0
    for (const [value, times] of ofValues.entries()) {
      values.fill(value, start, start + times)
      start += times
    }
    for (let image = 0; image < count; image++)
      images.set(values.subarray(image * plane, (image + 1) * plane), image * imageBytes + channel * plane)
  }
  return images
}

test('the published statistics of CIFAR-10', (context) => {
  const directory = temporaryFolder(context)
  writeCifar10(directory, 1)
  const counts = z.array(z.array(z.number())).parse(JSON.parse(readFileSync(countsFile, 'utf8')))
  const count = 50_000
  const small = readCifar(directory, 'cifar10', 'train')
  const { mean, std, pixels } = datasetStatistics({ ...small, images: imagesOf(counts, count), count })
  assert.equal(pixels, count * imageSize ** 2)
  // those were computed in float32
  close(mean, cifarLayouts.cifar10.mean, 1e-6)
  close(std, cifarLayouts.cifar10.std, 1e-6)
})

test('the real folder is near ImageNet', { skip: missing }, async () => {
  const { mean, std, skipped } = await folderStatistics(readImageFolder(realFolder, 'train'))
  assert.deepEqual(skipped, [])
  close(mean, [0.485, 0.456, 0.406], 0.05)
  close(std, [0.229, 0.224, 0.225], 0.08)
})
