/** The commands `ddsas data fetch` and `ddsas data info`; `check` and `stats` are in data-folder.ts. */
import { SingleBar } from 'cli-progress'
import { Command } from 'commander'
import { type CifarInfo, cifarInfo, type SplitInfo } from '../data/cifar-info.ts'
import { parseCifarName } from '../data/cifar-layout.ts'
import { type FetchProgress, type FetchResult, type FetchStage, fetchDataset } from '../data/fetch.ts'
import { type FolderInfo, folderInfo } from '../data/folder-info.ts'
import { checkCommand, guessDataset, statsCommand } from './data-folder.ts'
import { suggestedArgument } from './suggestions.ts'

const defaultDirectory = 'data'

/** Builds `ddsas data`; errors propagate as DdsasError to the caller of `parseAsync`. */
export function dataCommand(): Command {
  const data = new Command('data').description('fetch data sets and see what a data folder holds')
  data
    .command('fetch')
    .description('fetch a data set, check its sums and write its standard binary files')
    .addArgument(suggestedArgument('<dataset>', 'cifar10 or cifar100', ['cifar10', 'cifar100']))
    .option('--data <dir>', 'data folder', defaultDirectory)
    .option('--url <url>', 'another address of the CIFAR-100 archive')
    .option('--md5 <sum>', 'MD5 sum of the CIFAR-100 archive')
    .option('--json', 'print the result as JSON')
    .action(fetchAction)
  data
    .command('info')
    .description('count images and classes and print fingerprints')
    .argument('[dir]', 'data folder', defaultDirectory)
    .option('--dataset <name>', 'folder, cifar10 or cifar100 (default: folder where DIR/train is one)')
    .option('--json', 'print the result as JSON')
    .action(infoAction)
  data.addCommand(checkCommand())
  data.addCommand(statsCommand())
  return data
}

interface FetchFlags {
  readonly data: string
  readonly url?: string
  readonly md5?: string
  readonly json?: boolean
}

async function fetchAction(dataset: string, { data, url, md5, json }: FetchFlags): Promise<void> {
  const result = await fetchWithProgress(dataset, data, { url, md5 })
  console.log(json ? JSON.stringify(result) : fetchText(result))
}

/** Fetches what is not there with the right sums; shows progress, and what was replaced, on the error output. */
export async function fetchWithProgress(
  dataset: string,
  directory: string,
  from: { readonly url?: string; readonly md5?: string } = {},
): Promise<FetchResult> {
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  // Once: the first Ctrl-C cleans up, a second one ends the process.
  process.once('SIGINT', interrupt)
  const { onProgress, stop: stopShowing } = process.stderr.isTTY ? progressBar() : progressLines()
  try {
    const result = await fetchDataset(dataset, directory, { ...from, onProgress, signal: stop.signal })
    stopShowing()
    if (result.replaced.length > 0)
      console.error(`ddsas: replaced in ${result.folder}, as damaged: ${result.replaced.join(', ')}`)
    return result
  } finally {
    stopShowing()
    process.off('SIGINT', interrupt)
  }
}

function fetchText({ dataset, folder, fetched }: FetchResult): string {
  return fetched ? `${dataset} is ready in ${folder}` : `${dataset} is already in ${folder}, checksums agree`
}

interface InfoFlags {
  readonly dataset?: string
  readonly json?: boolean
}

function infoAction(directory: string, { dataset = guessDataset(directory), json }: InfoFlags): void {
  const info = dataset === 'folder' ? folderInfo(directory) : cifarInfo(directory, parseCifarName(dataset))
  console.log(json ? JSON.stringify(info) : infoText(info))
}

function infoText(info: CifarInfo | FolderInfo): string {
  const { dataset, directory, classes, train } = info
  const others: Readonly<Record<string, SplitInfo | undefined>> =
    info.dataset === 'folder' ? { val: info.val } : { test: info.test }
  const splits = Object.entries({ train, ...others }).flatMap(([name, split]) =>
    split ? [{ name, ...split }] : [],
  )
  const width = Math.max(...classes.map((name) => name.length), 'class'.length)
  const row = (first: string, cells: readonly unknown[]) =>
    [first.padEnd(width), ...cells.map((cell) => String(cell).padStart(8))].join(' ')
  return [
    `${dataset} in ${directory}: ${classes.length} classes`,
    row(
      'class',
      splits.map(({ name }) => name),
    ),
    ...classes.map((name, label) =>
      row(
        name,
        splits.map(({ perClass }) => perClass[label]),
      ),
    ),
    row(
      'all',
      splits.map(({ count }) => count),
    ),
    ...splits.map(({ name, fingerprint }) => `${name.padEnd(5)} sha256 ${fingerprint}`),
  ].join('\n')
}

const stageTexts: Readonly<Record<FetchStage, string>> = {
  check: 'checking what is there',
  download: 'downloading',
  extract: 'extracting',
  convert: 'converting',
  verify: 'verifying',
  ready: 'ready',
}

interface ProgressView {
  readonly onProgress: (progress: FetchProgress) => void
  readonly stop: () => void
}

function progressBar(): ProgressView {
  const bar = new SingleBar({ format: '{text} [{bar}] {percentage}%', hideCursor: true, gracefulExit: false })
  return {
    onProgress: ({ stage, done, total }) => {
      const text = stageTexts[stage].padEnd(stageTexts.check.length)
      // The library divides by the total, which may not be known.
      if (bar.isActive) {
        bar.setTotal(Math.max(total, 1))
        bar.update(Math.min(done, total), { text })
      } else {
        bar.start(Math.max(total, 1), done, { text })
      }
    },
    stop: () => bar.stop(),
  }
}

/** One line a stage, on the error output so that `--json` leaves only JSON on the other. */
function progressLines(): ProgressView {
  let last: FetchStage | undefined
  const onProgress = ({ stage }: FetchProgress) => {
    if (stage !== last) console.error(stageTexts[stage])
    last = stage
  }
  return { onProgress, stop: () => {} }
}
