/**
 * A file of decoded images, which is mapped into memory: a header of 4096 bytes in JSON, the pixels uint8 [kept, 3, size,
 * size], and in JSON which files could not be decoded. It is believed only where its checksum agrees.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { asidePath, makeFolder, reportDisk, syncPath } from '../runs/files.ts'
import { call, dtypes, keep, type Tensor, tidy } from '../torch/index.ts'
import { type ImageFolder, imagePath } from './folder.ts'

const headerBytes = 4096
const maxTailBytes = 64 * 2 ** 20
const chunkBytes = 8 * 2 ** 20
/** Caches of this many folders and sizes stay; the one that was not used for longest goes first. */
const mostFiles = 4

/** What a cache is of. */
export interface CachedWhat {
  /** SHA-256 (hex) over names, sizes and times of the files, and the size in pixels. */
  readonly key: string
  /** Height and width in pixels. */
  readonly size: number
  /** How many files were asked for. */
  readonly count: number
}

/** An image file that could not be decoded: its place among those asked for, and one line of reason. */
export type LeftOut = readonly [place: number, reason: string]

const headerSchema = z.object({
  ddsas: z.literal('images'),
  format: z.literal(1),
  key: z.string(),
  size: z.number(),
  kept: z.int().nonnegative(),
  tailBytes: z.int().nonnegative().max(maxTailBytes),
  sha256: z.string(),
})

const tailSchema = z.array(z.tuple([z.int().nonnegative(), z.string()]))

/** What a file holds besides its pixels. */
export interface CacheContent {
  readonly kept: number
  readonly leftOut: readonly LeftOut[]
}

const rowBytes = (size: number) => 3 * size * size

/** What to call the cache of these files at this size; throws nothing for files that are gone, which decoding names. */
export function cacheOf(folder: ImageFolder, positions: readonly number[], size: number): CachedWhat {
  const hash = createHash('sha256').update(`${folder.fingerprint} ${size}\n`)
  for (const position of positions) {
    const stats = statSync(imagePath(folder, position), { throwIfNoEntry: false })
    hash.update(`${folder.files[position]}\n${stats?.size} ${stats?.mtimeMs}\n`)
  }
  return { key: hash.digest('hex'), size, count: positions.length }
}

/** Where caches lie: `ddsas` in XDG_CACHE_HOME, or in the user's `.cache`. */
function cacheFolder(): string {
  const { XDG_CACHE_HOME: named = '' } = process.env
  return join(isAbsolute(named) ? named : join(homedir(), '.cache'), 'ddsas')
}

export function cachePath({ key, size }: CachedWhat): string {
  return join(cacheFolder(), `${size}px-${key.slice(0, 32)}.images`)
}

/**
 * Reads all of a cache to see that it is sound, and gives every chunk of whole images to `use`.
 * @returns what it holds; undefined where there is none; text where it is damaged: in what
 */
export async function checkCache(
  path: string,
  what: CachedWhat,
  use: (pixels: Uint8Array, done: number) => void,
): Promise<CacheContent | string | undefined> {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    return await readCache(file, what, use)
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return 'cannot be read'
    throw error
  } finally {
    closeSync(file)
  }
}

async function readCache(
  file: number,
  { key, size, count }: CachedWhat,
  use: (pixels: Uint8Array, done: number) => void,
): Promise<CacheContent | string> {
  const stats = fstatSync(file)
  const head = new Uint8Array(headerBytes)
  if (!stats.isFile() || !fill(file, head, 0)) return 'is cut short'
  const header = headerSchema.safeParse(parseJson(Buffer.from(head).toString('utf8')))
  if (!header.success) return 'has no sound header'
  const { kept, tailBytes, sha256 } = header.data
  if (header.data.key !== key || header.data.size !== size || kept > count) return 'is of other images'
  const pixelBytes = kept * rowBytes(size)
  if (stats.size !== headerBytes + pixelBytes + tailBytes) return 'has another length than its header says'
  const hash = createHash('sha256')
  const chunk = new Uint8Array(Math.max(1, Math.floor(chunkBytes / rowBytes(size))) * rowBytes(size))
  for (let at = 0; at < pixelBytes; at += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, pixelBytes - at))
    if (!fill(file, part, headerBytes + at)) return 'is cut short'
    hash.update(part)
    use(part, (at + part.length) / rowBytes(size))
    await turn()
  }
  const tail = new Uint8Array(tailBytes)
  if (!fill(file, tail, headerBytes + pixelBytes)) return 'is cut short'
  if (hash.update(tail).digest('hex') !== sha256) return 'has another checksum than its header says'
  const leftOut = tailSchema.safeParse(parseJson(Buffer.from(tail).toString('utf8')))
  const places = leftOut.success ? new Set(leftOut.data.map(([place]) => place)) : new Set<number>()
  const whole = places.size === count - kept && [...places].every((place) => place < count)
  return leftOut.success && whole ? { kept, leftOut: leftOut.data } : 'does not say what was left out'
}

function fill(file: number, bytes: Uint8Array, from: number): boolean {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(file, bytes, done, bytes.length - done, from + done)
    if (read === 0) return false
    done += read
  }
  return true
}

/** The pixels of a file that was checked, mapped: uint8 [kept, 3, size, size], a kept tensor on the CPU. */
export function mapCache(path: string, { size }: CachedWhat, kept: number): Tensor {
  // who uses a cache keeps it from being the oldest; one that cannot be touched is used all the same
  try {
    utimesSync(path, new Date(), new Date())
  } catch {}
  const bytes = kept * rowBytes(size)
  return tidy(() => {
    // not shared: what lies behind belongs to this process, and a read-only file will do
    const file = call('aten::from_file', path, false, headerBytes + bytes, dtypes.uint8, null, null, null)
    const pixels = call('aten::slice.Tensor', file, 0, headerBytes, headerBytes + bytes, 1)
    return keep(call('aten::view', pixels, [kept, 3, size, size]))
  })
}

/** Writes a cache beside its place, and puts it there whole. Throws DdsasError 'disk'. */
export class CacheWriter {
  readonly #path: string
  readonly #aside: string
  readonly #what: CachedWhat
  readonly #file: number
  readonly #hash = createHash('sha256')
  #at = headerBytes

  constructor(path: string, what: CachedWhat) {
    this.#path = path
    this.#aside = asidePath(path)
    this.#what = what
    makeFolder(dirname(path))
    requireSpace(dirname(path), headerBytes + what.count * rowBytes(what.size))
    this.#file = reportDisk(path, () => openSync(this.#aside, 'wx'))
  }

  /** Whole images, which follow those written before. */
  write(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#put(bytes, this.#at)
    this.#at += bytes.length
  }

  #put(bytes: Uint8Array, at: number): void {
    reportDisk(this.#path, () => {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#file, bytes, done, bytes.length - done, at + done)
    })
  }

  finish({ kept, leftOut }: CacheContent): void {
    const tail = Buffer.from(JSON.stringify(leftOut))
    this.write(tail)
    const { key, size } = this.#what
    const sha256 = this.#hash.digest('hex')
    const header: z.infer<typeof headerSchema> = {
      ...{ ddsas: 'images', format: 1, key, size },
      ...{ kept, tailBytes: tail.length, sha256 },
    }
    this.#put(Buffer.from(`${JSON.stringify(header).padEnd(headerBytes - 1)}\n`), 0)
    reportDisk(this.#path, () => {
      fsyncSync(this.#file)
      closeSync(this.#file)
      renameSync(this.#aside, this.#path)
      syncPath(dirname(this.#path))
    })
    removeOld(dirname(this.#path))
  }

  /** Takes back what was written. */
  abandon(): void {
    closeSync(this.#file)
    rmSync(this.#aside, { force: true })
  }
}

function requireSpace(folder: string, bytes: number): void {
  const { bavail, bsize } = reportDisk(folder, () => statfsSync(folder))
  const free = bavail * bsize
  if (free >= bytes) return
  const mebibytes = (value: number) => `${Math.ceil(value / 2 ** 20)} MiB`
  throw new DdsasError(
    'disk',
    `${folder} has ${mebibytes(free)} free, the decoded images need ${mebibytes(bytes)}: free some, name another folder by ` +
      'XDG_CACHE_HOME, or use a smaller data.imageSize',
  )
}

/** Caches can be made again: only the last few stay. A file that is mapped lives on until nobody maps it. */
function removeOld(folder: string): void {
  const caches = readdirSync(folder)
    .filter((name) => name.endsWith('.images'))
    .map((name) => join(folder, name))
    .map((path) => ({ path, used: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.used - a.used)
  for (const { path } of caches.slice(mostFiles)) rmSync(path, { force: true })
}
