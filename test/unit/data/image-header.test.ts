/** Sizes read from headers, against what sharp says of the same bytes, and bytes of any kind. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import sharp from 'sharp'
import { imagePath, readImageFolder } from '../../../src/data/folder.ts'
import { readImageHeader } from '../../../src/data/image-header.ts'
import { image, missing, realFolder } from './image-files.ts'

async function agrees(bytes: Buffer): Promise<void> {
  const { format, width, height } = await sharp(bytes).metadata()
  assert.deepEqual(readImageHeader(bytes), { format, width, height })
}

test('every layout of the three formats', async (context) => {
  const cases: readonly (readonly [string, Promise<Buffer>])[] = [
    ['baseline JPEG', image(61, 35).jpeg().toBuffer()],
    ['progressive JPEG', image(61, 35).jpeg({ progressive: true }).toBuffer()],
    ['JPEG with a profile and EXIF', image(61, 35).withMetadata({ orientation: 8 }).jpeg().toBuffer()],
    ['CMYK JPEG', image(61, 35).toColourspace('cmyk').jpeg().toBuffer()],
    ['PNG', image(61, 35).png().toBuffer()],
    ['interlaced PNG', image(61, 35).png({ progressive: true }).toBuffer()],
    ['lossy WebP', image(61, 35).webp().toBuffer()],
    ['lossless WebP', image(61, 35).webp({ lossless: true }).toBuffer()],
    ['extended WebP', image(61, 35).ensureAlpha(0.5).webp().toBuffer()],
    ['large lossless WebP', image(5000, 3).webp({ lossless: true }).toBuffer()],
    ['one pixel', image(1, 1).webp({ lossless: true }).toBuffer()],
  ]
  for (const [name, bytes] of cases) await context.test(name, async () => agrees(await bytes))
})

test('padding between JPEG segments, and a thumbnail with a header of its own', async () => {
  const jpeg = await image(61, 35).jpeg().toBuffer()
  const thumbnail = await image(7, 5).jpeg().toBuffer()
  const segment = Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xe1, 0, 0]), thumbnail])
  segment.writeUInt16BE(thumbnail.length + 2, 4)
  await agrees(Buffer.concat([jpeg.subarray(0, 2), segment, jpeg.subarray(2)]))
})

test('any bytes give a size or an error of one line', async () => {
  const starts = [
    await image(61, 35).jpeg().toBuffer(),
    await image(61, 35).png().toBuffer(),
    await image(61, 35).webp().toBuffer(),
  ]
  const changed = fc.tuple(
    fc.constantFrom(...starts),
    fc.nat(400),
    fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }),
  )
  const check = (bytes: Uint8Array) => {
    try {
      const { width, height } = readImageHeader(bytes)
      assert.ok(width > 0 && height > 0)
    } catch (error) {
      assert.match(
        String(error),
        /^Error: (is empty|is not a JPEG, PNG or WebP image|has no header with a size)$/,
      )
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check))
  fc.assert(
    fc.property(changed, ([start, length, edits]) => {
      const bytes = Uint8Array.from(start.subarray(0, length))
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value
      check(bytes)
    }),
    { numRuns: 1000 },
  )
})

test('the real images', { skip: missing }, async () => {
  const folder = readImageFolder(realFolder, 'train')
  for (let position = 0; position < folder.count; position++)
    await agrees(readFileSync(imagePath(folder, position)))
})
