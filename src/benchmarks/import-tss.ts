/** Tables from NATS-Bench's topology space as it is published "simple": for each architecture a pickle packed by bzip2. */
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Parser, type ReadEntry } from 'tar'
import { DdsasError } from '../errors.ts'
import { ByteReader, type Refuse } from '../formats/byte-reader.ts'
import { unpackBzip2 } from '../formats/bzip2.ts'
import { readPickle } from '../formats/pickle.ts'
import { errnoCode, reportRead } from '../runs/files.ts'
import { collectResults } from './arch-results.ts'
import type { OnProgress } from './import-progress.ts'
import { resultOptions } from './results-pickle.ts'
import { TableBuilder } from './table-builder.ts'

/** 000011.pickle.pbz2. The file of names beside them, meta.pickle.pbz2, says nothing that they do not. */
const namePattern = /^\d{6}\.pickle\.pbz2$/
/** An architecture's file has 85 kB, and 330 kB unpacked. */
const most = { packed: 4 * 2 ** 20, unpacked: 16 * 2 ** 20, values: 1_000_000 } as const

/** Adds what the file of one architecture holds. */
function addFile(builder: TableBuilder, name: string, packed: Uint8Array, refuse: Refuse): void {
  const refuseFile: Refuse = (what) => refuse(`in ${name} ${what}`)
  const data = unpackBzip2(packed, most.unpacked, refuseFile)
  let found = 0
  const reader = new ByteReader(data, 0, refuseFile)
  readPickle(reader, {
    ...resultOptions(refuseFile),
    mostValues: most.values,
    grown: collectResults(builder, refuseFile, () => found++),
  })
  if (reader.position !== data.length) throw refuseFile('there is something behind the pickle')
  if (found === 0) throw refuseFile('there are no results of an architecture')
}

function tooLarge(name: string, bytes: number, refuse: Refuse): Error {
  return refuse(`its file ${name} has ${bytes} bytes, more than ${most.packed}`)
}

/** Reads a folder of such files. */
export function importTssFolder(path: string, refuse: Refuse, onProgress: OnProgress): TableBuilder {
  const names = reportRead(path, () => readdirSync(path)).filter((name) => namePattern.test(name))
  if (names.length === 0) throw refuse('it is a folder without files such as 000000.pickle.pbz2')
  const builder = new TableBuilder(refuse)
  const sizes = names.map((name) => reportRead(join(path, name), () => statSync(join(path, name)).size))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  let done = 0
  for (const [at, name] of names.sort().entries()) {
    if (sizes[at] > most.packed) throw tooLarge(name, sizes[at], refuse)
    const packed = reportRead(join(path, name), () => readFileSync(join(path, name)))
    addFile(builder, name, packed, refuse)
    done += packed.length
    onProgress({ done, total, architectures: builder.rows })
  }
  return builder
}

/** Reads a tar archive of such files, in any folder of it. */
export async function importTssArchive(
  path: string,
  refuse: Refuse,
  onProgress: OnProgress,
): Promise<TableBuilder> {
  const builder = new TableBuilder(refuse)
  const total = reportRead(path, () => statSync(path).size)
  const file = createReadStream(path, { highWaterMark: 2 ** 18 })
  const stop = (error: unknown) => parser.abort(error instanceof Error ? error : new Error(String(error)))
  const onReadEntry = (entry: ReadEntry): void => {
    const name = basename(entry.path)
    const parts: Uint8Array[] = []
    if (entry.type !== 'File' || !namePattern.test(name)) entry.resume()
    else if (entry.size > most.packed) stop(tooLarge(name, entry.size, refuse))
    else
      entry
        .on('data', (part) => parts.push(part))
        .on('end', () => {
          try {
            addFile(builder, name, Buffer.concat(parts), refuse)
            onProgress({ done: file.bytesRead, total, architectures: builder.rows })
          } catch (error) {
            stop(error)
          }
        })
  }
  const parser: Parser = new Parser({ strict: true, onReadEntry })
  await pipeline(file, parser).catch((error: unknown) => {
    if (error instanceof DdsasError || (errnoCode(error) !== undefined && !isTarError(error))) throw error
    throw refuse(`it is not a sound archive (${error instanceof Error ? error.message : error})`)
  })
  return builder
}

/** Errors of the archive's own have codes such as TAR_BAD_ARCHIVE. */
function isTarError(error: unknown): boolean {
  return errnoCode(error)?.startsWith('TAR_') ?? false
}
