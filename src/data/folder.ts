/** Lists an image folder, `train/CLASS/*.jpg` and `val/CLASS/*.jpg`, as torchvision's ImageFolder does. */
import { createHash } from 'node:crypto'
import { existsSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DdsasError } from '../errors.ts'
import { listFolders, listImages } from './folder-files.ts'

export const folderSplits = ['train', 'val'] as const
export type FolderSplit = (typeof folderSplits)[number]

/** The files of one split; no image was opened yet. */
export interface ImageFolder {
  readonly directory: string
  readonly split: FolderSplit
  /** Names of the class folders, sorted; a label is an index into them. */
  readonly classes: readonly string[]
  /** `CLASS/name.jpg`, relative to the split's folder: by class, then by name. */
  readonly files: readonly string[]
  /** [count], each below classes.length. */
  readonly labels: Int32Array
  readonly count: number
  /** SHA-256 (hex) over the files' relative names and sizes in bytes. */
  readonly fingerprint: string
}

const maxClasses = 100_000
const maxImages = 2 ** 24
const layout = 'an image folder holds train/CLASS/*.jpg and val/CLASS/*.jpg'

/**
 * Lists the classes and images (`.jpg`, `.jpeg`, `.png`, `.webp`, in either case) of a split. Hidden files, folders in
 * class folders and links that leave `directory` are left out. Where the folder holds both splits, `val` must have the
 * classes of `train`.
 * @throws DdsasError kind `data`: the folder missing, no class in it, a class without images (named), classes that
 * differ between the splits, a file over 256 MiB, more than 100,000 classes or 2^24 images
 */
export function readImageFolder(directory: string, split: FolderSplit): ImageFolder {
  const folder = join(directory, split)
  const classes = classNames(directory, split)
  const trainClasses =
    split === 'val' && hasSplit(directory, 'train') ? classNames(directory, 'train') : classes
  checkSameClasses(directory, classes, trainClasses)
  const root = realpathSync(directory)
  const hash = createHash('sha256')
  const files: string[] = []
  const labels: number[] = []
  for (const [label, name] of classes.entries()) {
    for (const image of imagesOf(join(folder, name), root)) {
      files.push(`${name}/${image.name}`)
      labels.push(label)
      hash.update(`${name}/${image.name}\n${image.bytes}\n`)
    }
    if (files.length > maxImages)
      throw new DdsasError('data', `${folder} has more than ${maxImages} images: use fewer`)
  }
  const fingerprint = hash.digest('hex')
  const count = files.length
  return { directory, split, classes, files, labels: Int32Array.from(labels), count, fingerprint }
}

/** Whether `directory` has the folder of a split. */
export function hasSplit(directory: string, split: FolderSplit): boolean {
  return existsSync(join(directory, split))
}

/** Path of an image by its position in the list. */
export function imagePath({ directory, split, files }: ImageFolder, position: number): string {
  return join(directory, split, files[position])
}

function classNames(directory: string, split: FolderSplit): string[] {
  const folder = join(directory, split)
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new DdsasError('data', `the folder ${folder} is missing: ${layout}`)
  const classes = listFolders(folder, realpathSync(directory))
  if (classes.length === 0) throw new DdsasError('data', `${folder} has no class folders: ${layout}`)
  if (classes.length > maxClasses)
    throw new DdsasError(
      'data',
      `${folder} has ${classes.length} class folders, over ${maxClasses}: use fewer`,
    )
  return classes
}

function imagesOf(folder: string, root: string) {
  const images = listImages(folder, root)
  if (images.length > 0) return images
  const remedy = 'add .jpg, .jpeg, .png or .webp files or remove the folder'
  throw new DdsasError('data', `the class folder ${folder} has no images (links out are ignored): ${remedy}`)
}

function checkSameClasses(directory: string, val: readonly string[], train: readonly string[]): void {
  const known = { train: new Set(train), val: new Set(val) }
  const missing = train.find((name) => !known.val.has(name))
  const extra = val.find((name) => !known.train.has(name))
  if (missing === undefined && extra === undefined) return
  const problem =
    missing === undefined ? `has the class ${extra}, train has not` : `lacks the class ${missing} of train`
  throw new DdsasError('data', `${join(directory, 'val')} ${problem}: both need the same class folders`)
}
