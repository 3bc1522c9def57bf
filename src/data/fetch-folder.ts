/** Puts fetched files in place whole or not at all: a temporary folder, synced files, renames. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, rename, rm, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DdsasError } from '../errors.ts'

/**
 * Runs `work` with a new folder inside `directory` (the same file system, so that files can be renamed into place) and
 * removes that folder whatever happens.
 * @throws DdsasError kind `disk` for a file operation that failed, `interrupted` after `signal`; others pass through
 */
export async function inTemporaryFolder<T>(
  directory: string,
  signal: AbortSignal | undefined,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  try {
    await mkdir(directory, { recursive: true })
    const folder = await mkdtemp(join(resolve(directory), '.fetch-'))
    try {
      return await work(folder)
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    }
  } catch (error) {
    throw explain(error, directory, signal)
  }
}

function explain(error: unknown, directory: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) {
    return new DdsasError('interrupted', 'fetch stopped, nothing was left half-written: run it again', {
      cause: error,
    })
  }
  if (error instanceof Error && 'syscall' in error && 'code' in error) {
    const remedy = 'free some space or check the path and its permissions'
    return new DdsasError('disk', `cannot write in ${directory} (${error.code}): ${remedy}`, { cause: error })
  }
  return error
}

/**
 * Refuses to start what the disk cannot hold.
 * @param bytes needed in `directory`, which must exist
 * @throws DdsasError kind `disk`
 */
export async function requireFreeSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const free = bavail * bsize
  if (free >= bytes) return
  const mebibytes = (value: number) => `${Math.ceil(value / 2 ** 20)} MiB`
  const problem = `${directory} has ${mebibytes(free)} free, ${mebibytes(bytes)} are needed`
  throw new DdsasError('disk', `${problem}: free some space or choose another folder with --data`)
}

/** Moves files from one folder to another on the same file system, each synced before it appears under its name. */
export async function placeFiles(from: string, to: string, names: readonly string[]): Promise<void> {
  for (const name of names) await sync(join(from, name), 'r+')
  await mkdir(to, { recursive: true })
  for (const name of names) await rename(join(from, name), join(to, name))
  await sync(to, 'r')
}

async function sync(path: string, flags: 'r' | 'r+'): Promise<void> {
  const handle = await open(path, flags)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** MD5 (hex) of a file, read in pieces; undefined where it cannot be read. */
export async function md5OfFile(path: string): Promise<string | undefined> {
  const hash = createHash('md5')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk)
  } catch {
    return undefined
  }
  return hash.digest('hex')
}
