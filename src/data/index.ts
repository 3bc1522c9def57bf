/** Data sets, augmentation and streams of batches. */
export * from './augment.ts'
export { type CifarName, type ImageDataset, readCifar } from './cifar.ts'
export * from './stream.ts'
