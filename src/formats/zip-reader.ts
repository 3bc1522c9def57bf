/** Reads zip archives, held in memory or by their end alone: stored and deflated entries, zip64; sizes, positions and checksums are checked. */
import { crc32, inflateRawSync } from 'node:zlib'
import { ByteReader, type Refuse } from './byte-reader.ts'

const signatures = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  locator64: 0x07064b50,
  end64: 0x06064b50,
} as const

const endBytes = 22
const maxComment = 0xffff
/** A field of this value is found in the zip64 record instead. */
const in64 = { short: 0xffff, long: 0xffffffff } as const
const encryptedFlag = 0x1
const methods = { stored: 0, deflated: 8 } as const

/** Weights hardly deflate; what grows more than this is an attack, or zeros that need no archive. */
const maxGrowth = { factor: 16, bytes: 64 * 1024 ** 2 } as const

/** Bytes that may come out of a file of `bytes` bytes. */
export function allowance(bytes: number): number {
  return maxGrowth.factor * bytes + maxGrowth.bytes
}

/** What the directory says of an entry; `offset`: where its local header begins in the archive. */
export interface ZipEntry {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly checksum: number
  readonly packed: number
  readonly size: number
  readonly offset: number
}

/** The entries of an archive by name; what is read is checked against size and checksum. */
export class ZipArchive {
  readonly #data: Uint8Array
  readonly #refuse: Refuse
  readonly #entries: ReadonlyMap<string, ZipEntry>
  readonly #read = new Map<string, Uint8Array>()

  /** Checks the directory; throws what `refuse` makes of anything wrong with it. */
  constructor(data: Uint8Array, refuse: Refuse) {
    this.#data = data
    this.#refuse = refuse
    this.#entries = zipEntries(data, 0, refuse)
  }

  get names(): string[] {
    return [...this.#entries.keys()]
  }

  /** The content of an entry (a view of the archive where it is stored), or undefined where there is none. */
  read(name: string): Uint8Array | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    const known = this.#read.get(name)
    if (known !== undefined) return known
    const content = unpack(entry, packedBytes(this.#data, entry, this.#refuse), this.#refuse)
    if (crc32(content) !== entry.checksum)
      throw this.#refuse(`its entry '${name}' is damaged (the CRC-32 differs)`)
    this.#read.set(name, content)
    return content
  }
}

/**
 * The entries of an archive by name, from its last bytes alone; `before`: how many bytes of it lie before those.
 * Throws what `refuse` makes of anything wrong with the directory, and of one that begins before.
 */
export function zipEntries(tail: Uint8Array, before: number, refuse: Refuse): Map<string, ZipEntry> {
  const entries = readDirectory(tail, findDirectory(tail, before, refuse), refuse)
  checkGrowth([...entries.values()], before + tail.length, refuse)
  return entries
}

interface Directory {
  readonly count: number
  readonly bytes: number
  readonly offset: number
}

/** The end record stands last, before a comment whose length it gives. */
function findDirectory(data: Uint8Array, before: number, refuse: Refuse): Directory {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const last = data.length - endBytes
  for (let at = last; at >= Math.max(0, last - maxComment); at--) {
    if (view.getUint32(at, true) !== signatures.end) continue
    if (at + endBytes + view.getUint16(at + 20, true) !== data.length) continue
    const { count, bytes, offset } = readEnd(data, at, before, refuse)
    if (offset - before + bytes > at) throw refuse('its zip directory lies beyond its end')
    if (offset < before) throw refuse('its zip directory is too long')
    return { count, bytes, offset: offset - before }
  }
  throw refuse('it is a zip archive without its end; it is truncated')
}

function readEnd(data: Uint8Array, at: number, before: number, refuse: Refuse): Directory {
  const reader = new ByteReader(data, at + 4, refuse)
  const disks = [reader.uint16(), reader.uint16()]
  const counts = [reader.uint16(), reader.uint16()]
  const directory = { count: counts[1], bytes: reader.uint32(), offset: reader.uint32() }
  if (disks[0] !== disks[1] || counts[0] !== counts[1])
    throw refuse('it is one part of a zip archive in several')
  const full =
    directory.count === in64.short || directory.bytes === in64.long || directory.offset === in64.long
  return full ? readEnd64(data, at, before, refuse) : directory
}

/** The locator of the zip64 record stands right before the end record. */
function readEnd64(data: Uint8Array, end: number, before: number, refuse: Refuse): Directory {
  const locator = new ByteReader(data, Math.max(0, end - 20), refuse)
  if (locator.uint32() !== signatures.locator64) throw refuse('its zip64 record is missing')
  locator.uint32()
  const start = locator.size64() - before
  if (start < 0) throw refuse('its zip64 record is missing')
  const reader = new ByteReader(data, Math.min(start, data.length), refuse)
  if (reader.uint32() !== signatures.end64) throw refuse('its zip64 record is missing')
  reader.take(28)
  return { count: reader.size64(), bytes: reader.size64(), offset: reader.size64() }
}

function readDirectory(data: Uint8Array, directory: Directory, refuse: Refuse): Map<string, ZipEntry> {
  const reader = new ByteReader(
    data.subarray(0, directory.offset + directory.bytes),
    directory.offset,
    refuse,
  )
  const entries = new Map<string, ZipEntry>()
  for (let index = 0; index < directory.count; index++) {
    const entry = readCentral(reader, refuse)
    if (entries.has(entry.name)) throw refuse(`it holds the entry '${entry.name}' twice`)
    entries.set(entry.name, entry)
  }
  if (reader.position !== directory.offset + directory.bytes)
    throw refuse('its zip directory is longer than its entries')
  return entries
}

function readCentral(reader: ByteReader, refuse: Refuse): ZipEntry {
  if (reader.uint32() !== signatures.central) throw refuse('its zip directory is damaged')
  reader.uint32()
  const [flags, method] = [reader.uint16(), reader.uint16()]
  reader.uint32()
  const [checksum, packed, size] = [reader.uint32(), reader.uint32(), reader.uint32()]
  const [nameBytes, extraBytes, commentBytes] = [reader.uint16(), reader.uint16(), reader.uint16()]
  reader.take(8)
  const offset = reader.uint32()
  const name = reader.text(nameBytes)
  const sizes = with64({ size, packed, offset }, reader.take(extraBytes), refuse)
  reader.take(commentBytes)
  if (flags & encryptedFlag) throw refuse(`its entry '${name}' is encrypted`)
  if (method !== methods.stored && method !== methods.deflated)
    throw refuse(`its entry '${name}' is packed by method ${method}; only stored and deflated are read`)
  if (method === methods.stored && sizes.size !== sizes.packed)
    throw refuse(`its entry '${name}' has two sizes`)
  return { name, flags, method, checksum, ...sizes }
}

type Sizes = Pick<ZipEntry, 'size' | 'packed' | 'offset'>

/** Sizes that do not fit in 32 bits stand in the extra field of kind 1, in this order, the full ones only. */
function with64(sizes: Sizes, extra: Uint8Array, refuse: Refuse): Sizes {
  const full = (value: number) => value === in64.long
  if (![sizes.size, sizes.packed, sizes.offset].some(full)) return sizes
  const fields = new ByteReader(extra, 0, refuse)
  while (fields.position < extra.length) {
    const [kind, bytes] = [fields.uint16(), fields.uint16()]
    const reader = new ByteReader(fields.take(bytes), 0, refuse)
    if (kind !== 1) continue
    const next = (value: number) => (full(value) ? reader.size64() : value)
    const size = next(sizes.size)
    const packed = next(sizes.packed)
    return { size, packed, offset: next(sizes.offset) }
  }
  return sizes
}

/** Refuses entries that lie on one another and archives that unpack to much more than they are. */
function checkGrowth(entries: readonly ZipEntry[], bytes: number, refuse: Refuse): void {
  let end = 0
  let total = 0
  for (const entry of [...entries].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset < end) throw refuse(`its entry '${entry.name}' lies on another`)
    end = entry.offset + entry.packed
    total += entry.size
  }
  if (total > allowance(bytes))
    throw refuse(`it unpacks to ${total} bytes from ${bytes}; save it again without compression`)
}

/** The bytes of an entry in the archive. */
function packedBytes(data: Uint8Array, entry: ZipEntry, refuse: Refuse): Uint8Array {
  const reader = new ByteReader(data, Math.min(entry.offset, data.length), refuse)
  skipLocalHeader(reader, entry, refuse)
  return reader.take(entry.packed)
}

/** Moves from where an entry begins to its content. Throws where the local header does not agree with the directory. */
export function skipLocalHeader(reader: ByteReader, entry: ZipEntry, refuse: Refuse): void {
  const differs = () => refuse(`its entry '${entry.name}' differs from the zip directory`)
  if (reader.uint32() !== signatures.local) throw differs()
  reader.skip(2)
  const [flags, method] = [reader.uint16(), reader.uint16()]
  reader.skip(16)
  const [nameBytes, extraBytes] = [reader.uint16(), reader.uint16()]
  if (flags !== entry.flags || method !== entry.method || reader.text(nameBytes) !== entry.name)
    throw differs()
  reader.skip(extraBytes)
}

function unpack(entry: ZipEntry, packed: Uint8Array, refuse: Refuse): Uint8Array {
  if (entry.method === methods.stored) return packed
  try {
    // one byte more than promised is enough to see that the promise is broken
    const content = inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.size) })
    if (content.length === entry.size) return content
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
  }
  throw refuse(`its entry '${entry.name}' does not unpack to the ${entry.size} bytes it promises`)
}
