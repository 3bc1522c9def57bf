/**
 * The search (Algorithm 1 of DDSAS, the bilevel loop of DARTS): at every step the strategy updates the architecture on a
 * batch of the validation half, then SGD updates the supernet's weights on a batch of the training half.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DdsasError } from '../errors.ts'
import { cosineRate } from '../nn/index.ts'
import type { RunFolder } from '../runs/folder.ts'
import { cosineDistance, type Genotype, skipConnections } from '../spaces/genotype.ts'
import { tidy, watchInterrupts } from '../torch/index.ts'
import { emptyAverage, include, means } from './averages.ts'
import { evaluateSupernet } from './evaluate.ts'
import { Journal } from './journal.ts'
import type { EpochReport, SearchObserver, StepReport } from './report.ts'
import { type Session, sessionFiles } from './session.ts'
import { weightStep } from './weight-step.ts'

/**
 * Runs a session from where it stands to the end and returns the genotype. Writes metrics and checkpoints to `run`.
 * Throws DdsasError 'interrupted' after saving when the user stops it, 'nonfinite' when a loss is not finite.
 */
export async function search(session: Session, run: RunFolder, observer: SearchObserver): Promise<Genotype> {
  const { config, strategy, streams } = session
  const stepsPerEpoch = streams.weights.batchesPerPass
  const resumed = session.progress.total > 0
  const journal = new Journal(run, resumed ? session.progress.total : undefined)
  const interrupts = watchInterrupts()
  const checkpoints = new Checkpoints(session, run)
  try {
    while (session.progress.epoch < config.epochs) {
      const { epoch, step } = session.progress
      const rate = cosineRate(epoch, config.epochs, config.weights.rate, config.weights.finalRate)
      const began = performance.now()
      if (step === 0) strategy.beginEpoch(epoch)
      while (session.progress.step < stepsPerEpoch) {
        const report = searchStep(session, rate)
        journal.step(report)
        observer.step(report, stepsPerEpoch)
        checkpoints.saveIfDue()
        await nextTurn()
        if (interrupts.interrupted()) checkpoints.saveAndStop()
      }
      const report = endEpoch(session, rate, began)
      journal.epoch(report)
      checkpoints.save()
      observer.epoch(report)
    }
    strategy.finish()
    const genotype = strategy.genotype()
    run.writeGenotype(genotype)
    return genotype
  } finally {
    interrupts.stop()
    journal.close()
  }
}

/** One architecture step and one weight step; moves the session's progress by a step. */
export function searchStep(session: Session, rate: number): StepReport {
  const { supernet, strategy, optimizer, streams, progress, config } = session
  const began = performance.now()
  const { architecture, weights, images } = tidy(() => {
    const train = streams.weights.next()
    const valid = streams.architecture.next()
    const first = strategy.update(train, valid, progress)
    const second = weightStep(supernet, strategy, train, optimizer, { rate, clip: config.weights.clip })
    return {
      architecture: { loss: first.loss.item(), correct: first.correct.item(), images: valid.labels.size },
      weights: {
        loss: second.loss.item(),
        correct: second.correct.item(),
        images: train.labels.size,
        gradNorm: second.gradNorm,
      },
      images: train.labels.size,
    }
  })
  const done = { ...progress, step: progress.step + 1, total: progress.total + 1 }
  const report: StepReport = {
    epoch: done.epoch,
    step: done.step,
    total: done.total,
    train: { loss: weights.loss, accuracy: weights.correct / images },
    valid: { loss: architecture.loss, accuracy: architecture.correct / architecture.images },
    gradNorm: weights.gradNorm,
    rate,
    seconds: (performance.now() - began) / 1000,
  }
  checkFinite(report)
  session.progress = {
    ...done,
    train: include(progress.train, weights),
    valid: include(progress.valid, architecture),
  }
  return report
}

function checkFinite({ epoch, step, total, train, valid, gradNorm }: StepReport): void {
  const values = { 'training loss': train.loss, 'validation loss': valid.loss, 'gradient norm': gradNorm }
  for (const [name, value] of Object.entries(values))
    if (!Number.isFinite(value))
      throw new DdsasError(
        'nonfinite',
        `the ${name} is ${value} at step ${total} (epoch ${epoch + 1}, step ${step}); the checkpoint before is kept: ` +
          'search again with a smaller weights.rate or weights.clip',
      )
}

/** Measures accuracy, compares the cell with the last epoch's, and moves the session to the next epoch. */
function endEpoch(session: Session, rate: number, began: number): EpochReport {
  const { supernet, strategy, data, evaluated, config, device, progress } = session
  const valid = evaluateSupernet(supernet, strategy, data, evaluated, {
    batch: config.evaluation.batch,
    device,
  })
  const genotype = strategy.genotype()
  const { lastGenotype } = progress
  const report: EpochReport = {
    epoch: progress.epoch,
    total: progress.total,
    train: means(progress.train),
    valid,
    rate,
    skipConnections: skipConnections(genotype, 'normal'),
    cosineDistance: lastGenotype ? cosineDistance(genotype, lastGenotype) : null,
    genotype,
    seconds: (performance.now() - began) / 1000,
  }
  const next = { epoch: progress.epoch + 1, step: 0, total: progress.total }
  session.progress = { ...next, train: emptyAverage, valid: emptyAverage, lastGenotype: genotype }
  return report
}

/** When and how a session is saved. */
class Checkpoints {
  readonly #session: Session
  readonly #run: RunFolder
  #savedAt = performance.now()

  constructor(session: Session, run: RunFolder) {
    this.#session = session
    this.#run = run
  }

  save(): void {
    this.#run.saveCheckpoint(
      this.#session.progress.total,
      sessionFiles(this.#session, this.#run.metricsBytes),
    )
    this.#savedAt = performance.now()
  }

  /** Saves when enough time or steps went by. When it happens changes no number of the search. */
  saveIfDue(): void {
    const { seconds, steps } = this.#session.config.checkpoint
    const { total } = this.#session.progress
    const late = performance.now() - this.#savedAt > 1000 * seconds
    if (late || (steps > 0 && total % steps === 0)) this.save()
  }

  saveAndStop(): never {
    this.save()
    const { total } = this.#session.progress
    throw new DdsasError(
      'interrupted',
      `stopped after step ${total}, saved; go on with: ddsas search --resume ${this.#run.path}`,
    )
  }
}
