/** Images of a folder decoded once: reduced to one size (torchvision's Resize and CenterCrop), kept as bytes in memory or in a mapped file. */
import { createHash } from 'node:crypto'
import { DdsasError } from '../errors.ts'
import { call, copy, dtypes, keep, slice, type Tensor, tidy, to } from '../torch/index.ts'
import type { ImageFolder } from './folder.ts'
import { forEachFolderBatch } from './folder-evaluation.ts'
import type { OnSkip } from './folder-images.ts'
import {
  type CacheContent,
  type CachedWhat,
  CacheWriter,
  cacheOf,
  cachePath,
  checkCache,
  type LeftOut,
  mapCache,
} from './image-cache.ts'
import { Histogram, type ImageStatistics } from './statistics.ts'

export interface KeepOptions {
  /** Positions in the folder's list of files, ascending. */
  readonly positions: readonly number[]
  /** Height and width in pixels. */
  readonly size: number
  readonly place: 'memory' | 'file'
  /** Told of each file that cannot be decoded. */
  readonly onSkip?: OnSkip | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  /** Stops it once aborted. */
  readonly signal?: { readonly aborted: boolean } | undefined
}

export interface KeptImages {
  /** uint8 [count, 3, size, size], planes R, G, B: a kept tensor on the CPU. */
  readonly images: Tensor
  /** Of each of them, the position in the folder's list. */
  readonly positions: readonly number[]
  readonly statistics: ImageStatistics
  /** SHA-256 (hex) over all pixels. */
  readonly checksum: string
  /** The file that is mapped. */
  readonly file?: string
  /** What of that file was not as one would expect. */
  readonly warnings: readonly string[]
}

/** Images made at a time, besides those under preparation: at most 64, and 32 MiB of numbers. */
function batchOf(size: number): number {
  return Math.max(1, Math.min(64, Math.floor(2 ** 25 / (4 * 3 * size * size))))
}

/**
 * Decodes the images at `positions`, shorter side to `size`, the centre cut out, all as RGB; files that cannot be decoded are
 * left out. With `place: 'file'` a file that an earlier call wrote is used, where it is sound and the images are the same.
 * @throws DdsasError kind `interrupted` after `signal`, `disk` where the file cannot be written, `memory`
 */
export async function keepFolder(folder: ImageFolder, options: KeepOptions): Promise<KeptImages> {
  return options.place === 'memory' ? keepInMemory(folder, options) : keepInFile(folder, options)
}

/** What is learned of pixels as they go by. */
class Seen {
  readonly #histogram = new Histogram()
  readonly #hash = createHash('sha256')
  readonly #plane: number

  constructor(size: number) {
    this.#plane = size * size
  }

  add(pixels: Uint8Array): void {
    this.#hash.update(pixels)
    this.#histogram.addPlanes(pixels, this.#plane)
  }

  of(images: number): Pick<KeptImages, 'statistics' | 'checksum'> {
    return { statistics: this.#histogram.statistics(images), checksum: this.#hash.digest('hex') }
  }
}

async function keepInMemory(folder: ImageFolder, options: KeepOptions): Promise<KeptImages> {
  const { positions, size } = options
  const seen = new Seen(size)
  const shape = [positions.length, 3, size, size]
  const all = keep(call('aten::empty.memory_format', shape, dtypes.uint8, null, null, null, null))
  try {
    const content = await decode(folder, options, (rows, pixels, start) => {
      copy(slice(all, 0, start, start + rows.shape[0]), rows)
      seen.add(pixels)
    })
    const images = tidy(() => keep(slice(all, 0, 0, content.kept)))
    return { images, positions: keptOf(positions, content), ...seen.of(content.kept), warnings: [] }
  } finally {
    // the images are a view that holds the memory
    all.dispose()
  }
}

async function keepInFile(folder: ImageFolder, options: KeepOptions): Promise<KeptImages> {
  const { positions, size, onSkip, onProgress } = options
  const what = cacheOf(folder, positions, size)
  const file = cachePath(what)
  const seen = new Seen(size)
  const found = await checkCache(file, what, (pixels, done) => {
    stopIfAsked(options)
    seen.add(pixels)
    onProgress?.(done, positions.length)
  })
  const give = (content: CacheContent, pixels: Seen, warnings: readonly string[]): KeptImages => {
    const images = mapCache(file, what, content.kept)
    return { images, positions: keptOf(positions, content), ...pixels.of(content.kept), file, warnings }
  }
  if (typeof found === 'object') {
    for (const [count, [place, reason]] of found.leftOut.entries())
      onSkip?.({ file: folder.files[positions[place]], reason }, count + 1)
    return give(found, seen, [])
  }
  const damaged = found === undefined ? [] : [`${file} ${found}: the images were decoded anew`]
  const written = new Seen(size)
  return give(await writeCache(folder, options, { file, what, seen: written }), written, damaged)
}

async function writeCache(
  folder: ImageFolder,
  options: KeepOptions,
  { file, what, seen }: { readonly file: string; readonly what: CachedWhat; readonly seen: Seen },
): Promise<CacheContent> {
  const writer = new CacheWriter(file, what)
  try {
    const content = await decode(folder, options, (_, pixels) => {
      writer.write(pixels)
      seen.add(pixels)
    })
    writer.finish(content)
    return content
  } catch (error) {
    writer.abandon()
    throw error
  }
}

/** Gives all images that can be decoded to `take`, a few at a time, uint8 [n, 3, size, size], as a tensor and as bytes. */
async function decode(
  folder: ImageFolder,
  options: KeepOptions,
  take: (rows: Tensor, pixels: Uint8Array, start: number) => void,
): Promise<CacheContent> {
  const { positions, size, onSkip, onProgress } = options
  // float32 of whole numbers: each pixel is divided by 255 and then by this
  const [mean, std] = [
    [0, 0, 0],
    [1 / 255, 1 / 255, 1 / 255],
  ]
  const transform = { size, resize: size, mean, std }
  let kept = 0
  const skipped = await forEachFolderBatch(
    folder,
    { positions, batch: batchOf(size), transform, device: 'cpu', onSkip },
    ({ images }) => {
      stopIfAsked(options)
      const rows = bytesOf(images)
      take(rows, rows.bytes(), kept)
      kept += rows.shape[0]
      onProgress?.(kept, positions.length)
    },
  )
  onProgress?.(positions.length, positions.length)
  const reasons = new Map(skipped.map(({ file, reason }) => [file, reason]))
  const leftOut = positions.flatMap((position, place): LeftOut[] => {
    const reason = reasons.get(folder.files[position])
    return reason === undefined ? [] : [[place, reason]]
  })
  return { kept, leftOut }
}

/** Rounded, and plane by plane. */
function bytesOf(images: Tensor): Tensor {
  return call('aten::contiguous', to(call('aten::round', images), { dtype: 'uint8' }), 0)
}

function keptOf(positions: readonly number[], { leftOut }: CacheContent): number[] {
  const out = new Set(leftOut.map(([place]) => place))
  return positions.filter((_, place) => !out.has(place))
}

function stopIfAsked({ signal }: KeepOptions): void {
  if (signal?.aborted)
    throw new DdsasError('interrupted', 'stopped while the images were decoded; no run was begun or changed')
}
