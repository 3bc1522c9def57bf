/** Makes a table of what a benchmark's authors, or others, published; what kind of file that is, its content says. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { checkGiven, checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import type { Refuse } from '../formats/byte-reader.ts'
import { isTfRecord } from '../formats/tfrecord-reader.ts'
import { reportRead } from '../runs/files.ts'
import { importCsv } from './import-csv.ts'
import type { OnProgress } from './import-progress.ts'
import { importPth } from './import-pth.ts'
import { importTfRecord } from './import-tfrecord.ts'
import { importTssArchive, importTssFolder } from './import-tss.ts'
import { nasbench101 } from './nasbench101.ts'
import { nasbench201 } from './nasbench201.ts'
import type { TableContent, TableSource } from './table.ts'
import type { TableBuilder } from './table-builder.ts'

export interface ImportOptions {
  readonly onProgress?: OnProgress
}

const optionsSchema = z.object({
  onProgress: z.custom((value) => typeof value === 'function', { error: 'expected a function' }).optional(),
})

type Kind = 'csv' | 'nats-bench folder' | 'nats-bench archive' | 'pth' | 'tfrecord'

const known =
  'a CSV file, a folder or tar archive of NATS-Bench (tss, simple), or the .pth file of NAS-Bench-201'

const tfrecords = 'nasbench_full.tfrecord or nasbench_only108.tfrecord'

/** What `importTable` reads. */
export const importable = `${known}, or a .tfrecord file of NAS-Bench-101`

/**
 * The content of a table, from a CSV file, from NATS-Bench's `tss` files in a folder or a tar archive, or from the `.pth` file
 * of NAS-Bench-201. No code of a file is run; memory stays below 1 GB for a file of any size.
 * @throws {DdsasError} `input` where there is no such file; `data` for one of another kind, one that is damaged, or one that
 * uses a name that is not allowed.
 */
export async function importNasbench201(source: string, options: ImportOptions = {}): Promise<TableContent> {
  const onProgress = checkImport(source, options, 'importNasbench201')
  const refuse = refusalOf(source, nasbench201.benchmark, known)
  const kind = kindOf(source, refuse, known)
  if (kind === 'tfrecord')
    throw refuse(`it is a TFRecord file, as ${nasbench101.benchmark}'s (importNasbench101 reads those)`)
  const builder = await builders[kind](source, refuse, onProgress)
  return builder.finish(sourceOf(source, kind))
}

/**
 * The content of a table from NAS-Bench-101's `nasbench_full.tfrecord` or `nasbench_only108.tfrecord`, which is read part by part.
 * A cell's accuracies are means over its trainings of a kind.
 * @throws {DdsasError} `input` where there is no such file; `data` for one of another kind, one that is damaged, and records that
 * cannot be: of a graph that is not connected, or of another hash than its own.
 */
export async function importNasbench101(source: string, options: ImportOptions = {}): Promise<TableContent> {
  const onProgress = checkImport(source, options, 'importNasbench101')
  const refuse = refusalOf(source, nasbench101.benchmark, tfrecords)
  const kind = kindOf(source, refuse, tfrecords)
  if (kind !== 'tfrecord') throw refuse('it is no TFRecord file')
  return importTfRecord(source, refuse, onProgress, sourceOf(source, kind))
}

/** The content of a table of whichever benchmark a source is of; throws as both importers do. */
export async function importTable(source: string, options: ImportOptions = {}): Promise<TableContent> {
  checkImport(source, options, 'importTable')
  const refuse = refusalOf(source, `${nasbench201.benchmark} or ${nasbench101.benchmark}`, importable)
  return kindOf(source, refuse, importable) === 'tfrecord'
    ? importNasbench101(source, options)
    : importNasbench201(source, options)
}

/** The error for a source that holds no results of a benchmark; `give`: what does. */
function refusalOf(source: string, benchmark: string, give: string): Refuse {
  return (what) =>
    new DdsasError('data', `${source} cannot be read as results of ${benchmark}: ${what}; give ${give}`)
}

/** Whom to tell of progress, of arguments that are checked. */
function checkImport(source: string, options: ImportOptions, what: string): OnProgress {
  checkText(source, what, 'source')
  checkGiven(optionsSchema, options, what, 'options')
  return options.onProgress ?? (() => {})
}

function sourceOf(path: string, kind: string): TableSource {
  return { kind, name: basename(resolve(path)), bytes: bytesOf(path) }
}

type Importer = (path: string, refuse: Refuse, onProgress: OnProgress) => TableBuilder | Promise<TableBuilder>

const builders: Readonly<Record<Exclude<Kind, 'tfrecord'>, Importer>> = {
  csv: importCsv,
  'nats-bench folder': importTssFolder,
  'nats-bench archive': importTssArchive,
  pth: importPth,
}

/** Where the format's name stands in the first header of a tar archive. */
const tarName = { start: 257, text: 'ustar' } as const

/** What the content of a file says it is; `wanted`: what else to give. */
function kindOf(path: string, refuse: Refuse, wanted: string): Kind {
  const status = reportRead(path, () => statSync(path, { throwIfNoEntry: false }))
  if (status === undefined) throw new DdsasError('input', `${path} does not exist; give ${wanted}`)
  if (status.isDirectory()) return 'nats-bench folder'
  if (!status.isFile()) throw new DdsasError('input', `${path} is no file; give ${wanted}`)
  const head = headOf(path)
  if (head.toString('latin1', 0, 4) === 'PK\x03\x04' || head[0] === 0x80) return 'pth'
  if (head.toString('latin1', tarName.start, tarName.start + tarName.text.length) === tarName.text)
    return 'nats-bench archive'
  if (isTfRecord(head)) return 'tfrecord'
  if (/^\uFEFF?index,/.test(head.toString())) return 'csv'
  throw refuse('its first bytes are those of no such file')
}

function headOf(path: string): Buffer {
  return reportRead(path, () => {
    const file = openSync(path, 'r')
    try {
      const head = Buffer.alloc(512)
      return head.subarray(0, readSync(file, head, 0, head.length, 0))
    } finally {
      closeSync(file)
    }
  })
}

function bytesOf(path: string): number {
  return reportRead(path, () => {
    const status = statSync(path)
    if (!status.isDirectory()) return status.size
    return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
  })
}
