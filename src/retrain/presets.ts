/** The named trainings: the published recipes, with the reason beside a number that needs one. */
import { availableParallelism } from 'node:os'
import { findPreset } from '../loop/settings.ts'
import { dartsSpace } from '../spaces/darts/cell-space.ts'
import { nasbench201Space } from '../spaces/nasbench201/space.ts'
import type { TrainConfig } from './config.ts'

const checkpoint = { seconds: 300, steps: 0 }

/** The recipe of DARTS and of all that compare with it on CIFAR. */
const cifar10: TrainConfig = {
  space: dartsSpace.name,
  dataset: 'cifar10',
  data: {
    images: 0,
    // The published runs train on all 50,000 images and choose the epoch by the test set; 0 trains on all, too.
    validation: 0.1,
    batch: 96,
    imageSize: 32,
    resize: 0,
    mean: null,
    std: null,
    augmentation: { padding: 4, flip: true, cutout: 16, crop: 1, jitter: [0, 0, 0, 0] },
  },
  network: { kind: 'cifar', channels: 36, cells: 20 },
  weightOptimizer: {
    lr: 0.025,
    schedule: 'cosine',
    warmUp: 0,
    momentum: 0.9,
    nesterov: false,
    weightDecay: 3e-4,
    gradClip: 5,
  },
  loss: { smoothing: 0, auxiliary: 0.4 },
  dropPath: 0.2,
  precision: 'float32',
  evaluation: { batch: 250 },
  epochs: 600,
  checkpoint,
  seed: 0,
  threads: availableParallelism(),
  syncBatchNorm: false,
  device: 'auto',
}

/** For an image folder of a few hundred to some ten thousand images, on a processor. */
const folder: TrainConfig = {
  ...cifar10,
  dataset: 'folder',
  data: {
    images: 0,
    // of 24 images a class that is five: a class of which none is held out is rare, and warned of
    validation: 0.2,
    // of 200 images still six steps an epoch
    batch: 32,
    // a third of the work of 224 px; the network ends with 4 x 4
    imageSize: 128,
    resize: 0,
    mean: null,
    std: null,
    // 0.08 of so small an image often holds nothing of its object
    augmentation: { padding: 0, flip: true, cutout: 0, crop: 0.35, jitter: [0.4, 0.4, 0.4, 0.1] },
  },
  // a twentieth of the weights of C = 48, 14 cells: few images are soon known by heart
  network: { kind: 'imagenet', channels: 24, cells: 8 },
  // CIFAR's: a small batch bears no larger rate, and this one needs no warm-up
  weightOptimizer: { ...cifar10.weightOptimizer },
  // the auxiliary head needs images of 224 px
  loss: { smoothing: 0.1, auxiliary: 0 },
  epochs: 100,
  evaluation: { batch: 100 },
}

export const trainPresets = {
  cifar10,
  cifar100: { ...cifar10, dataset: 'cifar100' },
  /** The recipe by which the architectures of NAS-Bench-201 were trained: 200 epochs, nothing but crops and flips. */
  nasbench201: {
    ...cifar10,
    space: nasbench201Space.name,
    data: {
      ...cifar10.data,
      batch: 256,
      augmentation: { ...cifar10.data.augmentation, cutout: 0 },
    },
    network: { kind: 'cifar', ...nasbench201Space.defaults },
    // no gradient is as large: nothing is clipped
    weightOptimizer: {
      lr: 0.1,
      schedule: 'cosine',
      warmUp: 0,
      momentum: 0.9,
      nesterov: true,
      weightDecay: 5e-4,
      gradClip: 1e9,
    },
    loss: { smoothing: 0, auxiliary: 0 },
    dropPath: 0,
    epochs: 200,
  },
  folder,
  /** The recipe of PC-DARTS, which DDSAS uses; for ImageNet and image folders of its size. */
  imagenet: {
    ...cifar10,
    dataset: 'folder',
    data: {
      images: 0,
      // 25,000 of ImageNet's images: enough to tell epochs apart
      validation: 0.02,
      batch: 1024,
      imageSize: 224,
      resize: 0,
      mean: null,
      std: null,
      augmentation: { padding: 0, flip: true, cutout: 0, crop: 0.08, jitter: [0.4, 0.4, 0.4, 0.2] },
    },
    // the published DDSAS cell has 46 channels, most papers take 48
    network: { kind: 'imagenet', channels: 48, cells: 14 },
    // a large batch needs a large rate, and a large rate a warm-up
    weightOptimizer: {
      lr: 0.5,
      schedule: 'linear',
      warmUp: 5,
      momentum: 0.9,
      nesterov: false,
      weightDecay: 3e-5,
      gradClip: 5,
    },
    loss: { smoothing: 0.1, auxiliary: 0.4 },
    dropPath: 0,
    epochs: 250,
  },
} as const satisfies Record<string, TrainConfig>

export type TrainPresetName = keyof typeof trainPresets

/** A preset by its name. Throws DdsasError 'input' listing the known ones. */
export function trainPreset(name: string): TrainConfig {
  return findPreset(trainPresets, name)
}
