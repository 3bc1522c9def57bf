/** The record files of a CIFAR data set: where they are, how many images they hold, how they differ from the published ones. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkText } from '../checks.ts'
import { DdsasError, quoted } from '../errors.ts'
import { commandLine } from '../words.ts'
import {
  type CifarLayout,
  type CifarName,
  cifarLayouts,
  imageBytes,
  parseCifarName,
  type Split,
} from './cifar-layout.ts'
import { fileInfo } from './file-info.ts'

export interface RecordFile {
  readonly name: string
  readonly path: string
  /** How many images it holds. */
  readonly count: number
}

const maxFileBytes = 2 ** 30

/** Whether all files of a data set are in `directory` or its usual subfolder; what they hold is not looked at. */
export function hasCifar(directory: string, name: CifarName): boolean {
  const layout = cifarLayouts[parseCifarName(name)]
  const folder = cifarFolder(directory, layout)
  return [...layout.train, ...layout.test].every((file) => existsSync(join(folder, file)))
}

/** The folder of the files: `directory` where one of them lies there, else its usual subfolder. */
export function cifarFolder(directory: string, layout: CifarLayout): string {
  checkText(directory, 'data set', 'directory')
  const direct = [...layout.train, ...layout.test].some((file) => existsSync(join(directory, file)))
  return direct ? directory : join(directory, layout.folder)
}

/** Bytes of one image with its labels. */
export function recordBytes({ labelBytes }: CifarLayout): number {
  return labelBytes + imageBytes
}

/**
 * The files of a split; their sizes are checked before anything is allocated for them.
 * @throws DdsasError kind `data`: a file that is missing, empty, over 1 GiB, or no whole number of records
 */
export function recordFiles(directory: string, dataset: CifarName, split: Split): RecordFile[] {
  const layout = cifarLayouts[parseCifarName(dataset)]
  const folder = cifarFolder(directory, layout)
  const command = `\`${commandLine(`data fetch ${dataset} --data ${quoted(directory)}`)}\``
  if (fileInfo(directory) === undefined)
    throw new DdsasError(
      'data',
      `there is no folder ${directory}: name the one with ${dataset}, or make it with ${command}`,
    )
  const remedy = `get it again with ${command}`
  return layout[split].map((name) => inspect(name, join(folder, name), recordBytes(layout), remedy))
}

function inspect(name: string, path: string, record: number, remedy: string): RecordFile {
  const refuse = (problem: string) => new DdsasError('data', `${path} ${problem}: ${remedy}`)
  const info = fileInfo(path)
  if (info === undefined) throw refuse('is missing')
  if (!info.isFile()) throw refuse('is not a file')
  if (info.size === 0) throw refuse('is empty')
  if (info.size > maxFileBytes) throw refuse(`has ${info.size} bytes, over the limit of 1 GiB`)
  if (info.size % record !== 0)
    throw refuse(
      `has ${info.size} bytes, not a whole number of ${record}-byte records (truncated or another format)`,
    )
  return { name, path, count: info.size / record }
}

/** As much as one reads of it. */
const mostNamed = 2

/**
 * How the files of a split differ from the published ones, in words: "data_batch_3.bin holds 1 of 10000 images", or, where
 * the sizes agree and a fingerprint is given, that the content is another; undefined where they are the published ones.
 */
export function cifarDifference(
  dataset: CifarName,
  split: Split,
  files: readonly RecordFile[],
  fingerprint?: string,
): string | undefined {
  const { imagesPerFile, fingerprints } = cifarLayouts[dataset]
  const wanted = imagesPerFile[split]
  const different = files.filter(({ count }) => count !== wanted)
  if (different.length > 0) {
    const named = different
      .slice(0, mostNamed)
      .map(({ name, count }) => `${name} holds ${count}${count > wanted ? ', not' : ' of'} ${wanted} images`)
    const more = different.length > mostNamed ? [`${different.length - mostNamed} more files differ`] : []
    return [...named, ...more].join(', ')
  }
  const known = fingerprints?.[split]
  if (known === undefined || fingerprint === undefined || fingerprint === known) return undefined
  return `${files.map(({ name }) => name).join(', ')} hold other bytes than the published files`
}
