/** The images of a training, wherever they are from: batches to train on, a part to choose the epoch by, the test set. */
import { join } from 'node:path'
import {
  BatchStream,
  type CifarName,
  type EvaluationTransform,
  FolderStream,
  folderSplits,
  forEachFolderBatch,
  forEachPlainBatch,
  hasCifar,
  hasSplit,
  type ImageDataset,
  type ImageFolder,
  type ImageTensors,
  imagenetEvaluation,
  imagenetTraining,
  type OnSkip,
  readCifar,
  readImageFolder,
  type SkippedImage,
  type TrainingTransform,
} from '../data/index.ts'
import type { ImageBatch, ImageSource } from '../data/source.ts'
import { DdsasError } from '../errors.ts'
import { Generator } from '../torch/index.ts'
import { checkEnough, toTensors } from './parts.ts'
import type { TrainConfig } from './train-config.ts'

/** `test` is looked at for the final report alone. */
export type EvaluatedPart = 'validation' | 'test'

/** A file of an image folder that could not be decoded, and is left out. */
export interface SkippedFile extends SkippedImage {
  readonly path: string
}

/** Told once of each such file, with how many there are so far. */
export type OnSkippedFile = (skipped: SkippedFile, count: number) => void

/** How many images of a part could not be decoded. */
type Skipped = number

export interface TrainingImages {
  readonly classes: readonly string[]
  /** How many images there are to train on, and in the parts to evaluate. */
  readonly counts: Readonly<Record<'train' | EvaluatedPart, number>>
  /** Changes with the training images. */
  readonly fingerprint: string
  /** Normalised, augmented batches, without end. */
  readonly source: ImageSource
  /** Gives all images of a part to `use`, in order and without chance; tensors live in the scope of `use`. */
  evaluate(part: EvaluatedPart, batch: number, use: (batch: ImageBatch) => void): Promise<Skipped>
  dispose(): void
}

/** Opens the images of a training. Throws DdsasError 'data' or 'input' where they cannot be used. */
export function openImages(
  config: TrainConfig,
  directory: string,
  device: string,
  onSkip?: OnSkippedFile,
): TrainingImages {
  const { dataset } = config
  return dataset === 'folder'
    ? openFolder(config, directory, device, onSkip)
    : openCifar(config, dataset, directory, device)
}

/**
 * Positions of the images to train on and to choose the epoch by: a random part of the training set, by the seed. Throws
 * DdsasError 'input' where more are asked for than there are, or none is left to train on.
 */
export function splitForTraining(
  count: number,
  { data, seed }: Pick<TrainConfig, 'data' | 'seed'>,
): { readonly train: readonly number[]; readonly validation: readonly number[] } {
  checkEnough(count, data)
  const used = new Generator(seed, 'validation').permutation(count).slice(0, data.images || count)
  const held = Math.round(data.validation * used.length)
  if (held === used.length || (data.validation > 0 && held === 0))
    throw new DdsasError(
      'input',
      `data.validation = ${data.validation} of ${used.length} images leaves ${held === 0 ? 'none to choose the epoch by' : 'none to train on'}; use another part, or 0`,
    )
  return { train: used.slice(held), validation: used.slice(0, held) }
}

/** Images in a fixed order, as they are but for the normalisation (and, from a folder, the crop to one size). */
export interface PlainImages {
  readonly classes: readonly string[]
  readonly count: number
  /** Gives all of them to `use`; tensors live in its scope. */
  each(batch: number, use: (batch: ImageBatch) => void): Promise<Skipped>
  dispose(): void
}

/** Opens the test set alone. Throws DdsasError 'data' where it cannot be used. */
export function openTestImages(
  config: TrainConfig,
  directory: string,
  device: string,
  onSkip?: OnSkippedFile,
): PlainImages {
  const { dataset } = config
  if (dataset !== 'folder') return plainCifar(readCifarImages(directory, dataset, 'test'), device)
  const folder = readImageFolder(directory, 'val')
  return plainFolder(folder, allOf(folder), config, { device, onSkip: tellOnce(onSkip)(folder) })
}

/** CIFAR's images; who has a folder of photographs instead is told how to use those, or `advice`. */
export function readCifarImages(
  directory: string,
  name: CifarName,
  split: 'train' | 'test',
  advice = 'train with the preset imagenet, evaluate with --dataset folder',
): ImageDataset {
  if (!hasCifar(directory, name) && folderSplits.some((part) => hasSplit(directory, part)))
    throw new DdsasError('data', `${directory} is an image folder, not ${name}: ${advice}`)
  return readCifar(directory, name, split)
}

/** A file is met again in every epoch, and by the stream as well as by an evaluation. */
function tellOnce(onSkip: OnSkippedFile | undefined): (folder: ImageFolder) => OnSkip {
  const told = new Set<string>()
  return ({ directory, split }) =>
    (skipped) => {
      const path = join(directory, split, skipped.file)
      if (told.has(path)) return
      told.add(path)
      onSkip?.({ ...skipped, path }, told.size)
    }
}

function allOf({ count }: { readonly count: number }): number[] {
  return Array.from({ length: count }, (_, position) => position)
}

function plainCifar(dataset: ImageDataset, device: string): PlainImages {
  const tensors = toTensors(dataset, device)
  return {
    classes: dataset.classes,
    count: dataset.count,
    each: async (batch, use) => {
      forEachPlainBatch(tensors, allOf(dataset), batch, use)
      return 0
    },
    dispose: () => disposeImages(tensors),
  }
}

function plainFolder(
  folder: ImageFolder,
  positions: readonly number[],
  config: TrainConfig,
  options: { readonly device: string; readonly onSkip: OnSkip },
): PlainImages {
  const transform = evaluationTransform(config)
  return {
    classes: folder.classes,
    count: positions.length,
    each: async (batch, use) => {
      const skipped = await forEachFolderBatch(folder, { positions, batch, transform, ...options }, use)
      return skipped.length
    },
    dispose: () => {},
  }
}

function disposeImages({ images, labels }: ImageTensors): void {
  images.dispose()
  labels.dispose()
}

function openCifar(config: TrainConfig, name: CifarName, directory: string, device: string): TrainingImages {
  const { data: how, seed } = config
  const dataset = readCifarImages(directory, name, 'train')
  if (how.side !== dataset.size)
    throw new DdsasError('input', `data.side = ${how.side}, images of ${name} have ${dataset.size} px`)
  const { train, validation } = splitForTraining(dataset.count, config)
  const test = openTestImages(config, directory, device)
  const tensors = toTensors(dataset, device)
  const options = { part: train, batch: how.batch, augmentation: how.augmentation }
  const source = new BatchStream(tensors, options, new Generator(seed, 'batches'))
  return {
    classes: dataset.classes,
    counts: { train: train.length, validation: validation.length, test: test.count },
    fingerprint: dataset.fingerprint,
    source,
    evaluate: async (part, batch, use) => {
      if (part === 'test') return test.each(batch, use)
      forEachPlainBatch(tensors, validation, batch, use)
      return 0
    },
    dispose: () => {
      source.dispose()
      test.dispose()
      disposeImages(tensors)
    },
  }
}

function openFolder(
  config: TrainConfig,
  directory: string,
  device: string,
  onSkip?: OnSkippedFile,
): TrainingImages {
  const { data: how, seed } = config
  const [folder, tests] = [readImageFolder(directory, 'train'), readImageFolder(directory, 'val')]
  const { train, validation } = splitForTraining(folder.count, config)
  const tell = tellOnce(onSkip)
  const parts = {
    validation: plainFolder(folder, validation, config, { device, onSkip: tell(folder) }),
    test: plainFolder(tests, allOf(tests), config, { device, onSkip: tell(tests) }),
  }
  const transform = trainingTransform(config)
  const options = { part: train, batch: how.batch, transform, device, onSkip: tell(folder) }
  const source = new FolderStream(folder, options, new Generator(seed, 'batches'))
  return {
    classes: folder.classes,
    counts: { train: train.length, validation: validation.length, test: parts.test.count },
    fingerprint: folder.fingerprint,
    source,
    evaluate: (part, batch, use) => parts[part].each(batch, use),
    dispose: () => source.dispose(),
  }
}

function trainingTransform({ data }: TrainConfig): TrainingTransform {
  const { flip, crop, jitter } = data.augmentation
  const [brightness, contrast, saturation, hue] = jitter
  const still = jitter.every((most) => most === 0)
  return {
    ...imagenetTraining,
    size: data.side,
    scale: [crop, 1],
    flip,
    jitter: still ? undefined : { brightness, contrast, saturation, hue },
  }
}

function evaluationTransform({ data }: TrainConfig): EvaluationTransform {
  return { ...imagenetEvaluation, size: data.side, resize: resizeOf(data) }
}

/** Pixels of the shorter side from which the centre is evaluated. */
export function resizeOf({ side, resize }: Pick<TrainConfig['data'], 'side' | 'resize'>): number {
  const { size, resize: usual } = imagenetEvaluation
  return resize === 0 ? Math.round((side * usual) / size) : Math.max(side, resize)
}
