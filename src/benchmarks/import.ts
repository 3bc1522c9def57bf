/** Makes a table of what a benchmark's authors, or others, published; what kind of file that is, its content says. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { checkGiven, checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import type { Refuse } from '../formats/byte-reader.ts'
import { reportRead } from '../runs/files.ts'
import { importCsv } from './import-csv.ts'
import type { OnProgress } from './import-progress.ts'
import { importPth } from './import-pth.ts'
import { importTssArchive, importTssFolder } from './import-tss.ts'
import { nasbench201 } from './nasbench201.ts'
import type { TableContent } from './table.ts'
import type { TableBuilder } from './table-builder.ts'

export interface ImportOptions {
  readonly onProgress?: OnProgress
}

const optionsSchema = z.object({
  onProgress: z.custom((value) => typeof value === 'function', { error: 'expected a function' }).optional(),
})

type Kind = 'csv' | 'nats-bench folder' | 'nats-bench archive' | 'pth'

const known =
  'a CSV file, a folder or tar archive of NATS-Bench (tss, simple), or the .pth file of NAS-Bench-201'

/**
 * The content of a table, from a CSV file, from NATS-Bench's `tss` files in a folder or a tar archive, or from the `.pth` file
 * of NAS-Bench-201. No code of a file is run; memory stays below 1 GB for a file of any size.
 * @throws {DdsasError} `input` where there is no such file; `data` for one of another kind, one that is damaged, or one that
 * uses a name that is not allowed.
 */
export async function importNasbench201(source: string, options: ImportOptions = {}): Promise<TableContent> {
  checkText(source, 'importNasbench201', 'source')
  checkGiven(optionsSchema, options, 'importNasbench201', 'options')
  const { onProgress = () => {} } = options
  const refuse: Refuse = (what) =>
    new DdsasError(
      'data',
      `${source} cannot be read as results of ${nasbench201.benchmark}: ${what}; give ${known}`,
    )
  const kind = kindOf(source, refuse)
  const builder = await builders[kind](source, refuse, onProgress)
  return builder.finish({ kind, name: basename(resolve(source)), bytes: bytesOf(source) })
}

type Importer = (path: string, refuse: Refuse, onProgress: OnProgress) => TableBuilder | Promise<TableBuilder>

const builders: Readonly<Record<Kind, Importer>> = {
  csv: importCsv,
  'nats-bench folder': importTssFolder,
  'nats-bench archive': importTssArchive,
  pth: importPth,
}

/** Where the format's name stands in the first header of a tar archive. */
const tarName = { start: 257, text: 'ustar' } as const

function kindOf(path: string, refuse: Refuse): Kind {
  const status = reportRead(path, () => statSync(path, { throwIfNoEntry: false }))
  if (status === undefined) throw new DdsasError('input', `${path} does not exist; give ${known}`)
  if (status.isDirectory()) return 'nats-bench folder'
  if (!status.isFile()) throw new DdsasError('input', `${path} is no file; give ${known}`)
  const head = headOf(path)
  if (head.toString('latin1', 0, 4) === 'PK\x03\x04' || head[0] === 0x80) return 'pth'
  if (head.toString('latin1', tarName.start, tarName.start + tarName.text.length) === tarName.text)
    return 'nats-bench archive'
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
