/** Decoding files of every kind that the extension may hide, parts of images, and reduction of large ones. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import {
  decodePlanned,
  decodeWhole,
  imageSize,
  planDecoding,
  readImageFile,
} from '../../../src/data/image-decode.ts'
import { temporaryFolder } from './files.ts'
import { image, picture } from './image-files.ts'

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  assert.equal(a.length, b.length)
  return a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / a.length
}

test('grey, CMYK, alpha, palette and 16 bit become RGB', async (context) => {
  const folder = temporaryFolder(context)
  const rgb = picture(40, 30)
  const cases: readonly (readonly [string, Promise<Buffer>, Uint8Array | undefined])[] = [
    ['rgb.png', image(40, 30).png().toBuffer(), rgb],
    ['rgb.jpg', image(40, 30).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(), rgb],
    ['rgb.webp', image(40, 30).webp({ lossless: true }).toBuffer(), rgb],
    ['grey.jpg', image(40, 30, 0, 1).toColourspace('b-w').jpeg({ quality: 100 }).toBuffer(), undefined],
    ['cmyk.jpg', image(40, 30).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer(), undefined],
    ['alpha.png', image(40, 30).ensureAlpha(0.5).png().toBuffer(), rgb],
    ['grey alpha.png', image(40, 30, 0, 1).toColourspace('b-w').ensureAlpha(0.5).png().toBuffer(), undefined],
    ['palette.png', image(40, 30).png({ palette: true }).toBuffer(), undefined],
    ['16 bit.png', image(40, 30).toColourspace('rgb16').png().toBuffer(), rgb],
  ]
  for (const [name, file, expected] of cases) {
    await context.test(name, async () => {
      writeFileSync(join(folder, name), await file)
      const { pixels, width, height } = await decodeWhole(join(folder, name))
      assert.deepEqual([width, height, pixels.length], [40, 30, 40 * 30 * 3])
      if (expected) assert.ok(meanDifference(pixels, expected) < 1.5, `${meanDifference(pixels, expected)}`)
      if (!name.startsWith('grey')) return
      const grey = picture(40, 30, 0, 1)
      const tripled = Uint8Array.from(pixels, (_, at) => grey[Math.floor(at / 3)])
      assert.ok(meanDifference(pixels, tripled) < 1.5)
    })
  }
  const { format, space } = await sharp(join(folder, 'cmyk.jpg')).metadata()
  assert.deepEqual([format, space], ['jpeg', 'cmyk'])
})

test('the orientation of EXIF does not count', async (context) => {
  const path = join(temporaryFolder(context), 'turned.jpg')
  await image(40, 30).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toFile(path)
  const { width, height, pixels } = await decodeWhole(path)
  assert.deepEqual([width, height], [40, 30])
  assert.ok(meanDifference(pixels, picture(40, 30)) < 6)
})

/** A PNG whose header claims a size and that holds hardly any pixels. */
function claimingPng(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0])
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const pixels = chunk('IDAT', deflateSync(Buffer.alloc(100)))
  return Buffer.concat([signature, chunk('IHDR', header), pixels, chunk('IEND', Buffer.alloc(0))])
}

test('what is no image, or not all of one, is an error of one line', async (context) => {
  const folder = temporaryFolder(context)
  const jpeg = await image(200, 150).jpeg({ quality: 95 }).toBuffer()
  const png = await image(200, 150).png().toBuffer()
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['truncated.jpg', jpeg.subarray(0, jpeg.length / 2), /./],
    ['truncated.png', png.subarray(0, png.length / 2), /./],
    ['header alone.jpg', jpeg.subarray(0, 60), /has no header with a size/],
    ['empty.jpg', Buffer.alloc(0), /is empty/],
    ['text.jpg', Buffer.from('this is no image\n'.repeat(99)), /is not a JPEG, PNG or WebP image/],
    ['zeros.jpg', Buffer.alloc(5000), /is not a JPEG/],
    ['drawing.jpg', Buffer.from(svg), /is not a JPEG/],
    ['animation.png', await image(20, 20).gif().toBuffer(), /is not a JPEG/],
    ['huge.png', claimingPng(100_000, 100_000), /has 100000 x 100000 pixels, over the limit/],
    ['large.png', claimingPng(10_001, 10_000), /pixel/],
    ['claims.png', claimingPng(9000, 9000), /./],
  ]
  for (const [name, bytes, pattern] of cases) {
    await context.test(name, async () => {
      writeFileSync(join(folder, name), bytes)
      await assert.rejects(decodeWhole(join(folder, name)), (error: unknown) => {
        assert.ok(error instanceof Error)
        assert.match(error.message, pattern)
        assert.doesNotMatch(error.message, /\p{Cc}/u)
        return true
      })
    })
  }
  await assert.rejects(decodeWhole(join(folder, 'absent.jpg')), /^Error: cannot be read \(ENOENT\)$/)
})

test('a part is exactly that part of the whole', async (context) => {
  const path = join(temporaryFolder(context), 'a.png')
  await image(60, 50).png().toFile(path)
  const whole = await decodeWhole(path)
  const box = { left: 7, top: 9, width: 21, height: 33 }
  const plan = planDecoding(whole, box, 16, false)
  assert.deepEqual(plan, { region: box, box: { left: 0, top: 0, width: 21, height: 33 } })
  const part = await decodePlanned(await readImageFile(path), plan)
  for (let y = 0; y < 33; y++) {
    const from = ((y + 9) * 60 + 7) * 3
    assert.deepEqual(
      Buffer.from(part.pixels.subarray(y * 63, (y + 1) * 63)),
      Buffer.from(whole.pixels.subarray(from, from + 63)),
    )
  }
})

test('with a margin the pixels that the filter reaches are decoded too', () => {
  const box = { left: 10.25, top: 0, width: 40, height: 50 }
  const { region, box: inner } = planDecoding({ width: 60, height: 50 }, box, 20, true)
  assert.deepEqual(region, { left: 8, top: 0, width: 45, height: 50 })
  assert.deepEqual(inner, { left: 2.25, top: 0, width: 40, height: 50 })
})

test('a box over four times the result is reduced while decoding, and still lies where it was', async (context) => {
  const path = join(temporaryFolder(context), 'large.jpg')
  const [width, height] = [1999, 1501]
  await image(100, 75).resize(width, height, { fit: 'fill' }).jpeg({ quality: 95 }).toFile(path)
  const box = { left: 333, top: 111, width: 1300, height: 1200 }
  const plan = planDecoding({ width, height }, box, 64, false)
  assert.deepEqual(plan.reduced, { width: 250, height: 188 })
  const { region, box: inner } = plan
  const scale = [250 / width, 188 / height] as const
  assert.ok(Math.abs((region.left + inner.left) / scale[0] - box.left) < 1e-9)
  assert.ok(Math.abs(inner.width / scale[0] - box.width) < 1e-9)
  assert.ok(Math.abs((region.top + inner.top) / scale[1] - box.top) < 1e-9)
  const file = await readImageFile(path)
  assert.deepEqual(imageSize(file), { width, height })
  const { pixels } = await decodePlanned(file, plan)
  const expected = await sharp(file)
    .raw()
    .toBuffer()
    .then((data) =>
      sharp(data, { raw: { width, height, channels: 3 } })
        .resize(250, 188, { fit: 'fill', kernel: 'linear' })
        .extract(region)
        .raw()
        .toBuffer(),
    )
  assert.ok(meanDifference(pixels, expected) < 2, `${meanDifference(pixels, expected)}`)
})

test('what is transparent keeps its colours, whether the image is reduced or not', async (context) => {
  const [width, height] = [600, 500]
  const colours = picture(width, height)
  const faded = Buffer.alloc(width * height * 4)
  for (let pixel = 0; pixel < width * height; pixel++) {
    colours.copy(faded, 4 * pixel, 3 * pixel, 3 * pixel + 3)
    faded[4 * pixel + 3] = pixel % width < 300 ? 0 : pixel % 256
  }
  const whole = { left: 0, top: 0, width, height }
  const plan = planDecoding(whole, whole, 64, false)
  assert.deepEqual(plan.reduced, { width: 300, height: 250 })
  const opaque = await image(width, height).png().toBuffer()
  const expected = await decodePlanned(opaque, plan)
  const files = {
    png: await sharp(faded, { raw: { width, height, channels: 4 } })
      .png()
      .toBuffer(),
    webp: await sharp(faded, { raw: { width, height, channels: 4 } })
      .webp({ lossless: true, exact: true })
      .toBuffer(),
  }
  for (const [name, file] of Object.entries(files))
    await context.test(name, async () => {
      const { pixels } = await decodePlanned(file, plan)
      assert.ok(meanDifference(pixels, expected.pixels) < 0.5)
      const full = await decodePlanned(file, { region: whole, box: whole })
      assert.ok(meanDifference(full.pixels, colours) < 0.5)
    })
})
