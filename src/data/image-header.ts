/** Reads format and size from the first bytes of a JPEG, PNG or WebP file, before any decoder is let near the rest. */

export interface ImageHeader {
  readonly format: 'jpeg' | 'png' | 'webp'
  readonly width: number
  readonly height: number
}

/**
 * The header as the file states it: the size as stored, whatever an EXIF orientation says.
 * @throws Error with one line of reason: another format, or too short to hold a size
 */
export function readImageHeader(bytes: Uint8Array): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read = bytes.length < 12 ? undefined : readerOf(view)
  if (!read) throw new Error(bytes.length === 0 ? 'is empty' : 'is not a JPEG, PNG or WebP image')
  try {
    const header = read(view)
    if (header && header.width > 0 && header.height > 0) return header
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  throw new Error('has no header with a size')
}

type Reader = (view: DataView) => ImageHeader | undefined

function readerOf(view: DataView): Reader | undefined {
  const start = view.getUint32(0)
  if (start >>> 8 === 0xffd8ff) return jpegHeader
  if (start === 0x89504e47 && view.getUint32(4) === 0x0d0a1a0a) return pngHeader
  return start === 0x52494646 && view.getUint32(8) === 0x57454250 ? webpHeader : undefined
}

/** Walks over the segments to the first that starts a frame (SOF0 to SOF15 but for DHT, JPG and DAC). */
function jpegHeader(view: DataView): ImageHeader | undefined {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined
    const marker = view.getUint8(at + 1)
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (frame) return { format: 'jpeg', height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    // 0xff before a marker is padding; TEM and the restart markers have no length
    const alone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)
    at += marker === 0xff ? 1 : alone ? 2 : 2 + view.getUint16(at + 2)
  }
}

function pngHeader(view: DataView): ImageHeader {
  return { format: 'png', width: view.getUint32(16), height: view.getUint32(20) }
}

/** The first chunk says which of three layouts it is: `VP8 `, `VP8L` or `VP8X`. */
function webpHeader(view: DataView): ImageHeader | undefined {
  const format = 'webp'
  const chunk = view.getUint32(12)
  if (chunk === 0x56503820)
    return { format, width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
  if (chunk === 0x5650384c) {
    const bits = view.getUint32(21, true)
    return { format, width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) }
  }
  if (chunk !== 0x56503858) return undefined
  const three = (at: number) => view.getUint16(at, true) + 0x10000 * view.getUint8(at + 2)
  return { format, width: 1 + three(24), height: 1 + three(27) }
}
