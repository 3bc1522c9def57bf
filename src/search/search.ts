/**
 * The search (Algorithm 1 of DDSAS, the bilevel loop of DARTS): at every step the strategy updates the architecture on a
 * batch of the validation half, then SGD updates the supernet's weights on a batch of the training half.
 */

import { emptyAverage, include, means } from '../loop/averages.ts'
import { checkFinite, fit } from '../loop/fit.ts'
import type { StopSignal } from '../loop/request.ts'
import type { WeightStepOptions } from '../loop/weight-step.ts'
import { cosineLr } from '../nn/index.ts'
import type { RunFolder } from '../runs/folder.ts'
import { cosineDistance, type Genotype, skipConnections } from '../spaces/darts/genotype.ts'
import type { Batch } from '../strategies/strategy.ts'
import { stackScalars, type Tensor, tidy } from '../torch/index.ts'
import { evaluateSupernet } from './evaluate.ts'
import type { EpochReport, SearchObserver, StepReport } from './report.ts'
import { type Session, sessionFiles } from './session.ts'
import { weightStep } from './weight-step.ts'

/**
 * Runs a session from where it stands to the end and returns the genotype. Writes metrics and checkpoints to `run`.
 * Throws DdsasError 'interrupted' after saving when the user stops it, 'nonfinite' when a loss is not finite, 'disk' when
 * something cannot be written.
 */
export async function search(
  session: Session,
  run: RunFolder,
  observer: Partial<SearchObserver>,
  signal?: StopSignal,
): Promise<Genotype> {
  const { config, strategy, streams } = session
  const lr = () =>
    cosineLr(session.progress.epoch, config.epochs, config.weightOptimizer.lr, config.weightOptimizer.minLr)
  return fit(
    {
      config,
      stepsPerEpoch: streams.train.batchesPerPass,
      command: 'search',
      progress: () => session.progress,
      beginEpoch: (epoch, write) => {
        const change = strategy.beginEpoch(epoch)
        if (change === undefined) return
        const report = { epoch, globalStep: session.progress.globalStep, ...change }
        write('space', report)
        observer.space?.(report)
      },
      step: () => searchStep(session, lr()),
      endEpoch: (began, pause) => {
        const report = endEpoch(session, lr(), began, pause)
        run.writeGenotype(report.genotype)
        return report
      },
      finish: () => {
        strategy.finish()
        const genotype = strategy.genotype()
        run.writeGenotype(genotype)
        return genotype
      },
      files: (metricsBytes) => sessionFiles(session, metricsBytes),
    },
    run,
    observer,
    signal,
  )
}

/** One architecture step and one weight step; moves the session's progress by a step. */
export function searchStep(session: Session, lr: number): StepReport {
  const { strategy, streams, progress, config } = session
  const began = performance.now()
  strategy.beginStep(progress)
  const { architecture, weights } = tidy(() => {
    const train = streams.train.next()
    const valid = streams.valid.next()
    // one look at the device, after all of the step was asked of it
    const [firstLoss, firstCorrect, loss, correct, gradNorm] = session.replay
      .run(`${strategy.graphKey} ${lr}`, [train, valid], (batches) =>
        bothUpdates(session, batches, { lr, gradClip: config.weightOptimizer.gradClip }),
      )
      .floats()
    return {
      architecture: { loss: firstLoss, correct: firstCorrect, images: valid.labels.size },
      weights: { loss, correct, gradNorm, images: train.labels.size },
    }
  })
  const done = { ...progress, step: progress.step + 1, globalStep: progress.globalStep + 1 }
  const report: StepReport = {
    epoch: done.epoch,
    step: done.step,
    globalStep: done.globalStep,
    train: { loss: weights.loss, accuracy: weights.correct / weights.images },
    valid: { loss: architecture.loss, accuracy: architecture.correct / architecture.images },
    images: weights.images,
    gradNorm: weights.gradNorm,
    lr,
    seconds: (performance.now() - began) / 1000,
  }
  checkFinite(
    `at step ${report.globalStep} (epoch ${report.epoch + 1}, step ${report.step})`,
    {
      'training loss': report.train.loss,
      'validation loss': report.valid.loss,
      'gradient norm': report.gradNorm,
    },
    'search',
  )
  session.progress = {
    ...done,
    train: include(progress.train, weights),
    valid: include(progress.valid, architecture),
  }
  return report
}

/** Loss and correct predictions of the architecture step, the same of the weight step, its gradients' norm: float64 [5]. */
export function bothUpdates(
  { supernet, strategy, optimizer }: Pick<Session, 'supernet' | 'strategy' | 'optimizer'>,
  [train, valid]: readonly Batch[],
  options: WeightStepOptions,
): Tensor {
  return tidy(() => {
    const first = strategy.update(train, valid)
    const second = weightStep(supernet, strategy, train, optimizer, options)
    return stackScalars([first.loss, first.correct, second.loss, second.correct, second.gradNorm])
  })
}

/**
 * Measures accuracy, compares the cell with the last epoch's, and moves the session to the next epoch. `pause` is called
 * between batches and may throw: the session then stands after the epoch's last step.
 */
function endEpoch(session: Session, lr: number, began: number, pause: () => void): EpochReport {
  const { supernet, strategy, data, evaluated, config, device, progress } = session
  const { batch } = config.evaluation
  const valid = evaluateSupernet(supernet, strategy, data, evaluated, { batch, device, pause })
  checkFinite(`after epoch ${progress.epoch + 1}`, { 'validation loss': valid.loss }, 'search')
  const genotype = strategy.genotype()
  const { lastGenotype } = progress
  const report: EpochReport = {
    epoch: progress.epoch,
    globalStep: progress.globalStep,
    train: means(progress.train),
    valid,
    lr,
    skipConnections: skipConnections(genotype, 'normal'),
    cosineDistance: lastGenotype ? cosineDistance(genotype, lastGenotype) : null,
    genotype,
    seconds: (performance.now() - began) / 1000,
  }
  const next = { epoch: progress.epoch + 1, step: 0, globalStep: progress.globalStep }
  session.progress = { ...next, train: emptyAverage, valid: emptyAverage, lastGenotype: genotype }
  return report
}
