/** The images of a training, wherever they are from: batches to train on, a part to choose the epoch by, the test set. */

import { cifarLayouts } from '../data/cifar-layout.ts'
import { badLinksOf } from '../data/folder.ts'
import { type OnSkippedFile, tellOnce } from '../data/folder-images.ts'
import { type EvaluatedSize, folderEvaluation, folderTraining } from '../data/folder-transform.ts'
import {
  BatchStream,
  type CifarName,
  type EvaluationTransform,
  FolderStream,
  forEachFolderBatch,
  forEachPlainBatch,
  type ImageDataset,
  type ImageFolder,
  type ImageTensors,
  imagenetEvaluation,
  type Normalisation,
  type OnSkip,
  readImageFolder,
  type TrainingTransform,
} from '../data/index.ts'
import type { ImageBatch, ImageSource, Share } from '../data/source.ts'
import {
  checkEnough,
  type DataSettings,
  differencesOf,
  readCifarImages,
  toTensors,
} from '../data/training-images.ts'
import { DdsasError } from '../errors.ts'
import { Generator } from '../torch/index.ts'
import type { TrainConfig } from './config.ts'

/** `test` is looked at for the final report alone. */
export type EvaluatedPart = 'validation' | 'test'

/** How many images of a part could not be decoded. */
type Skipped = number

export interface TrainingImages {
  readonly classes: readonly string[]
  /** How many images there are to train on, and in the parts to evaluate. */
  readonly counts: Readonly<Record<'train' | EvaluatedPart, number>>
  /** Of how many classes there are images to choose the epoch by. */
  readonly heldOutClasses: number
  /** What of the files is not as one would expect, one line each. */
  readonly warnings: readonly string[]
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
  options: OpenOptions = {},
): TrainingImages {
  const { dataset } = config
  return dataset === 'folder'
    ? openFolder(config, directory, device, options)
    : openCifar(config, dataset, directory, device, options)
}

interface OpenOptions {
  readonly onSkip?: OnSkippedFile | undefined
  /** Where several processes train, which part of each batch this one gets. */
  readonly share?: Share | undefined
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
  /** What of the files is not as one would expect, one line each. */
  readonly warnings: readonly string[]
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
  const { dataset, data } = config
  if (dataset !== 'folder') {
    const images = readCifarImages(directory, { dataset, data }, 'test')
    return plainCifar(images, differencesOf(images, directory), device)
  }
  const folder = readImageFolder(directory, 'val')
  return plainFolder(folder, allOf(folder), config, { device, onSkip: tellOnce(onSkip)(folder) })
}

/** Mean and standard deviation by which a training's images are normalised. */
export function normalisationOf({ dataset, data }: DataSettings<TrainConfig['dataset']>): Normalisation {
  const usual = dataset === 'folder' ? imagenetEvaluation : cifarLayouts[dataset]
  return { mean: data.mean ?? usual.mean, std: data.std ?? usual.std }
}

function allOf({ count }: { readonly count: number }): number[] {
  return Array.from({ length: count }, (_, position) => position)
}

function plainCifar(dataset: ImageDataset, warnings: readonly string[], device: string): PlainImages {
  const tensors = toTensors(dataset, device)
  return {
    classes: dataset.classes,
    count: dataset.count,
    warnings,
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
    warnings: badLinksOf(folder),
    each: async (batch, use) => {
      const skipped = await forEachFolderBatch(folder, { positions, batch, transform, ...options }, use)
      return skipped.length
    },
    dispose: () => {},
  }
}

/** How many classes the images at `positions` are of. */
function classesAt(labels: ArrayLike<number>, positions: readonly number[]): number {
  return new Set(positions.map((position) => labels[position])).size
}

function disposeImages({ images, labels }: ImageTensors): void {
  images.dispose()
  labels.dispose()
}

function openCifar(
  config: TrainConfig,
  name: CifarName,
  directory: string,
  device: string,
  { share }: OpenOptions,
): TrainingImages {
  const { data: how, seed } = config
  const dataset = readCifarImages(directory, { dataset: name, data: how }, 'train')
  if (how.imageSize !== dataset.size)
    throw new DdsasError(
      'input',
      `data.imageSize = ${how.imageSize}, images of ${name} have ${dataset.size} px`,
    )
  const { train, validation } = splitForTraining(dataset.count, config)
  const test = openTestImages(config, directory, device)
  const tensors = toTensors(dataset, device)
  const options = { part: train, batch: how.batch, augmentation: how.augmentation, share }
  const source = new BatchStream(tensors, options, new Generator(seed, 'batches'))
  return {
    classes: dataset.classes,
    counts: { train: train.length, validation: validation.length, test: test.count },
    heldOutClasses: classesAt(dataset.labels, validation),
    warnings: [...differencesOf(dataset, directory), ...test.warnings],
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
  { onSkip, share }: OpenOptions,
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
  const options = { part: train, batch: how.batch, transform, device, onSkip: tell(folder), share }
  const source = new FolderStream(folder, options, new Generator(seed, 'batches'))
  return {
    classes: folder.classes,
    counts: { train: train.length, validation: validation.length, test: parts.test.count },
    heldOutClasses: classesAt(folder.labels, validation),
    warnings: [...badLinksOf(folder), ...parts.test.warnings],
    fingerprint: folder.fingerprint,
    source,
    evaluate: (part, batch, use) => parts[part].each(batch, use),
    dispose: () => source.dispose(),
  }
}

function trainingTransform(config: TrainConfig): TrainingTransform {
  const { imageSize, augmentation } = config.data
  return folderTraining(imageSize, normalisationOf(config), augmentation)
}

/** How an image of a folder becomes one to evaluate. */
export function evaluationTransform(
  config: DataSettings<TrainConfig['dataset']> & { readonly data: EvaluatedSize },
): EvaluationTransform {
  return folderEvaluation(config.data, normalisationOf(config))
}
