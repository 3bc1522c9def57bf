/** Counts what a CIFAR folder holds: images per split and class, class names, fingerprints. */
import { type CifarName, readCifar } from './cifar.ts'
import type { Split } from './cifar-layout.ts'

export interface SplitInfo {
  readonly count: number
  /** Images of each class, in label order. */
  readonly perClass: readonly number[]
  /** SHA-256 (hex) over the record files of the split. */
  readonly fingerprint: string
}

export interface CifarInfo {
  readonly dataset: CifarName
  readonly directory: string
  readonly classes: readonly string[]
  readonly train: SplitInfo
  readonly test: SplitInfo
}

/**
 * Reads and checks both splits and counts their images.
 * @throws DdsasError kind `data` as {@link readCifar}
 */
export function cifarInfo(directory: string, dataset: CifarName): CifarInfo {
  const { classes, ...train } = splitInfo(directory, dataset, 'train')
  const { classes: _, ...test } = splitInfo(directory, dataset, 'test')
  return { dataset, directory, classes, train, test }
}

function splitInfo(directory: string, dataset: CifarName, split: Split) {
  const { classes, count, fingerprint, labels } = readCifar(directory, dataset, split)
  const perClass = classes.map(() => 0)
  for (const label of labels) perClass[label] = (perClass[label] ?? 0) + 1
  return { classes, count, perClass, fingerprint }
}
