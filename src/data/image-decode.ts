/** Decodes image files to RGB with sharp: mostly one task of Node's thread pool each, only the part that is needed. */
import { readFile as readWithCallback } from 'node:fs'
import { promisify } from 'node:util'
import type { Sharp, SharpOptions } from 'sharp'
import { limiter } from './folder-tasks.ts'
import { readImageHeader } from './image-header.ts'
import type { Box, ImageSize } from './image-transform.ts'

/** Rows of RGB pixels, uint8 [height, width, 3], and the box of interest in them. */
export interface DecodedImage extends ImageSize {
  readonly pixels: Uint8Array
  readonly box: Box
}

/** Largest image accepted, in pixels: what a file's header claims costs memory before anything shows it wrong. */
const maxPixels = 100_000_000

const sharpOptions: SharpOptions = { failOn: 'error', limitInputPixels: maxPixels, ignoreIcc: true }

/** Loaded with the first image: programs that decode none start without it. */
let library: Promise<typeof import('sharp').default> | undefined

function loadSharp() {
  library ??= import('sharp').then((module) => module.default)
  return library
}

/** The form of node:fs/promises takes twice the processor time for files of this size. */
const readFile = promisify(readWithCallback)

/**
 * The bytes of an image file. They are read here rather than by the decoder, which maps files into memory: one that is
 * cut short or cannot be read any more would end the process.
 * @throws Error with one line of reason
 */
export async function readImageFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error
    throw new Error(`cannot be read (${code})`, { cause: error })
  }
}

/**
 * Size of an image by its header.
 * @throws Error with one line of reason: not a JPEG, PNG or WebP, no size, over 100 million pixels
 */
export function imageSize(file: Uint8Array): ImageSize {
  const { width, height } = readImageHeader(file)
  if (width * height <= maxPixels) return { width, height }
  throw new Error(`has ${width} x ${height} pixels, over the limit of ${maxPixels}`)
}

/** All pixels of a file, uint8 [height, width, 3]. Throws as {@link readImageFile}, {@link imageSize} and {@link decodePlanned}. */
export async function decodeWhole(path: string): Promise<DecodedImage> {
  const file = await readImageFile(path)
  const { width, height } = imageSize(file)
  const whole = { left: 0, top: 0, width, height }
  return decodePlanned(file, { region: whole, box: whole })
}

/** What of an image is decoded for a box of it. */
export interface DecodingPlan {
  /** Size that the image is reduced to while decoding; absent: its own. */
  readonly reduced?: ImageSize
  /** Whole pixels of the reduced image that hold the box and its margin. */
  readonly region: Box
  /** The box in pixels of the region. */
  readonly box: Box
}

/**
 * Plans decoding for a box that will be resized to `size` pixels. A box more than four times as large is halved, or
 * quartered, …, by sharp (a JPEG then is not even decoded in full), and the last factor of two or more is left to the
 * filter that follows. `margin`: also decode the pixels around the box that the filter reaches.
 */
export function planDecoding(image: ImageSize, box: Box, size: number, margin: boolean): DecodingPlan {
  const spare = Math.min(box.width, box.height) / (2 * size)
  const factor = [8, 4, 2].find((candidate) => spare >= candidate) ?? 1
  const reduced = { width: Math.ceil(image.width / factor), height: Math.ceil(image.height / factor) }
  const across = axisPlan(box.left, box.width, image.width, reduced.width, margin ? size : undefined)
  const down = axisPlan(box.top, box.height, image.height, reduced.height, margin ? size : undefined)
  const region = { left: across.first, top: down.first, width: across.count, height: down.count }
  const inner = { left: across.start, top: down.start, width: across.length, height: down.length }
  return factor === 1 ? { region, box: inner } : { reduced, region, box: inner }
}

/** One axis: the pixels to decode, and the box relative to the first of them. */
function axisPlan(from: number, extent: number, whole: number, reduced: number, size: number | undefined) {
  const scale = reduced / whole
  const [start, length] = [from * scale, extent * scale]
  const reach = size === undefined ? 0 : Math.ceil(Math.max(1, length / size))
  const first = Math.max(0, Math.floor(start - reach))
  const end = Math.min(reduced, Math.ceil(start + length + reach))
  return { first, count: end - first, start: start - first, length: Math.min(length, end - start) }
}

/**
 * Decodes what the plan names, as PIL does it: a truncated file is an error but a mere warning is not, the stored
 * orientation counts, and an embedded colour profile does not. Call {@link imageSize} first, which keeps other formats
 * away from their decoders.
 * @throws Error with one line of reason
 */
export async function decodePlanned(
  file: Uint8Array,
  { reduced, region, box }: DecodingPlan,
): Promise<DecodedImage> {
  const sharp = await loadSharp()
  const image = sharp(file, sharpOptions)
  const pixels =
    reduced && (await hasAlpha(file, image))
      ? await reducedWithoutAlpha(image, reduced, region)
      : await rawPixels(resized(image, reduced).extract(region), region)
  return { width: region.width, height: region.height, pixels, box }
}

function resized(image: Sharp, size: ImageSize | undefined): Sharp {
  return size ? image.resize(size.width, size.height, { fit: 'fill', kernel: 'linear' }) : image
}

/** JPEGs have none, and their decoding stays one task of the pool. */
async function hasAlpha(file: Uint8Array, image: Sharp): Promise<boolean> {
  if (readImageHeader(file).format === 'jpeg') return false
  return (await image.metadata().catch(rethrow)).hasAlpha === true
}

/** Whole images are in memory here, so one at a time. */
const alone = limiter(1)

/** Sharp weighs colours by alpha when it resizes, so that what is transparent turns black. PIL drops alpha before. */
function reducedWithoutAlpha(image: Sharp, reduced: ImageSize, region: Box): Promise<Uint8Array> {
  return alone(async () => {
    const sharp = await loadSharp()
    const { data, info } = await image
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
      .catch(rethrow)
    const { width, height, channels } = info
    const opaque = sharp(data, { raw: { width, height, channels } })
    return rawPixels(resized(opaque, reduced).extract(region), region)
  })
}

async function rawPixels(image: Sharp, { width, height }: ImageSize): Promise<Uint8Array> {
  const { data, info } = await image.removeAlpha().raw().toBuffer({ resolveWithObject: true }).catch(rethrow)
  if (info.width === width && info.height === height && info.channels === 3) return data
  throw new Error(`decodes to ${info.width} x ${info.height} of ${info.channels} channels`)
}

/** libvips' own words, which may run over lines, as one line; its threads share the place for them, so they may be lost. */
function rethrow(error: unknown): never {
  const text = error instanceof Error ? error.message : String(error)
  const [words = ''] = text.trim().split('\n')
  const line = words === '' || words === 'Unknown error' ? 'is damaged or cut short' : words
  throw new Error(line.replace(/\p{Cc}+/gu, ' '), { cause: error })
}
