/** Data sets, augmentation and streams of batches. */
export * from './augment.ts'
export { type CifarName, hasCifar, type ImageDataset, readCifar } from './cifar.ts'
export { type FolderSplit, type ImageFolder, looksLikeImages, readImageFolder } from './folder.ts'
export * from './folder-check.ts'
export * from './folder-evaluation.ts'
export type { OnSkip, SkippedImage } from './folder-images.ts'
export { type FolderInfo, folderInfo } from './folder-info.ts'
export * from './folder-stream.ts'
export {
  type ColorJitter,
  type EvaluationTransform,
  imagenetEvaluation,
  imagenetTraining,
  type Normalisation,
  type TrainingTransform,
} from './image-transform.ts'
export * from './statistics.ts'
export * from './stream.ts'
