/** The manifest of a checkpoint: size and SHA-256 of each file, and reading the files it vouches for. */
import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { chunkBytes, errnoCode } from './files.ts'

export const manifestName = 'manifest.json'

/** Most bytes of all files of a checkpoint together: what one Buffer can hold, and a bound on the memory. */
export const maxCheckpointBytes = 4 * 1024 ** 3

const maxManifestBytes = 1024 ** 2

const manifestSchema = z.strictObject({
  step: z.int().nonnegative(),
  files: z.record(
    // A plain name: a manifest must not reach outside its folder.
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
    z.strictObject({ size: z.int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
})

export type Manifest = z.infer<typeof manifestSchema>

/**
 * Reads all files of the checkpoint folder `place`. `corrupt` makes the error that is thrown from what differs.
 */
export function readVerified(
  place: string,
  step: number,
  corrupt: (what: string) => Error,
): Map<string, Buffer> {
  const manifest = readManifest(place, step, corrupt)
  const entries = Object.entries(manifest.files)
  const total = entries.reduce((sum, [, { size }]) => sum + size, 0)
  if (total > maxCheckpointBytes) throw corrupt(`${manifestName} tells of ${total} bytes, more than 4 GiB`)
  return new Map(
    entries.map(([name, { size, sha256 }]) => {
      const { bytes, digest } = readBounded(place, name, size, corrupt)
      if (bytes.length < size) throw corrupt(`${name} has ${bytes.length} bytes instead of ${size}`)
      if (digest !== sha256) throw corrupt(`${name} has sha256 ${digest} instead of ${sha256}`)
      return [name, bytes]
    }),
  )
}

function readManifest(place: string, step: number, corrupt: (what: string) => Error): Manifest {
  const { bytes } = readBounded(place, manifestName, maxManifestBytes, corrupt)
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw corrupt(`${manifestName} is not valid JSON (${bytes.length} bytes)`)
  }
  const manifest = manifestSchema.safeParse(json).data
  if (manifest === undefined) throw corrupt(`${manifestName} does not list the files with size and sha256`)
  if (manifest.step !== step) throw corrupt(`${manifestName} is of step ${manifest.step}`)
  return manifest
}

/** Content and SHA-256 of a regular file of at most `limit` bytes: nothing is allocated before the size is known. */
function readBounded(place: string, name: string, limit: number, corrupt: (what: string) => Error) {
  let file: number
  try {
    // Neither a link that leads out of the folder nor a pipe that never ends.
    file = openSync(join(place, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw corrupt(errnoCode(error) === 'ENOENT' ? `${name} is missing` : `${name}: ${errnoCode(error)}`)
  }
  try {
    const status = fstatSync(file)
    if (!status.isFile()) throw corrupt(`${name} is not a file`)
    if (status.size > limit) throw corrupt(`${name} has ${status.size} bytes instead of ${limit}`)
    return readHashed(file, status.size)
  } finally {
    closeSync(file)
  }
}

function readHashed(file: number, size: number): { bytes: Buffer; digest: string } {
  // Not from Node's shared pool: views of 4 and 8 byte numbers need the buffer to start at offset 0.
  const bytes = Buffer.allocUnsafeSlow(size)
  const hash = createHash('sha256')
  let at = 0
  while (at < size) {
    const read = readSync(file, bytes, at, Math.min(chunkBytes, size - at), at)
    if (read === 0) break
    hash.update(bytes.subarray(at, at + read))
    at += read
  }
  return { bytes: bytes.subarray(0, at), digest: hash.digest('hex') }
}
