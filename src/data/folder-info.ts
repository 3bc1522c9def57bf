/** Counts what an image folder holds: images per split and class, class names, fingerprints. */
import type { SplitInfo } from './cifar-info.ts'
import { type FolderSplit, hasSplit, readImageFolder } from './folder.ts'

export interface FolderInfo {
  readonly dataset: 'folder'
  readonly directory: string
  readonly classes: readonly string[]
  readonly train: SplitInfo
  readonly val?: SplitInfo | undefined
}

/**
 * Lists both splits, `val` where there is one, and counts their images; none is opened.
 * @throws DdsasError kind `data` as `readImageFolder`
 */
export function folderInfo(directory: string): FolderInfo {
  const { classes, ...train } = splitInfo(directory, 'train')
  const val = hasSplit(directory, 'val') ? splitInfo(directory, 'val') : undefined
  const found = val && { count: val.count, perClass: val.perClass, fingerprint: val.fingerprint }
  return { dataset: 'folder', directory, classes, train, val: found }
}

function splitInfo(directory: string, split: FolderSplit) {
  const { classes, count, labels, fingerprint } = readImageFolder(directory, split)
  const perClass = classes.map(() => 0)
  for (const label of labels) perClass[label]++
  return { classes, count, perClass, fingerprint }
}
