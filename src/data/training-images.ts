/** The images that a run trains on, as its settings ask for them: read, checked, and brought to a device as tensors. */
import { DdsasError } from '../errors.ts'
import { keep, onDevice, Tensor, tidy } from '../torch/index.ts'
import {
  type CifarName,
  hasCifar,
  type ImageDataset,
  type ImageTensors,
  looksLikeImages,
  readCifar,
} from './index.ts'

/** Kept tensors of a data set, on a device: a GPU gets the bytes once and changes the images itself. */
export function toTensors(dataset: ImageDataset, device: string): ImageTensors {
  const { images, labels, count, size, mean, std } = dataset
  return tidy(() => ({
    images: keep(onDevice(Tensor.from(images, [count, 3, size, size]), device)),
    labels: labelTensor(labels, device),
    size,
    mean,
    std,
  }))
}

/** A kept tensor of labels, int64 [count]. */
export function labelTensor(labels: ArrayLike<number>, device: string): Tensor {
  return tidy(() => keep(onDevice(Tensor.from(BigInt64Array.from(labels, BigInt), [labels.length]), device)))
}

/** A data set of a configuration, and how its images are normalised. */
export type DataSettings<Name> = {
  readonly dataset: Name
  readonly data: {
    readonly mean: ImageDataset['mean'] | null
    readonly std: ImageDataset['std'] | null
  }
}

/** CIFAR's images; who has a folder of photographs instead is told how to use those, or `advice`. */
export function readCifarImages(
  directory: string,
  { dataset, data: { mean, std } }: DataSettings<CifarName>,
  split: 'train' | 'test',
  advice = 'train with the preset folder or imagenet, evaluate with --dataset folder',
): ImageDataset {
  if (!hasCifar(directory, dataset) && looksLikeImages(directory))
    throw new DdsasError('data', `${directory} is an image folder, not ${dataset}: ${advice}`)
  const images = readCifar(directory, dataset, split)
  return { ...images, mean: mean ?? images.mean, std: std ?? images.std }
}

/** What a user of CIFAR should know who has other files: a warning for each, none for the published ones. */
export function differencesOf({ name, split, difference }: ImageDataset, directory: string): string[] {
  const images = split === 'train' ? 'training images' : 'test images'
  return difference === undefined
    ? []
    : [`the ${images} in ${directory} are not all of ${name} as published: ${difference}`]
}

/** Throws DdsasError 'input' when there are fewer training images than asked for. */
export function checkEnough(count: number, { images }: { readonly images: number }): void {
  if (images <= count) return
  throw new DdsasError(
    'input',
    `data.images = ${images}, the training set has ${count}; ask for at most that`,
  )
}
