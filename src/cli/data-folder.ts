/** The commands `ddsas data check` and `ddsas data stats`. */
import { SingleBar } from 'cli-progress'
import { Command } from 'commander'
import { hasCifar, readCifar } from '../data/cifar.ts'
import { type CifarName, parseCifarName } from '../data/cifar-layout.ts'
import { hasSplit, readImageFolder } from '../data/folder.ts'
import { checkImageFolder, type FolderCheck } from '../data/folder-check.ts'
import { isPrintable } from '../data/folder-files.ts'
import type { SkippedImage } from '../data/folder-images.ts'
import { datasetStatistics, folderStatistics, type ImageStatistics } from '../data/statistics.ts'
import { exitCodes } from '../errors.ts'

/** Builds `ddsas data check`. */
export function checkCommand(): Command {
  return new Command('check')
    .description(
      'list all that is wrong with an image folder, and every image that cannot be decoded: ' +
        'exit code 2 where training refuses it, 1 where it leaves something out',
    )
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
  if (result.refused) process.exitCode = exitCodes.data
  else if (result.corrupt.length + result.problems.length > 0) process.exitCode = 1
}

function checkText(result: FolderCheck): string {
  const { directory, checked, corrupt, problems, refused } = result
  const sound = `${checked - corrupt.length} of ${checked} images in ${directory} can be decoded`
  return [
    ...problems.map(({ path, reason }) => `${printable(path)}: ${reason}`),
    ...corrupt.map(({ split, file, reason }) => `${printable(`${split}/${file}`)}: ${reason}`),
    ...leftOutLines(result),
    corrupt.length > 0 ? `${sound}, ${corrupt.length} cannot` : sound,
    ...(refused ? [`training refuses ${directory} as it is: mend what is listed first`] : []),
  ].join('\n')
}

/** A name in quotes where it would harm a terminal. */
function printable(path: string): string {
  return isPrintable(path) ? path : JSON.stringify(path)
}

/** What does no harm, and is not used either. */
function leftOutLines({ directory, otherFiles, looseImages, innerFolders, hasVal }: FolderCheck): string[] {
  const kinds = Object.entries(otherFiles).sort(([, a], [, b]) => b - a)
  const others = kinds.reduce((sum, [, count]) => sum + count, 0)
  const some = (count: number, one: string, many: string) =>
    count > 0 ? [`left out: ${count} ${count === 1 ? one : many}`] : []
  const list = kinds.map(([kind, count]) => `${count} ${kind}`).join(', ')
  return [
    ...some(others, `file of another kind (${list})`, `files of other kinds (${list})`),
    ...some(looseImages, 'image in no class folder', 'images in no class folder'),
    ...some(innerFolders, 'folder in a class folder', 'folders in class folders'),
    ...(hasVal ? [] : [`there is no ${directory}/val yet, which a training tests on`]),
  ]
}

/** What kind of data set a folder holds, where it is not said. */
export function guessDataset(directory: string): 'folder' | CifarName {
  if (hasSplit(directory, 'train')) return 'folder'
  return hasCifar(directory, 'cifar100') ? 'cifar100' : 'cifar10'
}

interface StatsFlags {
  readonly dataset?: string
  readonly json?: boolean
}

async function statsAction(directory: string, { dataset, json }: StatsFlags): Promise<void> {
  const name = dataset ?? guessDataset(directory)
  const found = await statistics(directory, name)
  const result = { dataset: name, directory, ...found, settings: settingsFor(found) }
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

/** What to set so that images are normalised by their own statistics; nothing where a channel is the same everywhere. */
function settingsFor({ mean, std }: ImageStatistics): string[] {
  const list = (values: readonly number[]) => `[${values.map((value) => value.toFixed(5)).join(',')}]`
  return Math.min(...std) < 1e-5 ? [] : [`data.mean=${list(mean)}`, `data.std=${list(std)}`]
}

interface StatsShown extends ImageStatistics {
  readonly directory: string
  readonly settings: readonly string[]
}

function statsText({ directory, mean, std, images, pixels, settings }: StatsShown): string {
  const row = (values: readonly number[]) => values.map((value) => value.toFixed(8)).join(' ')
  return [
    `training images in ${directory}: ${images} images, ${pixels} pixels, scaled to 0..1, channels R G B`,
    `mean ${row(mean)}`,
    `std  ${row(std)}`,
    // in quotes, as shells have a use for brackets
    ...(settings.length > 0 ? [`to use them: ${settings.map((one) => `--set '${one}'`).join(' ')}`] : []),
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
