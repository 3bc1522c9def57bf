/** The training of a network (retraining, in the words of NAS): SGD over epochs, and in the end the test error. */

import { emptyAverage, include, means } from '../loop/averages.ts'
import { checkFinite, fit, type LoopObserver } from '../loop/fit.ts'
import type { StopSignal } from '../loop/request.ts'
import { imagesOf, sharedBatch } from '../loop/shared-batch.ts'
import { cosineLr, disposeModule, linearLr, loadTensors, Network, stateDict, warmUp } from '../nn/index.ts'
import type { RunFolder } from '../runs/folder.ts'
import { adopt, Generator, tidy } from '../torch/index.ts'
import type { TrainConfig } from './config.ts'
import { evaluateNetwork, type NetworkScore, scoreOf } from './evaluate-network.ts'
import type { EvaluatedPart } from './images.ts'
import { networkStep } from './network-step.ts'
import { checkSame, shareStatistics } from './ranks.ts'
import { type EpochScore, keepBest, type Training, trainingFiles } from './training.ts'

/** One training step. */
export interface TrainStepReport {
  /** From 0. */
  readonly epoch: number
  /** Steps done in this epoch, this one included. */
  readonly step: number
  /** Steps done since the training began, this one included. */
  readonly globalStep: number
  /** Of the batch; the loss holds the auxiliary head's part. */
  readonly train: { readonly loss: number; readonly accuracy: number }
  readonly images: number
  /** Norm of the gradients before clipping. */
  readonly gradNorm: number
  readonly lr: number
  readonly seconds: number
}

/** What an epoch gave. */
export interface TrainEpochReport {
  readonly epoch: number
  readonly globalStep: number
  /** Over the epoch's steps, on augmented images, while the weights moved. */
  readonly train: { readonly loss: number; readonly accuracy: number }
  /** Files that could not be decoded: the ones after them in the epoch's order took their places. */
  readonly skipped: number
  /** On the images held out of the training set, after the epoch; null where none were. */
  readonly validation: NetworkScore | null
  /** Whether no epoch before had a smaller error there. */
  readonly best: boolean
  readonly lr: number
  readonly dropPath: number
  readonly seconds: number
}

/** An epoch's weights on the test set. */
export interface TestedEpoch extends EpochScore {
  readonly test: NetworkScore
}

/** The final report; the test set is looked at for it alone. */
export interface TrainReport {
  readonly globalStep: number
  readonly epochs: number
  readonly last: TestedEpoch
  /** The epoch chosen by the held-out images; null where none were held out. */
  readonly best: TestedEpoch | null
  readonly seconds: number
}

export type TrainObserver = LoopObserver<TrainStepReport, TrainEpochReport>

/** Learning rate of an epoch. */
export function lrOf(
  epoch: number,
  { epochs, weightOptimizer }: Pick<TrainConfig, 'epochs' | 'weightOptimizer'>,
): number {
  const { lr, schedule } = weightOptimizer
  const full = schedule === 'cosine' ? cosineLr(epoch, epochs, lr, 0) : linearLr(epoch, epochs, lr)
  return full * warmUp(epoch, weightOptimizer.warmUp)
}

/** How likely drop-path leaves an operation out in an epoch. */
export function dropPathOf(epoch: number, { epochs, dropPath }: TrainConfig): number {
  return (dropPath * epoch) / epochs
}

/**
 * Runs a training from where it stands to the end. Writes metrics and checkpoints to `run`.
 * @throws {DdsasError} `interrupted` after saving when the user stops it, `nonfinite` when a loss is not finite, `disk`
 * when something cannot be written.
 */
export function train(
  training: Training,
  run: RunFolder,
  observer: TrainObserver,
  signal?: StopSignal,
): Promise<TrainReport> {
  return fit(
    {
      config: training.config,
      stepsPerEpoch: () => training.images.source.batchesPerPass,
      command: 'train',
      ranks: training.ranks,
      progress: () => training.progress,
      step: () => trainStep(training),
      endEpoch: (began, pause) => endEpoch(training, began, pause),
      finish: async (write, pause) => {
        const report = await testAll(training, pause)
        write('report', report)
        return report
      },
      files: ({ metricsBytes }) => trainingFiles(training, metricsBytes),
    },
    run,
    observer,
    signal,
  )
}

/** One step; moves the training's progress. */
export async function trainStep(training: Training): Promise<TrainStepReport> {
  const { config, images, network, optimizer, progress, ranks } = training
  const { epoch, step, globalStep } = progress
  const began = performance.now()
  const batch = await images.source.next()
  const lr = lrOf(epoch, config)
  const result = tidy(() => {
    const [x, labels] = [adopt(batch.images), adopt(batch.labels)]
    const dropPath = { rate: dropPathOf(epoch, config), generator: training.dropPath }
    const options = { lr, gradClip: config.weightOptimizer.gradClip, loss: config.loss, dropPath }
    const { loss, correct, gradNorm } = networkStep(
      network,
      sharedBatch({ ...batch, images: x, labels }, ranks),
      optimizer,
      options,
    )
    return { loss: loss.item(), correct: correct.item(), images: imagesOf(batch), gradNorm: gradNorm.item() }
  })
  const report: TrainStepReport = {
    epoch,
    step: step + 1,
    globalStep: globalStep + 1,
    train: { loss: result.loss, accuracy: result.correct / result.images },
    images: result.images,
    gradNorm: result.gradNorm,
    lr,
    seconds: (performance.now() - began) / 1000,
  }
  const numbers = { 'training loss': result.loss, 'gradient norm': result.gradNorm }
  checkFinite(`at step ${report.globalStep} (epoch ${epoch + 1}, step ${report.step})`, numbers, 'train')
  const averages = include(progress.train, result)
  const skipped = progress.skipped + ranks.total([batch.skipped ?? 0])[0]
  training.progress = {
    ...progress,
    step: report.step,
    globalStep: report.globalStep,
    train: averages,
    skipped,
  }
  return report
}

/** Evaluates the network on a part of the images. */
async function score(
  { images, config, ranks }: Training,
  network: Network,
  part: EvaluatedPart,
  pause: () => void,
): Promise<NetworkScore> {
  const { batch } = config.evaluation
  return scoreOf(
    await evaluateNetwork(
      network,
      images.classes.length,
      (use) => images.evaluate(part, batch, use),
      pause,
      ranks,
    ),
  )
}

/** Measures the error on the held-out images and moves the training to the next epoch. */
async function endEpoch(training: Training, began: number, pause: () => void): Promise<TrainEpochReport> {
  const { config, images, network, progress } = training
  const { epoch, globalStep } = progress
  checkSame(training, `after epoch ${epoch + 1}`)
  shareStatistics(training)
  const validation =
    images.counts.validation > 0 ? await score(training, network, 'validation', pause) : undefined
  if (validation) checkFinite(`after epoch ${epoch + 1}`, { 'validation loss': validation.loss }, 'train')
  const before = progress.best?.validation?.top1Error ?? Number.POSITIVE_INFINITY
  const best = validation !== undefined && validation.top1Error < before
  if (best) keepBest(training)
  const last: EpochScore = { epoch, validation }
  const report: TrainEpochReport = {
    epoch,
    globalStep,
    train: means(progress.train),
    skipped: progress.skipped,
    validation: validation ?? null,
    best,
    lr: lrOf(epoch, config),
    dropPath: dropPathOf(epoch, config),
    seconds: (performance.now() - began) / 1000,
  }
  const next = { epoch: epoch + 1, step: 0, globalStep, train: emptyAverage, skipped: 0 }
  training.progress = { ...next, last, best: best ? last : progress.best }
  return report
}

/** The test error of the last epoch, and of the best. */
async function testAll(training: Training, pause: () => void): Promise<TrainReport> {
  const { config, network, progress } = training
  const began = performance.now()
  const { last, best } = progress
  const ended: EpochScore = last ?? { epoch: config.epochs - 1 }
  const lastTest = await score(training, network, 'test', pause)
  const bestTest = best === null || best.epoch === ended.epoch ? lastTest : await testBest(training, pause)
  return {
    globalStep: progress.globalStep,
    epochs: config.epochs,
    last: { ...ended, test: lastTest },
    best: best && { ...best, test: bestTest },
    seconds: (performance.now() - began) / 1000,
  }
}

/** In a network of its own: a user who stops now must not find the best weights saved as the last. */
async function testBest(training: Training, pause: () => void): Promise<NetworkScore> {
  const { config, network, device, bestWeights } = training
  const { precision } = config
  const copy = new Network(network.program, { device, generator: new Generator(0) }, { precision })
  try {
    loadTensors(stateDict(copy), bestWeights, 'the weights of the best epoch')
    return await score(training, copy, 'test', pause)
  } finally {
    disposeModule(copy)
  }
}
