/**
 * The search (Algorithm 1 of DDSAS, the bilevel loop of DARTS): at every step the strategy updates the architecture on a
 * batch of the validation half, then SGD updates the supernet's weights on a batch of the training half.
 */

import { emptyAverage, include, means } from '../loop/averages.ts'
import { checkFinite, fit } from '../loop/fit.ts'
import { imagesOf, sharedBatch } from '../loop/shared-batch.ts'
import type { RunFolder } from '../runs/folder.ts'
import type { Batch, Evaluate } from '../strategies/strategy.ts'
import { adopt, resetPeakMemory, stackScalars, type Tensor, tidy } from '../torch/index.ts'
import { SpaceControl } from './control.ts'
import { evaluateOnImages } from './evaluate.ts'
import type { HalfStreams } from './images.ts'
import { stepWithinMemory } from './memory-step.ts'
import { onNextBatches } from './next-batches.ts'
import { checkSame, prepareStep } from './ranks.ts'
import type { EpochReport, MemoryReport, SearchObserver, SearchWork, StepReport } from './report.ts'
import type { SearchRequest } from './request.ts'
import { searchLr } from './schedule.ts'
import { beginStage, type Session, sessionFiles } from './session.ts'
import { stageAt } from './stages.ts'
import { type Collapse, trustOf } from './trust.ts'
import { type SupernetStepOptions, stepOptions, weightStep } from './weight-step.ts'

/**
 * Runs a session from where it stands to the end and returns the architecture. Writes metrics and checkpoints to `run`.
 * Throws DdsasError 'interrupted' after saving when the user stops it, 'nonfinite' when a loss is not finite, 'disk' when
 * something cannot be written.
 */
export async function search(
  session: Session,
  run: RunFolder,
  observer: Partial<SearchObserver>,
  { signal, benchmark }: Pick<SearchRequest, 'signal' | 'benchmark'> = {},
): Promise<unknown> {
  const { config, strategy, streams } = session
  const lr = () => searchLr(session.progress.epoch, config, session.stages)
  // what was tried before is no part of a window
  resetPeakMemory(session.device)
  const writeRecord = () => {
    const record = strategy.takeRecord?.()
    if (record !== undefined) run.appendWindow(record)
  }
  const work = workOf(observer)
  // rank 0 changes the space, and the others take over what it samples
  const control = run.writes ? new SpaceControl(session, run, observer) : undefined
  return fit(
    {
      config,
      stepsPerEpoch: () => streams.train.batchesPerPass,
      command: 'search',
      ranks: session.ranks,
      progress: () => session.progress,
      beginEpoch: (epoch, write) => {
        const stage = stageAt(session.stages, epoch)
        if (stage.from === epoch && epoch > 0) beginStage(session, stage)
        const groups = strategy.beginEpoch?.(epoch)
        if (groups === undefined) return
        const report = { epoch, globalStep: session.progress.globalStep, groups }
        write('space', report)
        observer.space?.(report)
      },
      step: async (write) => {
        control?.beforeStep(write)
        const tellMemory = (report: MemoryReport) => {
          write('memory', report)
          if (report.reason !== null || report.peak === null) observer.memory?.(report)
        }
        const report = await stepWithinMemory(session, () => searchStep(session, lr()), tellMemory)
        writeRecord()
        const { limits } = session
        if (!limits?.isDue(report.globalStep)) return report
        await limits.follow(
          strategy,
          evaluateOn(session, () => {}),
        )
        return report
      },
      endEpoch: async (began, pause, write) => {
        const { report: ended, collapses } = await endEpoch(session, lr(), began, pause, work)
        const recorded = benchmark?.recorded(ended.architecture)
        const report = recorded ? { ...ended, recorded } : ended
        for (const collapse of collapses) {
          const { epoch, globalStep } = report
          const told = { epoch, globalStep, ...collapse }
          write('collapse', told)
          observer.collapse?.(told)
        }
        run.writeGenotype(report.architecture)
        return report
      },
      finish: async (_, pause) => {
        control?.end()
        if (strategy.finish === undefined) return session.progress.lastArchitecture
        strategy.finish(session.progress)
        writeRecord()
        const occasion = { last: true, progress: work.ranking }
        const architecture = await strategy.derive(evaluateOn(session, pause), occasion)
        run.writeGenotype(architecture)
        return architecture
      },
      files: (logs) => sessionFiles(session, logs),
    },
    run,
    observer,
    signal,
  )
}

/** Tells how far a work at an epoch's end is. */
function workOf(observer: Partial<SearchObserver>) {
  const told = (what: SearchWork) => (done: number, total: number) => observer.work?.(what, done, total)
  return { ranking: told('ranking'), controller: told('controller') }
}

/** One architecture step and one weight step; moves the session's progress by a step. */
export async function searchStep(session: Session, lr: number): Promise<StepReport> {
  const { strategy, streams, progress, config, ranks } = session
  const began = performance.now()
  prepareStep(session)
  const [train, valid] = await nextBatches(streams)
  const { architecture, weights } = tidy(() => {
    for (const { images, labels } of [train, valid]) {
      adopt(images)
      adopt(labels)
    }
    const both = [sharedBatch(train, ranks), sharedBatch(valid, ranks)]
    // one look at the device, after all of the step was asked of it
    const compute = (batches: readonly Batch[]) => bothUpdates(session, batches, stepOptions(config, lr))
    const values =
      strategy.graphKey === undefined
        ? compute(both)
        : session.replay.run(`${strategy.graphKey} ${lr}`, both, compute)
    const [loss, correct, gradNorm, firstLoss, firstCorrect] = values.floats()
    return {
      architecture:
        firstLoss === undefined
          ? undefined
          : { loss: firstLoss, correct: firstCorrect, images: imagesOf(valid) },
      weights: { loss, correct, gradNorm, images: imagesOf(train) },
    }
  })
  const done = { ...progress, step: progress.step + 1, globalStep: progress.globalStep + 1 }
  const report: StepReport = {
    epoch: done.epoch,
    step: done.step,
    globalStep: done.globalStep,
    train: { loss: weights.loss, accuracy: weights.correct / weights.images },
    valid: architecture
      ? { loss: architecture.loss, accuracy: architecture.correct / architecture.images }
      : null,
    images: weights.images,
    gradNorm: weights.gradNorm,
    lr,
    seconds: (performance.now() - began) / 1000,
  }
  checkFinite(
    `at step ${report.globalStep} (epoch ${report.epoch + 1}, step ${report.step})`,
    {
      'training loss': report.train.loss,
      ...(report.valid ? { 'validation loss': report.valid.loss } : {}),
      'gradient norm': report.gradNorm,
    },
    'search',
  )
  session.progress = {
    ...done,
    train: include(progress.train, weights),
    valid: architecture ? include(progress.valid, architecture) : progress.valid,
  }
  return report
}

/** A batch of each half; their tensors belong to the caller. */
async function nextBatches({ train, valid }: HalfStreams): Promise<readonly [train: Batch, valid: Batch]> {
  const first = await train.next()
  try {
    return [first, await valid.next()]
  } catch (error) {
    first.images.dispose()
    first.labels.dispose()
    throw error
  }
}

/**
 * Loss and correct predictions of the weight step and its gradients' norm, then loss and correct predictions of the
 * architecture step, where the strategy has one, which comes first: float64 [5] or [3].
 */
export function bothUpdates(
  {
    supernet,
    strategy,
    optimizer,
    limits,
  }: Pick<Session, 'supernet' | 'strategy' | 'optimizer'> & Partial<Pick<Session, 'limits'>>,
  [train, valid]: readonly Batch[],
  options: SupernetStepOptions,
): Tensor {
  return tidy(() => {
    const { lr, microBatch = 0 } = options
    const penalty = limits?.penalty.of
    const first = strategy.archStep(
      { supernet, weightOptimizer: optimizer, lr, microBatch, penalty },
      train,
      valid,
    )
    const second = weightStep(supernet, strategy, train, optimizer, { ...options, penalty })
    return stackScalars([
      second.loss,
      second.correct,
      second.gradNorm,
      ...(first ? [first.loss, first.correct] : []),
    ])
  })
}

/** Measures parts of the supernet on the validation images that accuracy is measured on. `pause` is called between batches. */
function evaluateOn({ supernet, images, device, ranks, memory }: Session, pause: () => void): Evaluate {
  // no step of a window showed what an evaluation takes
  const options = { device, pause, ranks, halves: memory !== undefined }
  return (archWeights, count) =>
    evaluateOnImages(supernet, archWeights, (use) => images.evaluate(use, count), options)
}

/**
 * Derives the architecture, measures accuracy, compares the architecture with the last epoch's, and moves the session to
 * the next epoch. `pause` may throw: the session then stands after the epoch's last step.
 */
async function endEpoch(
  session: Session,
  lr: number,
  began: number,
  pause: () => void,
  work: ReturnType<typeof workOf>,
): Promise<{ readonly report: EpochReport; readonly collapses: readonly Collapse[] }> {
  const { strategy, space, progress, limits, config } = session
  checkSame(session, `after epoch ${progress.epoch + 1}`)
  const evaluate = evaluateOn(session, pause)
  await strategy.endEpoch?.(onNextBatches(session, pause), work.controller)
  const last = progress.epoch === config.epochs - 1
  const architecture = await strategy.derive(evaluate, { last, progress: work.ranking })
  const valid = await evaluate((group) => strategy.archWeights(group, 'eval'))
  checkFinite(`after epoch ${progress.epoch + 1}`, { 'validation loss': valid.loss }, 'search')
  const { lastArchitecture } = progress
  const scores = strategy.scores?.()
  const trust = trustOf(space, architecture, scores, progress.trust)
  const report: EpochReport = {
    epoch: progress.epoch,
    globalStep: progress.globalStep,
    train: means(progress.train),
    valid,
    lr,
    indicators: space.indicators?.(architecture) ?? {},
    distance: lastArchitecture === null ? null : space.distance(architecture, lastArchitecture),
    ...trust.report,
    architecture,
    ...(limits ? { limits: limits.reports(architecture, scores) } : {}),
    seconds: (performance.now() - began) / 1000,
  }
  const next = { epoch: progress.epoch + 1, step: 0, globalStep: progress.globalStep }
  const averages = { train: emptyAverage, valid: emptyAverage }
  session.progress = { ...next, ...averages, lastArchitecture: architecture, trust: trust.history }
  return { report, collapses: trust.collapses }
}
