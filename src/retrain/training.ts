/** All that a training holds while it runs, and how it is saved and restored: the state behind exact resume. */
import { z } from 'zod'
import type { OnSkippedFile } from '../data/folder-images.ts'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import { type Average, emptyAverage } from '../loop/averages.ts'
import { shareOf } from '../loop/shared-batch.ts'
import {
  averageSchema,
  countSchema,
  progressSchema,
  type ReadFiles,
  readState,
  readTensors,
  streamSchema,
  streamState,
} from '../loop/state-file.ts'
import { disposeModule, loadTensors, Network, namedParameters, Sgd, stateDict } from '../nn/index.ts'
import type { Progress } from '../nn/step.ts'
import { checkImageSide } from '../spaces/describe.ts'
import { findSpace } from '../spaces/index.ts'
import { type NetworkShape, programOf, spaceOf } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { clone, encodeSafetensors, Generator, keep, noGrad, type Tensor, tidy } from '../torch/index.ts'
import { type TrainConfig, trainConfigSchema } from './config.ts'
import type { NetworkScore } from './evaluate-network.ts'
import { openImages, type TrainingImages } from './images.ts'

/** How an epoch did on the images held out of the training set. */
export interface EpochScore {
  /** From 0. */
  readonly epoch: number
  /** Absent where none were held out. */
  readonly validation?: NetworkScore | undefined
}

/** Where a training stands, as plain data. */
export interface TrainProgress extends Progress {
  /** Over this epoch's steps. */
  readonly train: Average
  /** Files of this epoch's batches that could not be decoded. */
  readonly skipped: number
  readonly last: EpochScore | null
  /** The epoch with the smallest top-1 error on the held-out images; the first of several. */
  readonly best: EpochScore | null
}

/** A training between two steps. */
export interface Training {
  /** The processes that share it. */
  readonly ranks: Ranks
  readonly config: TrainConfig
  readonly shape: NetworkShape
  readonly device: string
  readonly images: TrainingImages
  readonly network: Network
  readonly optimizer: Sgd
  /** Draws what drop-path leaves out. */
  readonly dropPath: Generator
  /** Weights of the best epoch so far, by name. */
  readonly bestWeights: Map<string, Tensor>
  progress: TrainProgress
}

const start: TrainProgress = {
  epoch: 0,
  step: 0,
  globalStep: 0,
  train: emptyAverage,
  skipped: 0,
  last: null,
  best: null,
}

interface TrainingOptions {
  readonly onSkip?: OnSkippedFile | undefined
  /** A space of one's own, by the name that the settings give it. */
  readonly space?: SearchSpace | undefined
  readonly ranks?: Ranks | undefined
}

/**
 * A training before its first step: everything drawn from the seed.
 * @throws {DdsasError} `input` or `data` where the images cannot be used, or are too small for the network.
 */
export function createTraining(
  config: TrainConfig,
  genotype: unknown,
  directory: string,
  device: string,
  { onSkip, space = findSpace(config.space), ranks = oneProcess }: TrainingOptions = {},
): Training {
  const auxiliary = config.loss.auxiliary > 0
  const synchronised = config.syncBatchNorm && ranks.world > 1
  const images = openImages(config, directory, device, { onSkip, share: shareOf(ranks) })
  try {
    const { network: sizes, precision } = config
    const classes = images.classes.length
    const shape: NetworkShape = { ...sizes, space, genotype, classes, auxiliary }
    const program = programOf(shape)
    checkImageSide(program, config.data.imageSize)
    const generator = new Generator(config.seed, 'weights')
    const network = new Network(program, { device, generator }, { precision, synchronised })
    const optimizer = new Sgd(namedParameters(network), config.weightOptimizer)
    const dropPath = new Generator(config.seed, 'drop-path')
    return {
      ranks,
      config,
      shape,
      device,
      images,
      network,
      optimizer,
      dropPath,
      bestWeights: new Map(),
      progress: start,
    }
  } catch (error) {
    images.dispose()
    throw error
  }
}

/** Frees every tensor of a training. */
export function disposeTraining({ images, network, optimizer, bestWeights }: Training): void {
  images.dispose()
  optimizer.dispose()
  disposeModule(network)
  for (const tensor of bestWeights.values()) tensor.dispose()
}

/** Makes the current weights those of the best epoch. */
export function keepBest({ network, bestWeights }: Training): void {
  setBest(bestWeights, stateDict(network))
}

function setBest(bestWeights: Map<string, Tensor>, weights: ReadonlyMap<string, Tensor>): void {
  for (const tensor of bestWeights.values()) tensor.dispose()
  bestWeights.clear()
  noGrad(() => {
    for (const [name, tensor] of weights)
      bestWeights.set(
        name,
        tidy(() => keep(clone(tensor))),
      )
  })
}

const scoreSchema = z.object({
  loss: z.number(),
  top1Error: z.number(),
  top5Error: z.number(),
  images: countSchema,
  skipped: countSchema,
})
const epochScoreSchema = z.object({ epoch: countSchema, validation: scoreSchema.optional() }).nullable()
const stateSchema = z.object({
  config: trainConfigSchema,
  genotype: z.unknown(),
  progress: progressSchema.extend({
    train: averageSchema,
    skipped: countSchema,
    last: epochScoreSchema,
    best: epochScoreSchema,
  }),
  source: streamSchema,
  dropPath: z.array(z.number().int()),
  metricsBytes: countSchema,
})

/** The files of a checkpoint. Weights have PyTorch's names, so that other programs can read them. */
export function trainingFiles(
  { config, shape, network, images, optimizer, dropPath, bestWeights, progress }: Training,
  metricsBytes: number,
): Record<string, string | Uint8Array> {
  const state: z.infer<typeof stateSchema> = {
    config,
    genotype: shape.genotype,
    progress,
    source: streamState(images.source),
    dropPath: [...dropPath.state()],
    metricsBytes,
  }
  return {
    'weights.safetensors': encodeSafetensors(stateDict(network)),
    'momentum.safetensors': encodeSafetensors(optimizer.state()),
    ...(bestWeights.size > 0 ? { 'best.safetensors': encodeSafetensors(bestWeights) } : {}),
    'state.json': JSON.stringify(state),
  }
}

/** Puts a new training where a checkpoint's stood; returns how long the metrics were. */
export function restoreTraining(training: Training, files: ReadFiles): number {
  const { config, shape, network, optimizer, bestWeights, images, dropPath } = training
  const state = readState(files, stateSchema, config, 'training')
  checkSameCell(state.genotype, shape)
  tidy(() => {
    loadTensors(stateDict(network), readTensors(files, 'weights.safetensors'), 'weights.safetensors')
    optimizer.load(readTensors(files, 'momentum.safetensors'))
    if (state.progress.best === null) return
    // Loaded through tensors of this network, so that a file of another one is refused here too.
    setBest(bestWeights, stateDict(network))
    loadTensors(bestWeights, readTensors(files, 'best.safetensors'), 'best.safetensors')
  })
  images.source.load(state.source)
  dropPath.load(state.dropPath)
  training.progress = state.progress
  return state.metricsBytes
}

/** Poolings and identities have no weights that could tell one cell from another. */
function checkSameCell(saved: unknown, shape: NetworkShape): void {
  const space = spaceOf(shape)
  const texts = [space.parse(saved, 'state.json'), space.parse(shape.genotype, 'genotype.json')].map((one) =>
    space.format(one),
  )
  if (texts[0] === texts[1]) return
  throw new DdsasError(
    'checkpoint',
    'the checkpoint is of another cell than genotype.json; put genotype.json back as it was',
  )
}
