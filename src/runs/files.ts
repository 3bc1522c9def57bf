/** Files of a run, written so that a reader sees the old content or the new one, and never a part of it. */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DdsasError } from '../errors.ts'

/** Bytes handled by one call: Node refuses a single read, write or hash update of 2 GiB and more. */
export const chunkBytes = 64 * 1024 * 1024

/** JSON files that people write by hand or a run writes once are small; anything larger is not one of them. */
const maxJsonBytes = 16 * 1024 * 1024

const asidePattern = /^\..+\.[0-9a-f]{8}\.writing$/

const causes: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the disk; free some or choose a folder on another disk',
  EDQUOT: 'the disk quota is used up; free some space or choose a folder on another disk',
  EROFS: 'the file system is read-only; choose a folder that can be written',
  EACCES: 'permission denied; change the permissions or choose another folder',
  EPERM: 'operation not permitted; change the permissions or choose another folder',
}

/** The code of a failed system call (`ENOENT`, ...), or undefined for any other kind of error. */
export function errnoCode(error: unknown): string | undefined {
  const called = error instanceof Error && 'syscall' in error && 'code' in error
  return called && typeof error.code === 'string' ? error.code : undefined
}

/**
 * Runs `write`, turning a failed system call into a `disk` error that names `path` and the remedy. Other errors
 * pass unchanged.
 */
export function reportDisk<T>(path: string, write: () => T): T {
  try {
    return write()
  } catch (error) {
    const code = errnoCode(error)
    if (code === undefined) throw error
    const cause = causes[code] ?? `${code}; choose another folder`
    throw new DdsasError('disk', `cannot write ${path}: ${cause}`, { cause: error })
  }
}

/** Runs `read`, turning a failed system call into an `input` error that names `path`. */
export function reportRead<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const code = errnoCode(error)
    if (code === undefined) throw error
    const cause = code === 'EACCES' ? 'permission denied; change the permissions' : `${code}; restore it`
    throw new DdsasError('input', `cannot read ${path}: ${cause}, or name another`, { cause: error })
  }
}

/**
 * Makes a folder and those above it that are missing; returns those it made, the uppermost first. Node's own recursive
 * `mkdir` calls a read-only disk "not found".
 * @throws {DdsasError} `disk` when it cannot be made.
 */
export function makeFolder(path: string): string[] {
  if (existsSync(path)) return []
  const above = dirname(path) === path ? [] : makeFolder(dirname(path))
  return reportDisk(path, () => {
    try {
      mkdirSync(path)
      return [...above, path]
    } catch (error) {
      // Another process may make the same folder at the same moment.
      if (errnoCode(error) === 'EEXIST') return above
      removeEmpty(above)
      throw error
    }
  })
}

/** Takes back what `makeFolder` made, as far as nobody has put anything there. */
export function removeEmpty(folders: readonly string[]): void {
  try {
    for (const folder of folders.toReversed()) rmdirSync(folder)
  } catch {
    // Somebody uses it by now, or the disk is gone: either way there is a better error to report.
  }
}

/** Writes all of `data` to a new file and waits until it is on the disk. Refuses an existing file. */
export function writeSynced(path: string, data: string | Uint8Array): void {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  const file = openSync(path, 'wx')
  try {
    for (let at = 0; at < bytes.length; ) {
      at += writeSync(file, bytes, at, Math.min(chunkBytes, bytes.length - at))
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Waits until what was written to a file, or the entries of a folder, is on the disk. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } catch (error) {
    // Some network file systems cannot sync a folder; there a rename is as durable as they make it.
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes(errnoCode(error) ?? '')) throw error
  } finally {
    closeSync(file)
  }
}

/** A name beside `path` for what is not complete yet; `clearAsides` removes it if a kill leaves it behind. */
export function asidePath(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}.writing`)
}

/** True for the name of a file that `writeFileAtomic` was writing. */
export function isAside(name: string): boolean {
  return asidePattern.test(name)
}

/** Removes what killed writers left in `folder`; call it only while no other process writes there. */
export function clearAsides(folder: string): void {
  for (const name of readdirSync(folder).filter(isAside)) rmSync(join(folder, name), { force: true })
}

/**
 * Replaces the file at `path`: writes beside it, syncs, renames, syncs the folder. After a kill or a full disk
 * the old file is intact.
 * @throws {DdsasError} `disk`, naming the path and the remedy, when the file cannot be written.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const aside = asidePath(path)
  reportDisk(path, () => {
    try {
      writeSynced(aside, data)
      renameSync(aside, path)
      syncPath(dirname(path))
    } catch (error) {
      rmSync(aside, { force: true })
      throw error
    }
  })
}

/**
 * Writes the drawings `<name>.svg` and `<name>.png` into `folder`, which is made if needed; returns their paths.
 * @throws {DdsasError} `disk` when they cannot be written.
 */
export function writeDrawing(
  folder: string,
  name: string,
  drawing: { svg: string; png: Uint8Array },
): string[] {
  makeFolder(folder)
  const svg = join(folder, `${name}.svg`)
  const png = join(folder, `${name}.png`)
  writeFileAtomic(svg, drawing.svg)
  writeFileAtomic(png, drawing.png)
  return [svg, png]
}

/** JSON with one line for each top-level key: as easy to read as indented, and a cell keeps to four lines. */
export function formatJson(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${JSON.stringify(value)}\n`
  const lines = Object.entries(value)
    .filter(([, entry]) => entry !== undefined)
    .map(([key, entry]) => `  ${JSON.stringify(key)}: ${JSON.stringify(entry)}`)
  return lines.length === 0 ? '{}\n' : `{\n${lines.join(',\n')}\n}\n`
}

/**
 * The content of a JSON file, or undefined when there is none.
 * @throws {DdsasError} `input` when it is not a file, larger than `most` bytes, unreadable or not JSON.
 */
export function readJson(path: string, most = maxJsonBytes): unknown {
  const text = reportRead(path, () => {
    const status = statSync(path, { throwIfNoEntry: false })
    if (status === undefined) return undefined
    if (!status.isFile()) throw new DdsasError('input', `${path} is not a file; name a JSON file`)
    if (status.size > most) {
      const size = `${status.size} bytes, more than ${most / 2 ** 20} MiB`
      throw new DdsasError('input', `${path} has ${size}; name a JSON file`)
    }
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
  })
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch (error) {
    const what = text?.trim() === '' ? 'is empty' : 'is not valid JSON'
    throw new DdsasError('input', `${path} ${what}; restore it or name another`, { cause: error })
  }
}
