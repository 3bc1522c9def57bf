/** Tables from NATS-Bench's topology space as it is published "simple": for each architecture a pickle packed by bzip2. */
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Parser, type ReadEntry } from 'tar'
import { DdsasError } from '../errors.ts'
import type { Refuse } from '../formats/byte-reader.ts'
import { errnoCode, reportRead } from '../runs/files.ts'
import type { OnProgress } from './import-progress.ts'
import { TableBuilder } from './table-builder.ts'
import { TssReader } from './tss-reader.ts'

/** 000011.pickle.pbz2. The file of names beside them, meta.pickle.pbz2, says nothing that they do not. */
const namePattern = /^\d{6}\.pickle\.pbz2$/
/** An architecture's file has 85 kB. */
const maxBytes = 4 * 2 ** 20

function tooLarge(name: string, bytes: number, refuse: Refuse): Error {
  return refuse(`its file ${name} has ${bytes} bytes, more than ${maxBytes}`)
}

/** Reads a folder of such files. */
export async function importTssFolder(
  path: string,
  refuse: Refuse,
  onProgress: OnProgress,
): Promise<TableBuilder> {
  const names = reportRead(path, () => readdirSync(path)).filter((name) => namePattern.test(name))
  if (names.length === 0) throw refuse('it is a folder without files such as 000000.pickle.pbz2')
  const sizes = names.map((name) => reportRead(join(path, name), () => statSync(join(path, name)).size))
  const total = sizes.reduce((sum, size) => sum + size, 0)
  let done = 0
  return withReader(total, refuse, async (reader, builder) => {
    for (const [at, name] of names.entries()) {
      if (sizes[at] > maxBytes) throw tooLarge(name, sizes[at], refuse)
      await reader.ready()
      reader.read(
        name,
        reportRead(join(path, name), () => readFileSync(join(path, name))),
      )
      done += sizes[at]
      onProgress({ done, total, architectures: builder.rows })
    }
  })
}

/** Reads a tar archive of such files, in any folder of it. */
export async function importTssArchive(
  path: string,
  refuse: Refuse,
  onProgress: OnProgress,
): Promise<TableBuilder> {
  const total = reportRead(path, () => statSync(path).size)
  return withReader(total, refuse, async (reader, builder) => {
    let done = 0
    // no more of the archive is read than the threads have time for
    const paced = new Transform({
      transform: (part: Uint8Array, _encoding, next) => {
        done += part.length
        onProgress({ done, total, architectures: builder.rows })
        reader.ready().then(() => next(null, part), next)
      },
    })
    await pipeline(createReadStream(path), paced, archiveParser(reader, refuse)).catch((error: unknown) => {
      if (error instanceof DdsasError || (errnoCode(error) !== undefined && !isTarError(error))) throw error
      throw refuse(`it is not a sound archive (${error instanceof Error ? error.message : error})`)
    })
  })
}

/** Hands the files of an archive to `reader`. */
function archiveParser(reader: TssReader, refuse: Refuse): Parser {
  const onReadEntry = (entry: ReadEntry): void => {
    const name = basename(entry.path)
    const parts: Uint8Array[] = []
    if (entry.type !== 'File' || !namePattern.test(name)) entry.resume()
    else if (entry.size > maxBytes) parser.abort(tooLarge(name, entry.size, refuse))
    else entry.on('data', (part) => parts.push(part)).on('end', () => reader.read(name, Buffer.concat(parts)))
  }
  const parser: Parser = new Parser({ strict: true, onReadEntry })
  return parser
}

/** Runs `body` with a reader whose finds go to the builder that is returned. */
async function withReader(
  bytes: number,
  refuse: Refuse,
  body: (reader: TssReader, builder: TableBuilder) => Promise<void>,
): Promise<TableBuilder> {
  const builder = new TableBuilder(refuse)
  const reader = new TssReader(bytes, builder, refuse)
  try {
    await body(reader, builder)
    await reader.finish()
  } finally {
    reader.close()
  }
  return builder
}

/** Errors of the archive's own have codes such as TAR_BAD_ARCHIVE. */
function isTarError(error: unknown): boolean {
  return errnoCode(error)?.startsWith('TAR_') ?? false
}
