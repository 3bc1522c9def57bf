/** What lies in the folders of an image folder: classes, images, and what counts as neither; links are followed. */
import { type Dirent, readdirSync, realpathSync, type Stats, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { DdsasError } from '../errors.ts'
import { unreadable } from './file-info.ts'

/**
 * `dead`: a link that leads nowhere. `circular`: a link to a folder that it lies in itself. `other`: a file that is no
 * image by its name, or no regular file.
 */
export type EntryKind = 'folder' | 'image' | 'other' | 'dead' | 'circular'

export interface FolderEntry {
  readonly name: string
  readonly kind: EntryKind
  /** Of an image, else 0. */
  readonly bytes: number
}

/** One image file of a class. */
export interface ListedFile {
  readonly name: string
  readonly bytes: number
}

/** What was found in a folder that is used, and how many of its links cannot be followed. */
export interface Listed<Found> {
  readonly found: Found[]
  readonly badLinks: number
}

/** Bound on one file, far above any photograph: it is read whole, several at a time. */
export const maxImageFileBytes = 256 * 2 ** 20
const imageName = /\.(?:jpe?g|png|webp)$/i

/**
 * Everything in `folder` but what is hidden, sorted by code unit; what a link leads to counts, wherever that is.
 * @throws DdsasError kind `data`: cannot be read
 */
export function entriesOf(folder: string): FolderEntry[] {
  return readFolder(folder)
    .filter(({ name }) => !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry) => classify(folder, entry))
}

/**
 * Names of the folders in `folder`.
 * @throws DdsasError kind `data`: cannot be read, or a name with control characters
 */
export function listFolders(folder: string): Listed<string> {
  const entries = entriesOf(folder)
  const found = entries.filter(({ kind }) => kind === 'folder').map(({ name }) => checkedName(folder, name))
  return { found, badLinks: entries.filter(isBadLink).length }
}

/**
 * The JPEG, PNG and WebP files (by extension, in either case) directly in `folder`.
 * @throws DdsasError kind `data`: cannot be read, a name with control characters, a file over 256 MiB
 */
export function listImages(folder: string): Listed<ListedFile> {
  const entries = entriesOf(folder)
  const images = entries.filter(({ kind }) => kind === 'image')
  const found = images.map(({ name, bytes }) => {
    checkedName(folder, name)
    const problem = tooLarge(bytes)
    if (problem !== undefined) throw new DdsasError('data', `${join(folder, name)} ${problem}: remove it`)
    return { name, bytes }
  })
  return { found, badLinks: entries.filter(isBadLink).length }
}

export function isBadLink({ kind }: FolderEntry): boolean {
  return kind === 'dead' || kind === 'circular'
}

/** Whether a file is an image by its name. */
export function hasImageName(name: string): boolean {
  return imageName.test(name)
}

/** Names are printed and written to tables, where a line break or an escape sequence would do harm. */
export function isPrintable(name: string): boolean {
  return !/\p{Cc}/u.test(name)
}

/** What is wrong with the size of an image file. */
export function tooLarge(bytes: number): string | undefined {
  return bytes > maxImageFileBytes ? `has ${bytes} bytes, over the limit of 256 MiB for an image` : undefined
}

function classify(folder: string, entry: Dirent): FolderEntry {
  const { name } = entry
  const isImage = hasImageName(name)
  // files of other kinds are not looked at any further
  if (entry.isFile() && !isImage) return { name, kind: 'other', bytes: 0 }
  const path = join(folder, name)
  const stats = statsOf(path, entry.isSymbolicLink())
  if (stats === undefined) return { name, kind: 'dead', bytes: 0 }
  if (stats.isDirectory()) {
    const circular = entry.isSymbolicLink() && leadsBack(folder, path)
    return { name, kind: circular ? 'circular' : 'folder', bytes: 0 }
  }
  return stats.isFile() && isImage
    ? { name, kind: 'image', bytes: stats.size }
    : { name, kind: 'other', bytes: 0 }
}

/** Whether a link in `folder` leads to that folder or to one that holds it. */
function leadsBack(folder: string, link: string): boolean {
  const target = realpathSync(link)
  return `${realpathSync(folder)}${sep}`.startsWith(target.endsWith(sep) ? target : `${target}${sep}`)
}

function readFolder(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    throw unreadable(folder, error)
  }
}

/** Undefined for a link that leads nowhere, or in a circle of links. */
function statsOf(path: string, isLink: boolean): Stats | undefined {
  try {
    return statSync(path)
  } catch (error) {
    if (isLink) return undefined
    throw unreadable(path, error)
  }
}

function checkedName(folder: string, name: string): string {
  if (isPrintable(name)) return name
  const problem = `the name ${JSON.stringify(name)} in ${folder} has control characters`
  throw new DdsasError('data', `${problem}: rename it`)
}
