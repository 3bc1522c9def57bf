/** The weights that a training has come to, with all that is known of their network: what evaluation and export take. */

import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { cifarLayouts } from '../data/cifar-layout.ts'
import type { Normalisation } from '../data/index.ts'
import { DdsasError, quoted } from '../errors.ts'
import { isRunOf, readRecord } from '../loop/record.ts'
import { RunFolder } from '../runs/folder.ts'
import { findSpace } from '../spaces/index.ts'
import type { NetworkShape } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { decodeSafetensors, type Tensor } from '../torch/index.ts'
import { commandLine } from '../words.ts'
import type { TrainConfig } from './config.ts'
import { normalisationOf } from './images.ts'
import { genotypeOf, trainKind } from './run.ts'

/** The last epoch of a training, or the one that the held-out images chose. */
export const trainedEpochs = ['last', 'best'] as const
export type TrainedEpoch = (typeof trainedEpochs)[number]

export interface TrainedWeights {
  readonly shape: NetworkShape
  /** By PyTorch's names, on the CPU; made in the scope around, as all tensors. */
  readonly tensors: Map<string, Tensor>
  /** Names them in errors. */
  readonly source: string
  readonly config: TrainConfig
  /** Folder with the data set. */
  readonly data: string
  /** Height and width of the images in pixels. */
  readonly imageSide: number
  readonly normalisation: Normalisation
  /** In the order of the logits; as the run wrote them down. */
  readonly classNames?: readonly string[] | undefined
}

const runSchema = z.custom<RunFolder>((value) => value instanceof RunFolder, {
  error: 'expected a RunFolder',
})

const files: Readonly<Record<TrainedEpoch, string>> = {
  last: 'weights.safetensors',
  best: 'best.safetensors',
}

/**
 * Reads the weights in a checkpoint of a training, the latest unless a step is given; `space`: one's own, of such a run.
 * @throws {DdsasError} `input` where the run is no training or has no such weights yet; `checkpoint` where they are damaged.
 */
export function readTrained(
  run: RunFolder,
  epoch: TrainedEpoch = 'last',
  checkpoint?: number,
  space?: SearchSpace,
): TrainedWeights {
  checkGiven(runSchema, run, 'readTrained', 'run')
  checkGiven(z.enum(trainedEpochs), epoch, 'readTrained', 'epoch')
  checkGiven(z.int().nonnegative().optional(), checkpoint, 'readTrained', 'checkpoint')
  if (isRunOf(run, 'search'))
    throw new DdsasError(
      'input',
      `${run.path} is a search; train its cell first: ${commandLine(`train ${quoted(run.path)}`)}`,
    )
  const { config, data } = readRecord(run, trainKind)
  const from = space?.name === config.space ? space : findSpace(config.space)
  const genotype = genotypeOf(run, from)
  const bytes = run.loadCheckpoint(checkpoint)?.files.get(files[epoch])
  if (bytes === undefined)
    throw new DdsasError('input', `${run.path} has no weights of its ${epoch} epoch: wait, or use the other`)
  const at = checkpoint === undefined ? '' : ` after step ${checkpoint}`
  const source = `${epoch} weights of ${run.path}${at}`
  const { tensors } = decodeSafetensors(bytes, source)
  const classes = tensors.get('classifier.weight')?.shape[0] ?? 0
  const shape = { ...config.network, space: from, genotype, classes, auxiliary: config.loss.auxiliary > 0 }
  const classNames = config.dataset === 'folder' ? data.classes : cifarLayouts[config.dataset].classes
  return {
    shape,
    tensors,
    source,
    config,
    data: data.directory,
    imageSide: config.data.imageSize,
    normalisation: normalisationOf(config),
    classNames,
  }
}
