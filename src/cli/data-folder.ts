/** The commands `ddsas data check` and `ddsas data stats`. */
import { SingleBar } from 'cli-progress'
import { Command } from 'commander'
import { readCifar } from '../data/cifar.ts'
import { parseCifarName } from '../data/cifar-layout.ts'
import { hasSplit, readImageFolder } from '../data/folder.ts'
import { checkImageFolder, type FolderCheck } from '../data/folder-check.ts'
import type { SkippedImage } from '../data/folder-images.ts'
import { datasetStatistics, folderStatistics, type ImageStatistics } from '../data/statistics.ts'

/** Builds `ddsas data check`. */
export function checkCommand(): Command {
  return new Command('check')
    .description('decode every image of a folder and list those that cannot be')
    .argument('<dir>', 'image folder with train/CLASS/*.jpg and val/CLASS/*.jpg')
    .option('--json', 'print the result as JSON')
    .action(checkAction)
}

/** Builds `ddsas data stats`. */
export function statsCommand(): Command {
  return new Command('stats')
    .description('mean and standard deviation of each channel of the training images')
    .argument('<dir>', 'data folder')
    .option('--dataset <name>', 'folder, cifar10 or cifar100 (default: folder where DIR/train is one)')
    .option('--json', 'print the result as JSON')
    .action(statsAction)
}

async function checkAction(directory: string, { json }: { json?: boolean }): Promise<void> {
  const result = await withProgress('checking', (onProgress) => checkImageFolder(directory, { onProgress }))
  console.log(json ? JSON.stringify(result) : checkText(result))
  if (result.corrupt.length > 0) process.exitCode = 1
}

function checkText({ directory, checked, corrupt }: FolderCheck): string {
  const found = corrupt.map(({ split, file, reason }) => `${split}/${file}: ${reason}`)
  const sound = `${checked - corrupt.length} of ${checked} images in ${directory} can be decoded`
  return [...found, corrupt.length > 0 ? `${sound}, ${corrupt.length} cannot` : sound].join('\n')
}

/** What kind of data set a folder holds, where it is not said. */
export function guessDataset(directory: string): 'folder' | 'cifar10' {
  return hasSplit(directory, 'train') ? 'folder' : 'cifar10'
}

interface StatsFlags {
  readonly dataset?: string
  readonly json?: boolean
}

async function statsAction(directory: string, { dataset, json }: StatsFlags): Promise<void> {
  const name = dataset ?? guessDataset(directory)
  const result = { dataset: name, directory, ...(await statistics(directory, name)) }
  for (const { file, reason } of result.skipped ?? []) console.error(`left out ${file}: ${reason}`)
  console.log(json ? JSON.stringify(result) : statsText(result))
}

async function statistics(directory: string, name: string): Promise<Statistics> {
  if (name !== 'folder') return datasetStatistics(readCifar(directory, parseCifarName(name), 'train'))
  const folder = readImageFolder(directory, 'train')
  return withProgress('reading', (onProgress) => folderStatistics(folder, { onProgress }))
}

/** What was left out is known of folders only: CIFAR files are sound as a whole or refused. */
type Statistics = ImageStatistics & { readonly skipped?: readonly SkippedImage[] }

function statsText({
  directory,
  mean,
  std,
  images,
  pixels,
}: ImageStatistics & { directory: string }): string {
  const row = (values: readonly number[]) => values.map((value) => value.toFixed(8)).join(' ')
  return [
    `training images in ${directory}: ${images} images, ${pixels} pixels, scaled to 0..1, channels R G B`,
    `mean ${row(mean)}`,
    `std  ${row(std)}`,
  ].join('\n')
}

/** Shows a bar on the error output where that is a terminal; the other output stays clean for `--json`. */
async function withProgress<Result>(
  text: string,
  work: (onProgress: (done: number, total: number) => void) => Promise<Result>,
): Promise<Result> {
  if (!process.stderr.isTTY) return work(() => {})
  const format = `${text} [{bar}] {value} of {total}, {eta_formatted} left`
  const bar = new SingleBar({ format, hideCursor: true, gracefulExit: false })
  try {
    return await work((done, total) => {
      if (!bar.isActive) bar.start(total, 0)
      bar.update(done)
    })
  } finally {
    bar.stop()
  }
}
