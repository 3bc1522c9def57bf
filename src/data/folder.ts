/** Lists an image folder, `train/CLASS/*.jpg` and `val/CLASS/*.jpg`, as torchvision's ImageFolder does. */

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DdsasError, quoted } from '../errors.ts'
import { commandLine } from '../words.ts'
import { hasImageName, type Listed, type ListedFile, listFolders, listImages } from './folder-files.ts'

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
  /** Links that lead nowhere or in a circle, which are left out. */
  readonly badLinks: number
}

const maxClasses = 100_000
const maxImages = 2 ** 24
const layout = 'an image folder holds train/CLASS/*.jpg and val/CLASS/*.jpg'

/**
 * Lists the classes and images (`.jpg`, `.jpeg`, `.png`, `.webp`, in either case) of a split. Links to either count like
 * what they lead to; hidden files, folders in class folders, and links that lead nowhere or in a circle are left out.
 * Where the folder holds both splits, `val` must have the classes of `train`.
 * @throws DdsasError kind `data`: the folder missing, no class in it, a class without images (named), classes that
 * differ between the splits, a file over 256 MiB, more than 100,000 classes or 2^24 images
 */
export function readImageFolder(directory: string, split: FolderSplit): ImageFolder {
  const folder = join(directory, split)
  const { found: classes, badLinks: badClassLinks } = listClasses(directory, split)
  const trainClasses =
    split === 'val' && hasSplit(directory, 'train') ? listClasses(directory, 'train').found : classes
  checkSameClasses(directory, classes, trainClasses)
  const hash = createHash('sha256')
  const files: string[] = []
  const labels: number[] = []
  let badLinks = badClassLinks
  for (const [label, name] of classes.entries()) {
    const images = imagesOf(directory, join(folder, name))
    badLinks += images.badLinks
    for (const image of images.found) {
      files.push(`${name}/${image.name}`)
      labels.push(label)
      hash.update(`${name}/${image.name}\n${image.bytes}\n`)
    }
    if (files.length > maxImages)
      throw new DdsasError('data', `${folder} has more than ${maxImages} images: use fewer`)
  }
  const what = { directory, split, classes, files, fingerprint: hash.digest('hex'), badLinks }
  return { ...what, labels: Int32Array.from(labels), count: files.length }
}

/** Whether `directory` has the folder of a split. */
export function hasSplit(directory: string, split: FolderSplit): boolean {
  return existsSync(join(directory, split))
}

/** Folders in a folder that are looked into for images. */
const mostLookedInto = 20

/** Whether a folder looks like one of images, however they are laid out: to advise by. */
export function looksLikeImages(directory: string): boolean {
  if (folderSplits.some((split) => hasSplit(directory, split))) return true
  try {
    const names = readdirSync(directory)
    const inner = names.slice(0, mostLookedInto).map((name) => join(directory, name))
    const folders = inner.filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory())
    return [names, ...folders.map((path) => readdirSync(path))].some((found) => found.some(hasImageName))
  } catch {
    return false
  }
}

/** Path of an image by its position in the list. */
export function imagePath({ directory, split, files }: ImageFolder, position: number): string {
  return join(directory, split, files[position])
}

/** A warning where links were left out; none where there are no such. */
export function badLinksOf({ directory, split, badLinks }: ImageFolder): string[] {
  return badLinks === 0
    ? []
    : [
        `left out links in ${join(directory, split)} that lead nowhere or in a circle: ${badLinks}; ` +
          `list them with \`${commandLine(`data check ${quoted(directory)}`)}\``,
      ]
}

function listClasses(directory: string, split: FolderSplit): Listed<string> {
  const folder = join(directory, split)
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new DdsasError('data', `the folder ${folder} is missing: ${layoutFor(directory, folder)}`)
  const classes = listFolders(folder)
  const { length } = classes.found
  if (length === 0) throw new DdsasError('data', `${folder} has no class folders: ${layout}`)
  if (length > maxClasses)
    throw new DdsasError('data', `${folder} has ${length} class folders, over ${maxClasses}: use fewer`)
  return classes
}

/** Class folders that lie in the folder itself are an image folder but for one step. */
function layoutFor(directory: string, folder: string): string {
  return looksLikeImages(directory) && !folderSplits.some((split) => hasSplit(directory, split))
    ? `${layout}; move the class folders of ${directory} into ${folder}`
    : layout
}

function imagesOf(directory: string, folder: string): Listed<ListedFile> {
  const images = listImages(folder)
  if (images.found.length > 0) return images
  const remedy = `add .jpg, .jpeg, .png or .webp files or remove the folder (${checkAdvice(directory)})`
  throw new DdsasError('data', `the class folder ${folder} has no images of its own: ${remedy}`)
}

/** Who mends one thing after the other would rather see them all. */
function checkAdvice(directory: string): string {
  return `\`${commandLine(`data check ${quoted(directory)}`)}\` lists all that is wrong`
}

function checkSameClasses(directory: string, val: readonly string[], train: readonly string[]): void {
  const known = { train: new Set(train), val: new Set(val) }
  const missing = train.find((name) => !known.val.has(name))
  const extra = val.find((name) => !known.train.has(name))
  if (missing === undefined && extra === undefined) return
  const problem =
    missing === undefined ? `has the class ${extra}, train has not` : `lacks the class ${missing} of train`
  throw new DdsasError(
    'data',
    `${join(directory, 'val')} ${problem}: both need the same class folders (${checkAdvice(directory)})`,
  )
}
