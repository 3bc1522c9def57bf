/** Image folders made on the fly for the tests of `src/data`, and where real ones are. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import sharp from 'sharp'
import { type ImageFolder, readImageFolder } from '../../../src/data/folder.ts'
import { skipWithoutShared } from '../../needs.ts'

/** Real ImageNet images; `missing` says why tests on them are skipped. */
export const realFolder = join(
  process.env.DDSAS_SHARED ?? resolve(import.meta.dirname, '../../../../shared'),
  'data/imagefolder',
)
export const missing = skipWithoutShared(realFolder)

/** Pixels of a smooth picture that differs by seed, uint8 [height, width, channels]. */
export function picture(width: number, height: number, seed = 0, channels = 3): Buffer {
  const pixels = Buffer.alloc(width * height * channels)
  for (let at = 0; at < pixels.length; at++) {
    const [x, y, c] = [Math.floor(at / channels) % width, Math.floor(at / channels / width), at % channels]
    pixels[at] = Math.round(127 + 120 * Math.sin((x * (c + 1)) / 17 + seed) * Math.cos(y / 13 - c + seed))
  }
  return pixels
}

/** A picture as a sharp image, ready to be encoded. */
export function image(width: number, height: number, seed = 0, channels: 1 | 3 | 4 = 3) {
  return sharp(picture(width, height, seed, channels), { raw: { width, height, channels } })
}

/** Writes `perClass` JPEGs of different sizes into each class of a split. */
export async function writeFolder(
  directory: string,
  split: string,
  classes: readonly string[],
  perClass: number,
): Promise<void> {
  for (const [label, name] of classes.entries()) {
    const folder = join(directory, split, name)
    mkdirSync(folder, { recursive: true })
    for (let index = 0; index < perClass; index++) {
      const seed = label * perClass + index
      await image(40 + ((7 * seed) % 30), 36 + ((5 * seed) % 20), seed)
        .jpeg()
        .toFile(join(folder, `${index}.jpg`))
    }
  }
}

/** The training split of a new folder of classes `a` and `b`. */
export async function smallFolder(directory: string, perClass = 6): Promise<ImageFolder> {
  await writeFolder(directory, 'train', ['a', 'b'], perClass)
  return readImageFolder(directory, 'train')
}

/** Overwrites a file with text that is no image. */
export function spoil(directory: string, file: string): void {
  writeFileSync(join(directory, file), 'this is no image\n')
}
