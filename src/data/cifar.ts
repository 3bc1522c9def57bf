/** Reads CIFAR-10 and CIFAR-100 (and sets of one's own in their binary layout) into memory. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { cifarDifference, cifarFolder, type RecordFile, recordBytes, recordFiles } from './cifar-files.ts'
import {
  type CifarLayout,
  type CifarName,
  cifarLayouts,
  imageBytes,
  imageSize,
  parseCifarName,
  type Split,
} from './cifar-layout.ts'
import { fileInfo, unreadable } from './file-info.ts'

export { hasCifar } from './cifar-files.ts'
export type { CifarName } from './cifar-layout.ts'

export interface ImageDataset {
  readonly name: string
  readonly split: Split
  /** uint8 [count, 3, size, size], planes R, G, B */
  readonly images: Uint8Array
  /** [count], each below classes.length (fine labels for CIFAR-100); of more than 256 classes as Int32Array */
  readonly labels: Uint8Array | Int32Array
  readonly count: number
  /** Height and width in pixels. */
  readonly size: number
  readonly classes: readonly string[]
  /** Per channel, of pixels scaled to 0..1. */
  readonly mean: readonly [number, number, number]
  readonly std: readonly [number, number, number]
  /** SHA-256 (hex) over the record files of the split, in order. */
  readonly fingerprint: string
  /** How the files differ from the published ones, in words; absent where they do not. */
  readonly difference?: string | undefined
}

const maxNamesBytes = 2 ** 16
const recordsPerRead = 256

/**
 * Reads one split of a CIFAR data set from its binary files, found in `directory` itself or in its usual subfolder
 * (`cifar-10-batches-bin`, `cifar-100-binary`). Any whole number of records is accepted. Class names come from
 * `batches.meta.txt` or `fine_label_names.txt` where present.
 * @returns images as uint8 [count, 3, 32, 32] and labels as uint8 [count]
 * @throws DdsasError kind `data`: a file that is missing, empty, truncated, over 1 GiB, or has a label out of range
 */
export function readCifar(directory: string, name: CifarName, split: Split): ImageDataset {
  const layout = cifarLayouts[parseCifarName(name)]
  checkGiven(z.enum(['train', 'test']), split, 'readCifar', 'split')
  const files = recordFiles(directory, name, split)
  const classes = readClassNames(join(cifarFolder(directory, layout), layout.namesFile), layout.classes)
  const count = files.reduce((sum, file) => sum + file.count, 0)
  const images = new Uint8Array(count * imageBytes)
  const labels = new Uint8Array(count)
  const hash = createHash('sha256')
  let start = 0
  for (const file of files) {
    const range = [start, start + file.count] as const
    readRecords(file, layout, images, labels, range, hash)
    checkLabels(file.path, labels, range, classes.length)
    start += file.count
  }
  const { mean, std } = layout
  const fingerprint = hash.digest('hex')
  const difference = cifarDifference(name, split, files, fingerprint)
  const what = { name, split, classes, fingerprint, difference }
  return { ...what, images, labels, count, size: imageSize, mean, std }
}

/** Copies records into rows `range` of images and labels, in chunks so that a file is never held twice. */
function readRecords(
  file: RecordFile,
  layout: CifarLayout,
  images: Uint8Array,
  labels: Uint8Array,
  range: readonly [number, number],
  hash: Hash,
): void {
  const record = recordBytes(layout)
  const chunk = new Uint8Array(recordsPerRead * record)
  const descriptor = open(file.path)
  try {
    for (let row = range[0]; row < range[1]; ) {
      const rows = Math.min(recordsPerRead, range[1] - row)
      const bytes = chunk.subarray(0, rows * record)
      fill(descriptor, bytes, file.path)
      hash.update(bytes)
      for (let at = 0; at < bytes.length; at += record, row++) {
        labels[row] = bytes[at + layout.labelBytes - 1] ?? 0
        images.set(bytes.subarray(at + layout.labelBytes, at + record), row * imageBytes)
      }
    }
  } finally {
    closeSync(descriptor)
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** Fills `bytes` from the file; a read may return less than was asked for. */
function fill(descriptor: number, bytes: Uint8Array, path: string): void {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(descriptor, bytes, done, bytes.length - done, null)
    if (read === 0) throw new DdsasError('data', `${path} became shorter while it was read: read it again`)
    done += read
  }
}

function checkLabels(
  path: string,
  labels: Uint8Array,
  range: readonly [number, number],
  classes: number,
): void {
  const wrong = labels.subarray(...range).findIndex((label) => label >= classes)
  if (wrong < 0) return
  const label = labels[range[0] + wrong]
  const remedy = 'list the classes in its names file, or fetch the data again'
  throw new DdsasError('data', `${path}: record ${wrong} has label ${label}, not below ${classes}: ${remedy}`)
}

function readClassNames(path: string, standard: readonly string[]): readonly string[] {
  const info = fileInfo(path)
  if (info === undefined) return standard
  if (!info.isFile() || info.size > maxNamesBytes) {
    throw new DdsasError('data', `${path} is not a text file of at most 64 KiB: replace or remove it`)
  }
  const lines = readText(path).split('\n')
  const names = lines.map((line) => line.trim()).filter((line) => line !== '')
  // Labels are one byte; a control character would garble a terminal.
  if (names.length < 1 || names.length > 256 || names.some((name) => /\p{C}/u.test(name))) {
    throw new DdsasError('data', `${path} does not hold 1 to 256 printable class names: replace or remove it`)
  }
  return names
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unreadable(path, error)
  }
}
