/** Turns a PNG with one CIFAR image a row into records of the standard binary layout. */
import { DdsasError } from '../errors.ts'
import { imageBytes } from './cifar-layout.ts'

const pixels = imageBytes / 3

/**
 * Decodes a PNG of 1024 x count RGB pixels (each row one 32 x 32 image, pixels interleaved).
 * @param labels [count]
 * @returns count records: the label byte, then planes R, G, B of 1024 bytes each
 * @throws DdsasError kind `data`: not a PNG, or of another size
 */
export async function pngToRecords(png: string | Uint8Array, labels: Uint8Array): Promise<Uint8Array> {
  const source = typeof png === 'string' ? png : 'the PNG'
  const limits = { limitInputPixels: pixels * labels.length, failOn: 'warning' } as const
  const { default: sharp } = await import('sharp')
  const decoded = await sharp(png, limits)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
      throw new DdsasError('data', `${source} cannot be decoded (${reason}): fetch it again`, { cause })
    })
  const { width, height, channels } = decoded.info
  if (width !== pixels || height !== labels.length || channels !== 3) {
    const found = `${width} x ${height} pixels of ${channels} channels`
    throw new DdsasError(
      'data',
      `${source} has ${found}, not ${pixels} x ${labels.length} of 3: fetch it again`,
    )
  }
  return planes(decoded.data, labels)
}

function planes(interleaved: Uint8Array, labels: Uint8Array): Uint8Array {
  const records = new Uint8Array(labels.length * (1 + imageBytes))
  let from = 0
  labels.forEach((label, row) => {
    const start = row * (1 + imageBytes)
    records[start] = label
    for (let pixel = start + 1; pixel <= start + pixels; pixel++) {
      records[pixel] = interleaved[from++] ?? 0
      records[pixel + pixels] = interleaved[from++] ?? 0
      records[pixel + 2 * pixels] = interleaved[from++] ?? 0
    }
  })
  return records
}
