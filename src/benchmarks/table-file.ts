/**
 * Tables as files: magic, version, a header as JSON, the columns, numbers and texts of the architectures deflated together, and
 * the SHA-256 of all that. Numbers are little-endian.
 */
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { z } from 'zod'
import { checkGiven, checkText, firstProblem, parseJson } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { makeFolder, reportRead, writeFileAtomic } from '../runs/files.ts'
import { commandLine } from '../words.ts'
import { BenchmarkTable, checkContent, type TableContent } from './table.ts'

const magic = Buffer.from('ddsastab', 'latin1')
const version = 1
const fixedBytes = magic.length + 8
const checksumBytes = 32
/** Far above NAS-Bench-101, the largest benchmark of its kind: 423,624 architectures, some twenty columns. */
const most = { fileBytes: 2 ** 29, contentBytes: 2 ** 29, rows: 2 ** 21, columns: 256 } as const

const headerSchema = z.object({
  benchmark: z.string(),
  space: z.string(),
  architectures: z.int().positive().max(most.rows),
  source: z.object({ kind: z.string(), name: z.string(), bytes: z.number() }),
  rows: z.int().nonnegative().max(most.rows),
  columns: z.array(z.object({ name: z.string(), unit: z.string() })).max(most.columns),
  absent: z.array(z.string()),
  keyBytes: z.int().nonnegative().max(most.contentBytes),
})

type Header = z.infer<typeof headerSchema>

const remedy = `make one with ${commandLine('nasbench import')}`

/** The bytes of a table's file. */
export function encodeTable(content: TableContent): Uint8Array {
  const { benchmark, space, architectures, source, columns, absent, keys, indexes } = content
  const texts = Buffer.from(keys.join('\n'))
  const header: Header = {
    ...{ benchmark, space, architectures, source, absent: [...absent] },
    rows: keys.length,
    columns: columns.map(({ name, unit }) => ({ name, unit })),
    keyBytes: texts.length,
  }
  const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array | Uint32Array) =>
    new Uint8Array(buffer, byteOffset, byteLength)
  const packed = deflateRawSync(
    Buffer.concat([...columns.map(({ values }) => bytesOf(values)), bytesOf(indexes), texts]),
  )
  const text = Buffer.from(JSON.stringify(header))
  const sizes = Buffer.alloc(8)
  sizes.writeUInt32LE(version, 0)
  sizes.writeUInt32LE(text.length, 4)
  const body = Buffer.concat([magic, sizes, text, packed])
  return Buffer.concat([body, createHash('sha256').update(body).digest()])
}

/**
 * Writes a table, beside what is there and then in its place; folders above it are made.
 * @throws {DdsasError} `disk` where it cannot be written.
 */
export function writeTable(path: string, content: TableContent): void {
  checkText(path, 'writeTable', 'path')
  checkContent(content, 'writeTable')
  makeFolder(dirname(resolve(path)))
  writeFileAtomic(path, encodeTable(content))
}

/**
 * Opens a table that `writeTable` wrote.
 * @param space the name of the space it has to be of; any where left out.
 * @throws {DdsasError} `input` where there is no file, or the table is of another space; `data` where it is no table, of
 * another version, truncated or damaged.
 */
export function openTable(path: string, space?: string): BenchmarkTable {
  checkText(path, 'openTable', 'path')
  checkGiven(z.string().optional(), space, 'openTable', 'space')
  const data = reportRead(path, () => {
    const status = statSync(path, { throwIfNoEntry: false })
    if (status === undefined) throw new DdsasError('input', `there is no table ${path}; ${remedy}`)
    if (!status.isFile()) throw new DdsasError('input', `${path} is not a file; name a table`)
    if (status.size > most.fileBytes)
      throw new DdsasError('data', `${path} is no table: it has ${status.size} bytes; ${remedy}`)
    return readFileSync(path)
  })
  const table = new BenchmarkTable(decodeTable(data, path))
  if (space !== undefined && table.space !== space)
    throw new DdsasError(
      'input',
      `${path} is a table of the space '${table.space}', not of '${space}'; name another table`,
    )
  return table
}

/** The content of a table's file, which `source` names in errors. Throws DdsasError 'data' where it is damaged. */
export function decodeTable(data: Uint8Array, source: string): TableContent {
  const refuse = (what: string) => new DdsasError('data', `${source} ${what}; ${remedy}`)
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  if (bytes.length < fixedBytes + checksumBytes || !bytes.subarray(0, magic.length).equals(magic))
    throw refuse('is no table of a benchmark')
  const found = bytes.readUInt32LE(magic.length)
  if (found !== version) throw refuse(`is a table of format ${found}, where format ${version} is read`)
  const body = bytes.subarray(0, -checksumBytes)
  if (!createHash('sha256').update(body).digest().equals(bytes.subarray(-checksumBytes)))
    throw refuse('is truncated or damaged (its checksum differs)')
  const headerEnd = fixedBytes + body.readUInt32LE(magic.length + 4)
  const parsed = headerSchema.safeParse(parseJson(body.toString('utf8', fixedBytes, headerEnd)))
  if (!parsed.success) throw refuse(`has a header that is none (${firstProblem(parsed.error, 'header')})`)
  const { rows, columns, keyBytes, ...about } = parsed.data
  const size = rows * (8 * columns.length + 4) + keyBytes
  const content = unpack(body.subarray(headerEnd), size)
  if (content === undefined) throw refuse(`does not hold the ${size} bytes that its header promises`)
  const { values, indexes, keys } = partsOf(content, rows, columns.length)
  if (keys.length !== rows || new Set(keys).size !== rows)
    throw refuse(`does not name each of its ${rows} architectures once`)
  return {
    ...about,
    columns: columns.map((column, at) => ({ ...column, values: values[at] })),
    keys,
    indexes,
  }
}

function unpack(packed: Uint8Array, size: number): ArrayBuffer | undefined {
  if (size > most.contentBytes) return undefined
  try {
    const content = inflateRawSync(packed, { maxOutputLength: Math.max(1, size) })
    // a copy, so that the columns begin where numbers may
    return content.length === size ? new Uint8Array(content).buffer : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}

function partsOf(content: ArrayBuffer, rows: number, columns: number) {
  const values = Array.from({ length: columns }, (_, at) => new Float64Array(content, 8 * rows * at, rows))
  const at = 8 * rows * columns
  const text = Buffer.from(content, at + 4 * rows).toString()
  return {
    values,
    indexes: new Uint32Array(content, at, rows),
    keys: rows === 0 ? [] : text.split('\n'),
  }
}
