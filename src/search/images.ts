/** The images of a search, wherever they are from: found and counted first, then opened as batches of both halves. */
import { createHash } from 'node:crypto'
import { availableMemory } from '../budget/memory-available.ts'
import { badLinksOf } from '../data/folder.ts'
import { type OnSkippedFile, tellOnce } from '../data/folder-images.ts'
import { folderEvaluation, folderTraining } from '../data/folder-transform.ts'
import {
  BatchStream,
  type CifarName,
  FolderStream,
  forEachFolderBatch,
  forEachPlainBatch,
  type ImageDataset,
  type ImageFolder,
  type ImageTensors,
  imagenetEvaluation,
  type Normalisation,
  readImageFolder,
} from '../data/index.ts'
import { type KeptImages, keepFolder } from '../data/kept-folder.ts'
import type { ImageBatch, ImageSource, Share } from '../data/source.ts'
import { differencesOf, labelTensor, readCifarImages, toTensors } from '../data/training-images.ts'
import { DdsasError } from '../errors.ts'
import type { StopSignal } from '../loop/request.ts'
import { Generator, keep, onDevice, tidy } from '../torch/index.ts'
import type { SearchConfig } from './config.ts'
import { datasetBytes, type ImagesShape, shapeOfDataset } from './images-shape.ts'
import { checkCounts, type Split, splitByClass, splitTrainVal } from './split.ts'

/** Who is told of a folder's images while they are decoded, and who stops that. */
export interface ImagesObserver {
  readonly onSkip?: OnSkippedFile | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  readonly signal?: StopSignal | undefined
  /** Where several processes search, which part of each batch this one gets. */
  readonly share?: Share | undefined
}

/** Images that were counted; none was decoded. */
export interface FoundImages {
  readonly shape: ImagesShape
  open(observer?: ImagesObserver): Promise<SearchImages>
}

/** The halves of a search. */
export type HalfStreams = Readonly<Record<keyof Split, ImageSource>>

export interface SearchImages {
  readonly classes: readonly string[]
  /** How many there are in each half. */
  readonly counts: Readonly<Record<keyof Split, number>>
  /** Changes with the images. */
  readonly fingerprint: string
  readonly normalisation: Normalisation
  /** Where decoded images are kept, or that files are streamed: "in memory". */
  readonly where: string
  /** What of the files is not as one would expect, one line each. */
  readonly warnings: readonly string[]
  /** Files of a folder that were drawn for each half, `CLASS/name.jpg`. */
  readonly drawn?: Readonly<Record<keyof Split, readonly string[]>>
  /** Normalised, augmented batches, without end. */
  readonly streams: HalfStreams
  /**
   * Gives the images that accuracy is measured on, or their first `images`, to `use`: in order and without chance; tensors live
   * in the scope of `use`.
   */
  evaluate(use: (batch: ImageBatch) => void, images?: number): Promise<unknown>
  dispose(): void
}

/**
 * Finds and counts the images of a search; `device`: where it will compute. Throws DdsasError 'data' or 'input' where they
 * cannot be used.
 */
export function findImages(config: SearchConfig, directory: string, device: string): FoundImages {
  const { dataset } = config
  return dataset === 'folder'
    ? findFolder(config, directory, device)
    : findCifar(config, dataset, directory, device)
}

/** Throws DdsasError 'input' where settings of image folders are set for other images, or contradict each other. */
export function checkImageSettings({ dataset, data }: SearchConfig): void {
  const { imageSize, load, trainFraction, validFraction } = data
  const refuse = (problem: string) => {
    throw new DdsasError('input', problem)
  }
  if (dataset !== 'folder') {
    if (imageSize !== 32) refuse(`data.imageSize = ${imageSize}, images of ${dataset} have 32 px`)
    if (load === 'stream' || trainFraction > 0 || validFraction > 0)
      refuse(
        `data.load and fractions are for image folders, not for ${dataset}: leave them out, or search folder`,
      )
  }
  if (trainFraction > 0 !== validFraction > 0)
    refuse('data.trainFraction and data.validFraction go together: set both, or none for halves')
  if (trainFraction > 0 && data.images > 0)
    refuse(`data.images = ${data.images} and fractions both say how many images there are: leave one out`)
  if (trainFraction + validFraction > 1)
    refuse(
      `data.trainFraction + data.validFraction = ${trainFraction + validFraction} is more than all images`,
    )
}

function findCifar(config: SearchConfig, name: CifarName, directory: string, device: string): FoundImages {
  const { data } = config
  const advice = 'search it with the preset folder'
  const dataset = readCifarImages(directory, { dataset: name, data }, 'train', advice)
  checkCounts(dataset.count, config)
  return {
    shape: shapeOfDataset(dataset.count, dataset.classes.length, config),
    open: async ({ share } = {}) => ({
      ...imagesOf(dataset, config, device, share),
      warnings: differencesOf(dataset, directory),
    }),
  }
}

/** Images that are in memory already. */
export function imagesOf(
  dataset: ImageDataset,
  config: SearchConfig,
  device: string,
  share?: Share,
): SearchImages {
  const { classes, fingerprint, mean, std } = dataset
  const split = splitTrainVal(dataset.count, config)
  return {
    classes,
    counts: countsOf(split),
    fingerprint,
    normalisation: { mean, std },
    where: 'in memory',
    warnings: [],
    ...overTensors(toTensors(dataset, device), split, config, share),
  }
}

type Batches = Pick<SearchImages, 'streams' | 'evaluate' | 'dispose'>

/** Both halves of images that are tensors, whose owner this becomes. */
export function overTensors(data: ImageTensors, split: Split, config: SearchConfig, share?: Share): Batches {
  const { data: how, seed, evaluation } = config
  const streams = streamsOf(split, (part, name) => {
    const options = { part, batch: how.batch, augmentation: how, share }
    return new BatchStream(data, options, new Generator(seed, name))
  })
  const evaluated = evaluatedOf(split, config)
  return {
    streams,
    evaluate: async (use, images) =>
      forEachPlainBatch(data, evaluated.slice(0, images), evaluation.batch, use),
    dispose: () => {
      disposeStreams(streams)
      data.images.dispose()
      data.labels.dispose()
    },
  }
}

function streamsOf(
  split: Split,
  stream: (part: readonly number[], name: string) => ImageSource,
): HalfStreams {
  return {
    train: stream(split.train, 'weight batches'),
    valid: stream(split.valid, 'architecture batches'),
  }
}

function disposeStreams({ train, valid }: HalfStreams): void {
  train.dispose()
  valid.dispose()
}

function evaluatedOf({ valid }: Split, { evaluation: { images } }: SearchConfig): readonly number[] {
  return valid.slice(0, images === 0 ? undefined : images)
}

function countsOf({ train, valid }: Split): SearchImages['counts'] {
  return { train: train.length, valid: valid.length }
}

function findFolder(config: SearchConfig, directory: string, device: string): FoundImages {
  const folder = readImageFolder(directory, 'train')
  const { classes } = folder
  if (classes.length < 2)
    throw new DdsasError('data', `${directory}/train has one class, ${classes[0]}: a search needs two`)
  const split = splitByClass(folder, config)
  const { train, valid } = countsOf(split)
  checkCounts(train + valid, { data: { ...config.data, images: 0 } })
  const streamed = config.data.load === 'stream'
  const place = placeFor(config, train + valid, device)
  const found: Found = { config, folder, split, device }
  return {
    shape: { train, valid, classes: classes.length, kept: streamed || place === 'file' ? 0 : train + valid },
    open: async (observer = {}) => ({
      ...(streamed ? streamFolder(found, observer) : await decodeFolder(found, place, observer)),
      classes,
      drawn: { train: filesAt(folder, split.train), valid: filesAt(folder, split.valid) },
    }),
  }
}

interface Found {
  readonly config: SearchConfig
  readonly folder: ImageFolder
  readonly split: Split
  readonly device: string
}

function filesAt({ files }: ImageFolder, positions: readonly number[]): string[] {
  return positions.map((position) => files[position])
}

/** Memory has room for much else, too. */
const shareOfMemory = 0.5

function placeFor({ memory, data }: SearchConfig, images: number, device: string): 'memory' | 'file' {
  if (memory.images !== 'auto') return memory.images
  const free = availableMemory(device)?.bytes ?? Number.POSITIVE_INFINITY
  const room = memory.limit > 0 ? Math.min(memory.limit, free) : free
  return datasetBytes(images, data.imageSize) <= shareOfMemory * room ? 'memory' : 'file'
}

type OpenFolder = Omit<SearchImages, 'classes' | 'drawn'>

function streamFolder(
  { config, folder, split, device }: Found,
  { onSkip, share }: ImagesObserver,
): OpenFolder {
  const { data: how, seed, evaluation } = config
  const normalisation = { mean: how.mean ?? imagenetEvaluation.mean, std: how.std ?? imagenetEvaluation.std }
  const tell = tellOnce(onSkip)(folder)
  const transform = folderTraining(how.imageSize, normalisation, how)
  const streams = streamsOf(split, (part, name) => {
    // one ahead: batches of a search on ImageNet are large, and there are two of them
    const options = { part, batch: how.batch, transform, device, ahead: 1, onSkip: tell, share }
    return new FolderStream(folder, options, new Generator(seed, name))
  })
  const evaluated = evaluatedOf(split, config)
  const plain = {
    batch: evaluation.batch,
    transform: folderEvaluation(how, normalisation),
    device,
    onSkip: tell,
  }
  return {
    counts: countsOf(split),
    fingerprint: folder.fingerprint,
    normalisation,
    where: 'streamed',
    warnings: badLinksOf(folder),
    streams,
    evaluate: (use, images) =>
      forEachFolderBatch(folder, { positions: evaluated.slice(0, images), ...plain }, use),
    dispose: () => disposeStreams(streams),
  }
}

async function decodeFolder(
  { config, folder, split, device }: Found,
  place: 'memory' | 'file',
  { onSkip, onProgress, signal, share }: ImagesObserver,
): Promise<OpenFolder> {
  const { data: how } = config
  const positions = [...split.train, ...split.valid].sort((a, b) => a - b)
  const tell = tellOnce(onSkip)(folder)
  const options = { positions, size: how.imageSize, place, onSkip: tell, onProgress, signal }
  const kept = await keepFolder(folder, options)
  try {
    const sound = soundOf(kept, folder, split)
    const normalisation = { mean: how.mean ?? kept.statistics.mean, std: how.std ?? deviations(kept) }
    const labels = kept.positions.map((position) => folder.labels[position])
    const data = tidy(() => ({
      // a file is mapped because memory has no room for it
      images: place === 'file' ? kept.images : keep(onDevice(kept.images, device)),
      labels: labelTensor(labels, device),
      size: how.imageSize,
      ...normalisation,
    }))
    if (data.images !== kept.images) kept.images.dispose()
    return {
      counts: countsOf(sound),
      fingerprint: createHash('sha256').update(`${folder.fingerprint} ${kept.checksum}`).digest('hex'),
      normalisation,
      where: kept.file === undefined ? 'in memory' : `in ${kept.file}`,
      warnings: [...badLinksOf(folder), ...kept.warnings],
      ...overTensors(data, sound, config, share),
    }
  } catch (error) {
    kept.images.dispose()
    throw error
  }
}

/** A channel that is the same everywhere is not stretched to noise. */
function deviations({ statistics }: KeptImages): number[] {
  return statistics.std.map((std) => Math.max(std, 1 / 255))
}

/** Rows of the images that could be decoded, by half. Throws DdsasError 'data' where a half lacks a class. */
function soundOf(
  { positions }: KeptImages,
  { labels, classes, directory }: ImageFolder,
  split: Split,
): Split {
  const rows = new Map(positions.map((position, row) => [position, row]))
  const rowsOf = (half: readonly number[]) =>
    half.flatMap((position) => {
      const row = rows.get(position)
      return row === undefined ? [] : [row]
    })
  const sound = { train: rowsOf(split.train), valid: rowsOf(split.valid) }
  for (const half of [sound.train, sound.valid]) {
    const there = new Set(half.map((row) => labels[positions[row]]))
    const missing = classes.find((_, label) => !there.has(label))
    if (missing !== undefined)
      throw new DdsasError(
        'data',
        `${directory}/train/${missing} has no image that can be decoded for one of the halves: mend or add images, or remove the class`,
      )
  }
  return sound
}
