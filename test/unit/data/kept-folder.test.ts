/** Images of a folder decoded once: pixels against sharp's own, and the cache file: used again, and never believed where damaged. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { type ImageFolder, readImageFolder } from '../../../src/data/folder.ts'
import type { SkippedImage } from '../../../src/data/folder-images.ts'
import { type KeepOptions, keepFolder } from '../../../src/data/kept-folder.ts'
import { datasetStatistics } from '../../../src/data/statistics.ts'
import { liveSlots } from '../../../src/torch/index.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import { image, picture, smallFolder, spoil } from './image-files.ts'

const size = 32

function positionsOf({ count }: ImageFolder): number[] {
  return Array.from({ length: count }, (_, position) => position)
}

/** What is kept, as bytes by image; nothing is left behind. */
async function keptBytes(folder: ImageFolder, options: Partial<KeepOptions> = {}) {
  const before = liveSlots()
  const skipped: SkippedImage[] = []
  const onSkip = (one: SkippedImage) => skipped.push(one)
  const positions = positionsOf(folder)
  const { images, ...kept } = await keepFolder(folder, {
    positions,
    size,
    place: 'memory',
    onSkip,
    ...options,
  })
  const [count, ...shape] = images.shape
  assert.deepEqual(shape, [3, options.size ?? size, options.size ?? size])
  assert.equal(count, kept.positions.length)
  const bytes = images.bytes()
  images.dispose()
  assert.equal(liveSlots(), before)
  const length = bytes.length / Math.max(1, count)
  const each = positions.slice(0, count).map((row) => bytes.slice(row * length, (row + 1) * length))
  return { ...kept, bytes, each, skipped }
}

/** Planes of rows of interleaved pixels [height, width, channels] from `left` and `top`, grey for all three. */
function planes(pixels: Uint8Array, width: number, channels: number, left = 0, top = 0): Uint8Array {
  return Uint8Array.from({ length: 3 * size * size }, (_, at) => {
    const [plane, y, x] = [Math.floor(at / size ** 2), Math.floor(at / size) % size, at % size]
    return pixels[((y + top) * width + x + left) * channels + (channels < 3 ? 0 : plane)] ?? 0
  })
}

/** A folder with the given files in one class, and a second class. */
async function folderOf(context: TestContext, files: Readonly<Record<string, Buffer>>): Promise<ImageFolder> {
  const directory = temporaryFolder(context)
  mkdirSync(join(directory, 'train/a'), { recursive: true })
  for (const [name, data] of Object.entries(files)) writeFileSync(join(directory, 'train/a', name), data)
  return readImageFolder(directory, 'train')
}

test('images of the size are what they are: RGB, grey, alpha, palette, CMYK', async (context) => {
  const colours = await sharp({ create: { width: size, height: size, channels: 3, background: '#c02040' } })
    .toColourspace('cmyk')
    .jpeg({ quality: 95 })
    .toBuffer()
  const folder = await folderOf(context, {
    '0.png': await image(size, size, 1).png().toBuffer(),
    '1.png': await image(size, size, 2, 1).toColourspace('b-w').png().toBuffer(),
    '2.png': await image(size, size, 3, 4).png().toBuffer(),
    '3.png': await image(size, size, 4).png({ palette: true, colours: 16 }).toBuffer(),
    '4.jpg': colours,
    '5.jpg': await image(size, size, 5, 1).toColourspace('b-w').jpeg().toBuffer(),
  })
  const { each } = await keptBytes(folder)
  const path = (name: string) => join(folder.directory, 'train/a', name)
  const decoded = async (name: string) =>
    planes(await sharp(path(name)).removeAlpha().raw().toBuffer(), size, 3)
  assert.deepEqual(each[0], planes(picture(size, size, 1), size, 3))
  assert.deepEqual(each[1], planes(picture(size, size, 2, 1), size, 1))
  assert.deepEqual(each[2], planes(picture(size, size, 3, 4), size, 4))
  assert.deepEqual(each[3], await decoded('3.png'))
  assert.deepEqual(each[4], await decoded('4.jpg'))
  assert.deepEqual(each[5], await decoded('5.jpg'))
  assert.deepEqual(each[5]?.slice(0, size * size), each[5]?.slice(size * size, 2 * size * size), 'grey')
})

test('of other shapes the centre is cut out, whatever their sizes; larger ones are reduced', async (context) => {
  const folder = await folderOf(context, {
    '0.png': await image(44, size, 1).png().toBuffer(),
    '1.png': await image(size, 38, 2).png().toBuffer(),
    '2.png': await image(96, 64, 3).png().toBuffer(),
    '3.jpg': await image(640, 512, 4).blur(6).jpeg({ quality: 95 }).toBuffer(),
  })
  const { each } = await keptBytes(folder)
  assert.deepEqual(each[0], planes(picture(44, size, 1), 44, 3, 6, 0))
  assert.deepEqual(each[1], planes(picture(size, 38, 2), size, 3, 0, 3))
  for (const [row, name] of [
    [2, '2.png'],
    [3, '3.jpg'],
  ] as const) {
    const whole = sharp(join(folder.directory, 'train/a', name))
    const own = await whole.resize(size, size, { fit: 'cover', kernel: 'linear' }).raw().toBuffer()
    const far = planes(own, size, 3).map((value, at) => Math.abs(value - (each[row]?.[at] ?? 0)))
    // filters differ at the edges and by what a JPEG is scaled to while it is decoded
    assert.ok(far.reduce((sum, one) => sum + one, 0) / far.length < 2.5, `${name}: ${Math.max(...far)}`)
  }
})

test('statistics are those of the kept pixels, and other pixels have another checksum', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const { bytes, statistics, checksum, positions } = await keptBytes(folder)
  assert.deepEqual(positions, positionsOf(folder))
  const dataset = { images: bytes, count: 12, size, name: 'kept' }
  const what = { split: 'train', labels: new Uint8Array(12), classes: ['a', 'b'], fingerprint: '' } as const
  const normal = { mean: [0, 0, 0], std: [1, 1, 1] } as const
  assert.deepEqual(statistics, datasetStatistics({ ...dataset, ...what, ...normal }))
  assert.equal(checksum, createHash('sha256').update(bytes).digest('hex'))
  assert.notEqual((await keptBytes(folder, { size: 16 })).checksum, checksum)
})

test('files that cannot be decoded are left out and named; the others keep their order', async (context) => {
  cacheIn(context)
  const folder = await smallFolder(temporaryFolder(context))
  const whole = await keptBytes(folder)
  spoil(join(folder.directory, 'train'), 'a/2.jpg')
  for (const place of ['memory', 'file', 'file'] as const) {
    const { skipped, positions, each } = await keptBytes(folder, { place })
    assert.deepEqual(
      skipped.map(({ file }) => file),
      ['a/2.jpg'],
    )
    assert.match(skipped[0]?.reason ?? '', /not a JPEG/)
    assert.deepEqual(positions, [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    assert.deepEqual(each[2], whole.each[3])
  }
})

/** Caches of this test alone. */
function cacheIn(context: TestContext): string {
  const before = process.env.XDG_CACHE_HOME
  const folder = temporaryFolder(context)
  process.env.XDG_CACHE_HOME = folder
  context.after(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = before
  })
  return join(folder, 'ddsas')
}

/** Other content of the same size and time: what is decoded again would show it. */
function replaceUnseen(path: string): void {
  const { size: bytes, atime, mtime } = statSync(path)
  writeFileSync(path, new Uint8Array(bytes))
  utimesSync(path, atime, mtime)
}

test('a file is written once, and used again as long as the images are the same', async (context) => {
  const caches = cacheIn(context)
  const folder = await smallFolder(temporaryFolder(context))
  const path = join(folder.directory, 'train/a/0.jpg')
  // a time that can be set again
  utimesSync(path, new Date(1e9), new Date(1e9))
  const [memory, first] = [await keptBytes(folder), await keptBytes(folder, { place: 'file' })]
  assert.deepEqual(first.bytes, memory.bytes)
  assert.deepEqual([first.statistics, first.checksum], [memory.statistics, memory.checksum])
  assert.deepEqual(
    readdirSync(caches).map((name) => join(caches, name)),
    [first.file],
  )
  replaceUnseen(path)
  const again = await keptBytes(folder, { place: 'file' })
  assert.deepEqual(again, first, 'not decoded again')
  utimesSync(path, new Date(0), new Date(0))
  const changed = await keptBytes(folder, { place: 'file' })
  assert.deepEqual(changed.positions, positionsOf(folder).slice(1), 'a file that changed is seen')
  assert.notEqual(changed.file, first.file)
})

const headerBytes = 4096

/** A cache with its header changed, and the checksum made to agree. */
function forged(bytes: Buffer, change: (header: Record<string, unknown>) => void, tail?: string): Buffer {
  const header = JSON.parse(bytes.subarray(0, headerBytes).toString()) as Record<string, unknown>
  const pixels = bytes.subarray(headerBytes, bytes.length - Number(header.tailBytes))
  const end = Buffer.from(tail ?? bytes.subarray(bytes.length - Number(header.tailBytes)).toString())
  header.tailBytes = end.length
  header.sha256 = createHash('sha256').update(pixels).update(end).digest('hex')
  change(header)
  return Buffer.concat([Buffer.from(`${JSON.stringify(header).padEnd(headerBytes - 1)}\n`), pixels, end])
}

const damages: readonly (readonly [what: string, change: (bytes: Buffer) => Buffer, found: RegExp])[] = [
  ['empty', () => Buffer.alloc(0), /is cut short/],
  ['no header', (bytes) => bytes.fill(0, 0, headerBytes), /has no sound header/],
  ['cut short', (bytes) => bytes.subarray(0, bytes.length - 100), /has another length/],
  ['longer', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]), /has another length/],
  ['a pixel', (bytes) => bytes.fill(bytes[9000] ^ 1, 9000, 9001), /has another checksum/],
  [
    'another key',
    (bytes) => forged(bytes, (header) => Object.assign(header, { key: 'x' })),
    /of other images/,
  ],
  [
    'more images',
    (bytes) => forged(bytes, (header) => Object.assign(header, { kept: 13 })),
    /of other images/,
  ],
  ['a size', (bytes) => forged(bytes, (header) => Object.assign(header, { kept: 1e300 })), /no sound header/],
  ['negative', (bytes) => forged(bytes, (header) => Object.assign(header, { kept: -1 })), /no sound header/],
  ['an end of no JSON', (bytes) => forged(bytes, () => {}, '[['), /does not say what was left out/],
  ['one left out too many', (bytes) => forged(bytes, () => {}, '[[0,""]]'), /does not say what was left out/],
]

test('a damaged file is told of and made anew', async (context) => {
  cacheIn(context)
  const folder = await smallFolder(temporaryFolder(context))
  const { file = '', bytes } = await keptBytes(folder, { place: 'file' })
  const sound = readFileSync(file)
  assert.deepEqual(
    forged(sound, () => {}),
    sound,
  )
  for (const [what, change, found] of damages) {
    writeFileSync(file, change(Buffer.from(sound)))
    const again = await keptBytes(folder, { place: 'file' })
    assert.equal(again.warnings.length, 1, what)
    assert.match(again.warnings[0] ?? '', found, what)
    assert.match(again.warnings[0] ?? '', /: the images were decoded anew$/)
    assert.deepEqual(again.bytes, bytes, what)
    assert.deepEqual(readFileSync(file), sound, what)
  }
  assert.deepEqual((await keptBytes(folder, { place: 'file' })).warnings, [])
})

test('what is stopped leaves nothing half-written; old caches make room', async (context) => {
  const caches = cacheIn(context)
  const folder = await smallFolder(temporaryFolder(context))
  for (const place of ['memory', 'file'] as const)
    await assert.rejects(keptBytes(folder, { place, signal: { aborted: true } }), {
      kind: 'interrupted',
      message: /^stopped while the images were decoded/,
    })
  assert.deepEqual(readdirSync(caches), [])
  const made: string[] = []
  for (const side of [4, 8, 12, 16, 20, 24]) {
    const { file = '' } = await keptBytes(folder, { place: 'file', size: side })
    utimesSync(file, new Date(1000 * side), new Date(1000 * side))
    made.push(file)
  }
  assert.deepEqual(
    readdirSync(caches)
      .map((name) => join(caches, name))
      .sort(),
    made.slice(2).sort(),
  )
})

test('progress comes to the number of files', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  truncateSync(join(folder.directory, 'train/b/1.jpg'), 40)
  const seen: number[] = []
  await keptBytes(folder, { onProgress: (done, total) => seen.push(done / total) })
  assert.equal(seen.at(-1), 1)
})
