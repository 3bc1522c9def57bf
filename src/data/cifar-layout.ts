/** The standard binary layouts of CIFAR-10 and CIFAR-100 as data: folders, files, record sizes, names, statistics. */
import { DdsasError } from '../errors.ts'
import { cifar10Classes, cifar100Classes } from './cifar-classes.ts'

export type CifarName = 'cifar10' | 'cifar100'
export type Split = 'train' | 'test'

export interface CifarLayout {
  /** The subfolder that the official archive unpacks to. */
  readonly folder: string
  readonly train: readonly string[]
  readonly test: readonly string[]
  /** Label bytes before the pixels of a record; the last of them is the label used. */
  readonly labelBytes: number
  /** Text file with one class name a line. */
  readonly namesFile: string
  readonly classes: readonly string[]
  /** Per channel (R, G, B) of the training images scaled to 0..1. */
  readonly mean: readonly [number, number, number]
  readonly std: readonly [number, number, number]
  /** Images in each published file of a split. */
  readonly imagesPerFile: Readonly<Record<Split, number>>
  /** SHA-256 (hex) over the published record files of each split, in order; absent where it is not known here. */
  readonly fingerprints?: Readonly<Record<Split, string>>
}

export const imageSize = 32
export const imageBytes = 3 * imageSize * imageSize

export const cifarLayouts: Readonly<Record<CifarName, CifarLayout>> = {
  cifar10: {
    folder: 'cifar-10-batches-bin',
    train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
    test: ['test_batch.bin'],
    labelBytes: 1,
    namesFile: 'batches.meta.txt',
    classes: cifar10Classes,
    mean: [0.49139968, 0.48215827, 0.44653124],
    std: [0.24703233, 0.24348505, 0.26158768],
    imagesPerFile: { train: 10_000, test: 10_000 },
    fingerprints: {
      train: 'a0181da372c0d63a5920fdbea2ec3f83ecbc552d378218e1cb473cf634941a3b',
      test: '8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b',
    },
  },
  cifar100: {
    folder: 'cifar-100-binary',
    train: ['train.bin'],
    test: ['test.bin'],
    labelBytes: 2,
    namesFile: 'fine_label_names.txt',
    classes: cifar100Classes,
    mean: [0.5071, 0.4867, 0.4408],
    std: [0.2675, 0.2565, 0.2761],
    imagesPerFile: { train: 50_000, test: 10_000 },
  },
}

/**
 * Checks the name of a data set.
 * @throws DdsasError kind `input`, listing the known names
 */
export function parseCifarName(name: string): CifarName {
  if (name === 'cifar10' || name === 'cifar100') return name
  throw new DdsasError('input', `unknown data set ${JSON.stringify(name)}: use cifar10 or cifar100`)
}
