/** Fetches CIFAR-100 from its official archive, or from a mirror of it, checked by MD5. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { extractMembers } from './archive.ts'
import { readCifar } from './cifar.ts'
import { cifarFolder } from './cifar-files.ts'
import { cifarLayouts } from './cifar-layout.ts'
import { download } from './download.ts'
import { inTemporaryFolder, md5OfFile, placeFiles, requireFreeSpace } from './fetch-folder.ts'
import type { FetchOptions, FetchResult } from './fetch-progress.ts'
import { planRepair } from './fetch-repair.ts'

export interface Cifar100Options extends FetchOptions {
  /** Where the archive is; https, or http on localhost. */
  readonly url?: string | undefined
  /** MD5 sum (hex) of the archive. */
  readonly md5?: string | undefined
  /** Milliseconds without a byte after which the download is given up. */
  readonly stallMs?: number | undefined
}

const officialUrl = 'https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz'
const officialMd5 = '03b5dce01913d631647c71ecec9e9cb8'
const layout = cifarLayouts.cifar100
const files = ['train.bin', 'test.bin', 'fine_label_names.txt', 'coarse_label_names.txt']
const archiveName = 'archive.tar.gz'
const maxBytes = 2 ** 30
/** Archive 161 MiB, its members 176 MiB, and some room. */
const neededBytes = 400 * 2 ** 20

/** Written beside the data: of which archive the files are, and their MD5 sums as extracted. */
const sourceFile = 'source.json'
const sourceSchema = z.object({ archiveMd5: z.string(), files: z.record(z.string(), z.string()) })

/** Members and their largest sizes in bytes. */
const members = new Map(
  files.map((file) => [`${layout.folder}/${file}`, file.endsWith('.bin') ? maxBytes : 2 ** 16] as const),
)

/**
 * Writes `train.bin`, `test.bin` and the two lists of names where those of `directory` are: in the folder itself or in
 * `cifar-100-binary`. The archive is checked by its MD5 sum before it is opened, and its records and labels before they
 * are put in place. Files that are as in that archive are left alone; nothing is fetched where all are known to be.
 * @throws DdsasError kind `input` (a URL or sum that cannot be used), `network` (HTTP status, stalled, no connection),
 * `data` (a checksum that differs, an unsound archive, images of one's own in that place), `disk`, `interrupted`
 */
export async function fetchCifar100(directory: string, options: Cifar100Options = {}): Promise<FetchResult> {
  const { onProgress } = options
  const md5 = checkedMd5(options.md5 ?? officialMd5)
  const folder = cifarFolder(directory, layout)
  onProgress?.({ stage: 'check', done: 0, total: files.length })
  const known = await knownSums(folder, md5)
  const repair = known && (await planRepair('cifar100', folder, known))
  const fetched = repair === undefined || repair.missing.length + repair.damaged.length > 0
  const replaced = fetched ? await fetchInto(folder, directory, md5, options) : []
  onProgress?.({ stage: 'ready', done: files.length, total: files.length })
  return { dataset: 'cifar100', folder, files, fetched, replaced }
}

/** Returns the files that were there and damaged. */
function fetchInto(
  folder: string,
  directory: string,
  md5: string,
  options: Cifar100Options,
): Promise<readonly string[]> {
  const { onProgress, signal } = options
  return inTemporaryFolder(directory, signal, async (temporary) => {
    await requireFreeSpace(directory, neededBytes)
    await fetchArchive(join(temporary, archiveName), md5, options)
    onProgress?.({ stage: 'extract', done: 0, total: files.length })
    await extractMembers(join(temporary, archiveName), temporary, members, signal)
    onProgress?.({ stage: 'verify', done: 0, total: files.length })
    readCifar(temporary, 'cifar100', 'train')
    readCifar(temporary, 'cifar100', 'test')
    const sums = await sumsOf(temporary)
    // what is there may be of another archive, or nobody noted of which
    const { missing, damaged } = await planRepair('cifar100', folder, sums)
    const source = { archiveMd5: md5, files: Object.fromEntries(sums) }
    await writeFile(join(temporary, sourceFile), `${JSON.stringify(source, null, 2)}\n`)
    await placeFiles(temporary, folder, [...missing, ...damaged, sourceFile])
    return damaged
  })
}

function checkedMd5(md5: string): string {
  if (/^[0-9a-f]{32}$/i.test(md5)) return md5.toLowerCase()
  throw new DdsasError('input', `${JSON.stringify(md5)} is not an MD5 sum: give 32 hexadecimal digits`)
}

/** The sums of the archive's files as noted when they were extracted; undefined where that was not noted. */
async function knownSums(folder: string, archiveMd5: string): Promise<Map<string, string> | undefined> {
  const text = await readFile(join(folder, sourceFile), 'utf8').catch(() => 'null')
  const source = sourceSchema.safeParse(parseJson(text))
  if (!source.success || source.data.archiveMd5 !== archiveMd5) return undefined
  return new Map(files.map((file) => [file, source.data.files[file] ?? '']))
}

async function fetchArchive(path: string, md5: string, options: Cifar100Options): Promise<void> {
  const { url = officialUrl, stallMs = 60_000, signal, onProgress } = options
  const onBytes = (done: number, total: number) => onProgress?.({ stage: 'download', done, total })
  onBytes(0, 0)
  const sum = await download(url, path, { maxBytes, stallMs, signal, onBytes })
  if (sum !== md5)
    throw new DdsasError('data', `${url} has MD5 ${sum}, not ${md5}: fetch it again or give its --md5`)
}

async function sumsOf(folder: string): Promise<Map<string, string>> {
  const sums = new Map<string, string>()
  for (const file of files) sums.set(file, (await md5OfFile(join(folder, file))) ?? '')
  return sums
}
