/** The named searches: each a whole configuration, with the reason beside a number that needs one. */
import { availableParallelism } from 'node:os'
import { findPreset } from '../loop/settings.ts'
import { dartsSpace } from '../spaces/darts/cell-space.ts'
import { type SpaceNumber, spaceName } from '../spaces/nasbench1shot1/architecture.ts'
import { nasbench201Space } from '../spaces/nasbench201/space.ts'
import { ddsas } from '../strategies/ddsas/ddsas.ts'
import { published } from '../strategies/ddsas/extended.ts'
import type { SearchConfig } from './config.ts'
import { noLimits } from './limits.ts'

/** The published search on CIFAR-10: section 4.2 of the paper, settings of the published code. */
const cifar10 = {
  dataset: 'cifar10',
  data: {
    images: 0,
    batch: 64,
    microBatch: 0,
    padding: 4,
    flip: true,
    cutout: 0,
    mean: null,
    std: null,
    imageSize: 32,
    load: 'decoded',
    trainFraction: 0,
    validFraction: 0,
    crop: 1,
    jitter: [0, 0, 0, 0],
    resize: 0,
  },
  network: { channels: 16, cells: 8, stem: 'cifar', partialChannels: 1 },
  space: dartsSpace.name,
  strategy: ddsas.name,
  ddsas: {
    variant: 'authors-code',
    subspace: 28,
    fill: 'operations',
    window: 30,
    mixture: 'simple',
    changes: [],
    extended: published,
  },
  weightOptimizer: {
    lr: 0.025,
    minLr: 0.001,
    schedule: 'cosine',
    warmUp: 0,
    momentum: 0.9,
    nesterov: false,
    weightDecay: 3e-4,
    gradClip: 5,
    clipArch: false,
  },
  archOptimizer: { lr: 3e-4, betas: [0.5, 0.999], weightDecay: 1e-3, gradClip: null },
  precision: 'float32',
  evaluation: { images: 0, batch: 250 },
  memory: { limit: 0, images: 'auto' },
  limits: noLimits,
  epochs: 50,
  checkpoint: { seconds: 300, steps: 0 },
  seed: 0,
  threads: availableParallelism(),
  syncBatchNorm: false,
  device: 'auto',
} as const satisfies SearchConfig

type Schedule = NonNullable<SearchConfig['ddsas']>['changes']

/** Section 4.2 of the paper: a space of 112 operations a cell type loses 14 of them five times. */
const shrinking: Schedule = [10, 20, 30, 40, 50].map((epoch) => ({
  epoch,
  change: { kind: 'shrink', count: 14 },
}))

/** Section 4.2: begins with an operation that is nothing, one without weights and one with; another comes every ten epochs. */
const expanding: Schedule = [
  { epoch: 0, change: { kind: 'only', operations: ['none', 'skip_connect', 'sep_conv_3x3'] } },
  { epoch: 10, change: { kind: 'expand', operations: ['max_pool_3x3'] } },
  { epoch: 20, change: { kind: 'expand', operations: ['dil_conv_3x3'] } },
  { epoch: 30, change: { kind: 'expand', operations: ['avg_pool_3x3'] } },
  { epoch: 40, change: { kind: 'expand', operations: ['sep_conv_5x5'] } },
  { epoch: 50, change: { kind: 'expand', operations: ['dil_conv_5x5'] } },
]

/** Both elastic searches take ten epochs more than the others. */
const shrink = { ...cifar10, epochs: 60, ddsas: { ...cifar10.ddsas, changes: shrinking } }
const expand = { ...cifar10, epochs: 60, ddsas: { ...cifar10.ddsas, changes: expanding } }

/** Section 4.3: operations without weights come when those with some have learnt. */
const withWeights: readonly string[] = ['sep_conv_3x3', 'sep_conv_5x5', 'dil_conv_3x3', 'dil_conv_5x5']

/** The published search on ImageNet, or on another folder of as many images: section 4.3 of the paper, settings of the published code. */
const imagenet = {
  ...cifar10,
  dataset: 'folder',
  data: {
    ...cifar10.data,
    batch: 512,
    imageSize: 224,
    load: 'stream',
    trainFraction: 0.1,
    validFraction: 0.025,
    crop: 0.08,
    jitter: [0.4, 0.4, 0.4, 0.2],
  },
  network: { ...cifar10.network, stem: 'imagenet' },
  ddsas: {
    ...cifar10.ddsas,
    changes: [
      { epoch: 0, change: { kind: 'only', operations: [...withWeights] } },
      {
        epoch: 40,
        change: { kind: 'expand', operations: ['none', 'skip_connect', 'max_pool_3x3', 'avg_pool_3x3'] },
      },
    ],
  },
  weightOptimizer: {
    ...cifar10.weightOptimizer,
    // of batches of 512
    lr: 0.5,
    minLr: 0,
    schedule: 'authors-code',
    warmUp: 5,
    clipArch: true,
  },
  archOptimizer: { lr: 6e-3, betas: [0.5, 0.999], weightDecay: 1e-3, gradClip: 5 },
  epochs: 60,
} satisfies SearchConfig

/** Section 4.5 of the paper: L = 6 operations of the choice blocks, batches of 96; what blocks and outputs read is weighted, not sampled. */
const nasbench1shot1 = (space: SpaceNumber) =>
  ({
    ...cifar10,
    space: spaceName(space),
    data: { ...cifar10.data, batch: 96 },
    network: { ...cifar10.network, cells: 9 },
    ddsas: { ...cifar10.ddsas, subspace: 6 },
  }) satisfies SearchConfig

export const searchPresets = {
  cifar10,
  cifar100: { ...cifar10, dataset: 'cifar100' },
  'cifar10-shrink': shrink,
  'cifar10-expand': expand,
  'cifar100-shrink': {
    ...shrink,
    dataset: 'cifar100',
    archOptimizer: { ...cifar10.archOptimizer, lr: 3e-5, weightDecay: 0 },
  },
  'cifar100-expand': { ...expand, dataset: 'cifar100' },
  imagenet,
  /** For an image folder of a few hundred to some ten thousand images, on a processor. */
  folder: {
    ...cifar10,
    dataset: 'folder',
    data: {
      ...cifar10.data,
      // of 240 images still eight steps an epoch
      batch: 16,
      // twice CIFAR's: what many photographs show can be told at this size, and a step takes four times as long for an image
      imageSize: 64,
      // as large a part of the image as CIFAR's
      padding: 8,
    },
    // of few images an epoch has few steps: short windows let it try a hundred subspaces all the same
    ddsas: { ...cifar10.ddsas, window: 4 },
    // fewer steps than on CIFAR must do for the architecture, too
    archOptimizer: { ...cifar10.archOptimizer, lr: 3e-3 },
    evaluation: { images: 0, batch: 100 },
  },
  /** Section 4.4 of the paper: L = 12, all else as on CIFAR-10. */
  nasbench201: {
    ...cifar10,
    space: nasbench201Space.name,
    network: { ...nasbench201Space.defaults, stem: 'cifar', partialChannels: 1 },
    ddsas: { ...cifar10.ddsas, subspace: 12 },
  },
  'nasbench1shot1-1': nasbench1shot1(1),
  'nasbench1shot1-2': nasbench1shot1(2),
  'nasbench1shot1-3': nasbench1shot1(3),
  /** Shows a whole search in a few minutes on two cores; its cell is not meant to be used. */
  demo: {
    ...cifar10,
    data: { ...cifar10.data, images: 6000, batch: 32 },
    network: { ...cifar10.network, channels: 8, cells: 5 },
    // fewer steps than a real search has windows: shorter windows keep the number of subspaces in the tens
    ddsas: { ...cifar10.ddsas, window: 10 },
    // few steps must do: small batches make more of them, and the architecture learns faster
    weightOptimizer: { ...cifar10.weightOptimizer, lr: 0.025 },
    archOptimizer: { ...cifar10.archOptimizer, lr: 3e-3 },
    epochs: 12,
    evaluation: { images: 1000, batch: 250 },
    checkpoint: { seconds: 60, steps: 0 },
  },
} as const satisfies Record<string, SearchConfig>

export type SearchPresetName = keyof typeof searchPresets

/** A preset by its name. Throws DdsasError 'input' listing the known ones. */
export function searchPreset(name: string): SearchConfig {
  return findPreset(searchPresets, name)
}
