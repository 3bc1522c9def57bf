/** Reading CIFAR binary files: round trips, both layouts, every way in which a file can be wrong. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type CifarName, readCifar } from '../../../src/data/cifar.ts'
import { cifarDifference } from '../../../src/data/cifar-files.ts'
import { cifarInfo } from '../../../src/data/cifar-info.ts'
import { cifarLayouts } from '../../../src/data/cifar-layout.ts'
import { failsWith, imageBytes, records, temporaryFolder, writeCifar10 } from './files.ts'

test('the standard names are 10 and 100 distinct ones in alphabetical order', () => {
  for (const [name, count] of [['cifar10', 10] as const, ['cifar100', 100] as const]) {
    const { classes } = cifarLayouts[name]
    assert.equal(new Set(classes).size, count)
    assert.deepEqual([...classes].sort(), classes)
  }
})

test('CIFAR-10 round trip: pixels, labels, counts, statistics and fingerprint', (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder, 2)
  const train = readCifar(folder, 'cifar10', 'train')
  assert.equal(train.count, 10)
  assert.equal(train.size, 32)
  assert.equal(train.images.length, 10 * imageBytes)
  assert.deepEqual([...train.labels], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  const files = [1, 2, 3, 4, 5].map((batch) => readFileSync(join(folder, `data_batch_${batch}.bin`)))
  files.forEach((file, index) => {
    const second = train.images.subarray((2 * index + 1) * imageBytes, (2 * index + 2) * imageBytes)
    assert.deepEqual(Buffer.from(second), file.subarray(2 + imageBytes))
  })
  assert.equal(train.fingerprint, createHash('sha256').update(Buffer.concat(files)).digest('hex'))
  assert.deepEqual(train.mean, [0.49139968, 0.48215827, 0.44653124])
  assert.equal(train.classes[9], 'truck')
  const again = readCifar(folder, 'cifar10', 'test')
  assert.deepEqual([again.split, again.count, [...again.labels]], ['test', 2, [0, 1]])
})

test('a file longer than one read chunk keeps its order', (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder, 300)
  const { labels, images } = readCifar(folder, 'cifar10', 'test')
  const file = readFileSync(join(folder, 'test_batch.bin'))
  for (const row of [0, 255, 256, 299]) {
    const at = row * (1 + imageBytes)
    assert.equal(labels[row], file[at])
    const image = Buffer.from(images.subarray(row * imageBytes, (row + 1) * imageBytes))
    assert.deepEqual(image, file.subarray(at + 1, at + 1 + imageBytes))
  }
})

test('CIFAR-100 takes the fine label and finds its usual subfolder', (context) => {
  const folder = temporaryFolder(context)
  const inner = join(folder, 'cifar-100-binary')
  mkdirSync(inner)
  const train = records([
    [19, 99],
    [3, 0],
    [7, 42],
  ])
  writeFileSync(join(inner, 'train.bin'), train)
  writeFileSync(join(inner, 'test.bin'), records([[1, 5]]))
  const dataset = readCifar(folder, 'cifar100', 'train')
  assert.deepEqual([...dataset.labels], [99, 0, 42])
  assert.equal(dataset.images[0], 0)
  assert.equal(dataset.images[imageBytes], 7)
  assert.equal(dataset.classes[99], 'worm')
})

test('class names come from the names file, which sets the range of labels', (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder)
  const names = join(folder, 'batches.meta.txt')
  writeFileSync(names, 'a\r\nb\r\nc\r\n\r\n')
  assert.deepEqual(readCifar(folder, 'cifar10', 'test').classes, ['a', 'b', 'c'])
  assert.throws(
    () => readCifar(folder, 'cifar10', 'train'),
    failsWith('data', /data_batch_2\.bin: record 1 .*label 3/),
  )
  for (const text of ['\n', 'good\nbad\u001b[31m\n', 'x\n'.repeat(257), 'x'.repeat(70_000)]) {
    writeFileSync(names, text)
    assert.throws(
      () => readCifar(folder, 'cifar10', 'test'),
      failsWith('data', /batches\.meta\.txt/, /replace or remove/),
    )
  }
})

test('cifarInfo counts images of each class', (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder, 4)
  const info = cifarInfo(folder, 'cifar10')
  assert.equal(info.train.count, 20)
  assert.deepEqual(info.train.perClass, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
  assert.deepEqual(info.test.perClass, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
  assert.match(info.test.fingerprint, /^[0-9a-f]{64}$/)
})

test('a file that cannot be used is named with its value and the remedy', async (context) => {
  const folder = temporaryFolder(context)
  const path = join(folder, 'data_batch_3.bin')
  const rejected = (...patterns: RegExp[]) =>
    assert.throws(
      () => readCifar(folder, 'cifar10', 'train'),
      failsWith('data', /data_batch_3\.bin/, /npx ddsas data fetch cifar10/, ...patterns),
    )
  const cases: readonly (readonly [string, () => void, RegExp])[] = [
    ['truncated', () => truncateSync(path, 6000), /6000 bytes.*3073-byte/],
    ['empty', () => truncateSync(path, 0), /is empty/],
    ['over 1 GiB (sparse)', () => truncateSync(path, 2 ** 30 + 1), /over the limit of 1 GiB/],
    ['missing', () => rmSync(path), /is missing/],
    ['a folder', () => [rmSync(path), mkdirSync(path)], /is not a file/],
  ]
  for (const [name, breakFile, pattern] of cases) {
    await context.test(name, () => {
      rmSync(path, { recursive: true, force: true })
      writeCifar10(folder)
      breakFile()
      rejected(pattern)
    })
  }
})

test('a label out of range names file, record and label', (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder)
  writeFileSync(join(folder, 'test_batch.bin'), records([[9], [10]]))
  assert.throws(
    () => readCifar(folder, 'cifar10', 'test'),
    failsWith('data', /test_batch\.bin: record 1 has label 10/),
  )
})

test('a folder without data names the file it looked for', (context) => {
  const folder = temporaryFolder(context)
  const missing = failsWith('data', /cifar-100-binary.train\.bin is missing/, /npx ddsas data fetch cifar100/)
  assert.throws(() => readCifar(folder, 'cifar100', 'train'), missing)
  assert.throws(
    () => readCifar(join(folder, 'my none'), 'cifar100', 'train'),
    failsWith('data', /there is no folder .*my none: .*`npx ddsas data fetch cifar100 --data '.*my none'`/),
  )
})

test('what differs from the published files is said with counts', (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder, 3)
  assert.equal(
    readCifar(folder, 'cifar10', 'train').difference,
    'data_batch_1.bin holds 3 of 10000 images, data_batch_2.bin holds 3 of 10000 images, 3 more files differ',
  )
  assert.equal(readCifar(folder, 'cifar10', 'test').difference, 'test_batch.bin holds 3 of 10000 images')
  const files = (...counts: number[]) =>
    counts.map((count, index) => ({ name: `data_batch_${index + 1}.bin`, path: '', count }))
  const whole = [10_000, 10_000, 10_000, 10_000, 10_000]
  assert.equal(
    cifarDifference('cifar10', 'train', files(10_000, 10_000, 1, 10_000, 10_001)),
    'data_batch_3.bin holds 1 of 10000 images, data_batch_5.bin holds 10001, not 10000 images',
  )
  const { fingerprints } = cifarLayouts.cifar10
  assert.equal(cifarDifference('cifar10', 'train', files(...whole), fingerprints?.train), undefined)
  assert.equal(cifarDifference('cifar10', 'train', files(...whole)), undefined)
  assert.match(cifarDifference('cifar10', 'train', files(...whole), 'ab') ?? '', /5\.bin hold other bytes/)
  assert.match(cifarDifference('cifar100', 'test', files(9_999)) ?? '', /holds 9999 of 10000 images/)
})

test('an unknown name is refused although the types forbid it', () => {
  const name = 'constructor' as CifarName
  assert.throws(
    () => readCifar('.', name, 'train'),
    failsWith('input', /"constructor"/, /cifar10 or cifar100/),
  )
})
