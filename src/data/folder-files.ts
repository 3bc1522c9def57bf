/** Lists the class folders and image files of an image folder; links that leave it and hidden files do not count. */
import { type Dirent, readdirSync, realpathSync, type Stats, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { DdsasError } from '../errors.ts'

/** One image file of a class. */
export interface ListedFile {
  readonly name: string
  readonly bytes: number
}

/** Bound on one file, far above any photograph: it is read whole, several at a time. */
export const maxImageFileBytes = 256 * 2 ** 20
const imageName = /\.(?:jpe?g|png|webp)$/i

/**
 * Names of the folders in `folder`, sorted by code unit. `root` is the real path that no link may leave.
 * @throws DdsasError kind `data`: cannot be read, or a name with control characters
 */
export function listFolders(folder: string, root: string): string[] {
  return listed(folder, root)
    .filter(({ stats }) => stats.isDirectory())
    .map(({ name }) => checkedName(folder, name))
}

/**
 * The JPEG, PNG and WebP files (by extension, in either case) directly in `folder`, sorted by code unit.
 * @throws DdsasError kind `data`: cannot be read, a name with control characters, a file over 256 MiB
 */
export function listImages(folder: string, root: string): ListedFile[] {
  return listed(folder, root, imageName)
    .filter(({ stats }) => stats.isFile())
    .map(({ name, stats }) => {
      if (stats.size > maxImageFileBytes) {
        const problem = `has ${stats.size} bytes, over the limit of 256 MiB for an image`
        throw new DdsasError('data', `${join(folder, checkedName(folder, name))} ${problem}: remove it`)
      }
      return { name: checkedName(folder, name), bytes: stats.size }
    })
}

function listed(folder: string, root: string, pattern = /^/): { name: string; stats: Stats }[] {
  const entries = readFolder(folder).filter(({ name }) => !name.startsWith('.') && pattern.test(name))
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const stats = statsInside(join(folder, entry.name), entry.isSymbolicLink(), root)
      return stats === undefined ? [] : [{ name: entry.name, stats }]
    })
}

function readFolder(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    throw unreadable(folder, error)
  }
}

/** Undefined for a link that leaves `root` or leads nowhere. */
function statsInside(path: string, isLink: boolean, root: string): Stats | undefined {
  try {
    if (isLink && !realpathSync(path).startsWith(root + sep)) return undefined
    return statSync(path)
  } catch (error) {
    if (isLink) return undefined
    throw unreadable(path, error)
  }
}

/** Names are printed and written to tables, where a line break or an escape sequence would do harm. */
function checkedName(folder: string, name: string): string {
  if (!/\p{Cc}/u.test(name)) return name
  const problem = `the name ${JSON.stringify(name)} in ${folder} has control characters`
  throw new DdsasError('data', `${problem}: rename it`)
}

function unreadable(path: string, error: unknown): DdsasError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return new DdsasError('data', `${path} cannot be read (${code}): check the path and its permissions`, {
    cause: error,
  })
}
