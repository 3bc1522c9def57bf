/** Takes a few named files out of a tar archive that is not trusted. */
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar'
import { DdsasError } from '../errors.ts'

/** Bound on all members together, wanted or not, so that a bomb stops early. */
const maxArchiveBytes = 2 * 2 ** 30

/**
 * Extracts regular files into `folder`, without the first part of their path. Only members with exactly a wanted path
 * are written, so that no path of the archive decides where a file goes.
 * @param members path inside the archive -> largest size in bytes
 * @throws DdsasError kind `data`: not an archive, truncated, a member over its bound or missing
 */
export async function extractMembers(
  archive: string,
  folder: string,
  members: ReadonlyMap<string, number>,
  signal?: AbortSignal,
): Promise<void> {
  const missing = new Set(members.keys())
  let total = 0
  const unpack = extract({
    cwd: folder,
    strict: true,
    strip: 1,
    preserveOwner: false,
    noMtime: true,
    filter: (path, entry) => {
      total += entry.size
      const limit = members.get(path)
      if (total > maxArchiveBytes) return refuse(`holds more than ${maxArchiveBytes} bytes`)
      if (limit === undefined || !('type' in entry) || entry.type !== 'File') return false
      if (entry.size > limit)
        return refuse(`member ${path} has ${entry.size} bytes, over the limit of ${limit}`)
      missing.delete(path)
      return true
    },
    onReadEntry: (entry) => {
      entry.mode = 0o644
    },
  })
  const refuse = (problem: string) => {
    unpack.abort(new DdsasError('data', `${archive} ${problem}: use another archive`))
    return false
  }
  await pipeline(createReadStream(archive), unpack, { signal }).catch((error: unknown) => {
    throw asDataError(error, archive)
  })
  const [first] = missing
  if (first !== undefined)
    throw new DdsasError('data', `${archive} has no file ${first}: use another archive`)
}

function asDataError(error: unknown, archive: string): unknown {
  const isFileError = error instanceof Error && 'syscall' in error
  if (error instanceof DdsasError || isFileError) return error
  const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
  return new DdsasError('data', `${archive} is not a sound archive (${reason}): fetch it again`, {
    cause: error,
  })
}
