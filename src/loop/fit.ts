/** The loop over epochs and steps of every run: metrics, checkpoints when they are due, and stopping when the user asks. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Ranks } from '../distributed/ranks.ts'
import { DdsasError, quoted } from '../errors.ts'
import type { Progress } from '../nn/step.ts'
import type { CheckpointFiles } from '../runs/checkpoint.ts'
import type { LogLengths, RunFolder } from '../runs/folder.ts'
import { commandLine } from '../words.ts'
import type { CommonConfig } from './common-settings.ts'
import { MetricsLogger } from './metrics-logger.ts'
import type { StopSignal } from './request.ts'

type Report = object & { readonly globalStep: number }

/** Adds a line to the metrics. */
type Write = (kind: string, report: Report) => void

/** What is particular to a search or to a training. */
export interface TrainingLoop<Step extends Report, Epoch extends Report, Result> {
  readonly config: CommonConfig
  /** Of the epoch that it is in. */
  stepsPerEpoch(): number
  /** The command that goes on with such a run: `search`. */
  readonly command: string
  /** The processes that share the run. */
  readonly ranks: Ranks
  progress(): Progress
  /** Called where an epoch begins, not where one is resumed. */
  beginEpoch?(epoch: number, write: Write): void
  /** Moves the progress by a step. */
  step(write: Write): Step | Promise<Step>
  /**
   * Moves the progress to the next epoch. `pause` is called between batches and may throw: the progress is then after the
   * epoch's last step. `began`: by `performance.now()`.
   */
  endEpoch(began: number, pause: () => void, write: Write): Epoch | Promise<Epoch>
  finish(write: Write, pause: () => void): Result | Promise<Result>
  /** The files of a checkpoint; `logs`: how long the run's logs are. */
  files(logs: LogLengths): CheckpointFiles
}

export interface LoopObserver<Step, Epoch> {
  step?(report: Step, stepsPerEpoch: number): void
  epoch?(report: Epoch): void
}

/**
 * Runs a loop from where it stands to its end. Throws DdsasError 'interrupted' after saving when `signal` says so,
 * 'disk' when something cannot be written, and what its steps throw.
 */
export async function fit<Step extends Report, Epoch extends Report, Result>(
  loop: TrainingLoop<Step, Epoch, Result>,
  run: RunFolder,
  observer: LoopObserver<Step, Epoch>,
  signal?: StopSignal,
): Promise<Result> {
  const { config, ranks } = loop
  const logger = run.writes ? new MetricsLogger(run, loop.progress().globalStep) : undefined
  const checkpoints = new Checkpoints(loop, run)
  const write: Write = (kind, report) => logger?.write(kind, report)
  const stopIfAsked = () => {
    if (ranks.any(signal?.aborted === true)) checkpoints.stop()
  }
  try {
    while (loop.progress().epoch < config.epochs) {
      const began = performance.now()
      if (loop.progress().step === 0) loop.beginEpoch?.(loop.progress().epoch, write)
      while (loop.progress().step < loop.stepsPerEpoch()) {
        const report = await loop.step(write)
        write('step', report)
        observer.step?.(report, loop.stepsPerEpoch())
        checkpoints.saveIfDue()
        await nextTurn()
        stopIfAsked()
      }
      const report = await loop.endEpoch(began, stopIfAsked, write)
      write('epoch', report)
      checkpoints.save()
      observer.epoch?.(report)
    }
    return await loop.finish(write, stopIfAsked)
  } catch (error) {
    throw withCheckpoint(error, run, loop.command)
  } finally {
    logger?.close()
  }
}

type Saved = Pick<TrainingLoop<Report, Report, unknown>, 'config' | 'command' | 'progress' | 'files'>

/** When a run is saved: within an epoch when it is due, after each epoch, and when the user stops it. */
class Checkpoints {
  readonly #loop: Saved
  readonly #run: RunFolder
  #savedAt = performance.now()

  constructor(loop: Saved, run: RunFolder) {
    this.#loop = loop
    this.#run = run
  }

  save(): void {
    const { globalStep } = this.#loop.progress()
    this.#run.saveCheckpoint(globalStep, this.#loop.files(this.#run.logLengths))
    this.#savedAt = performance.now()
  }

  /** Saves when enough time or steps went by; that changes no number of the run. */
  saveIfDue(): void {
    const { seconds, steps } = this.#loop.config.checkpoint
    const late = performance.now() - this.#savedAt > 1000 * seconds
    if (late || (steps > 0 && this.#loop.progress().globalStep % steps === 0)) this.save()
  }

  /** Saves and throws DdsasError 'interrupted'. */
  stop(): void {
    this.save()
    const { globalStep } = this.#loop.progress()
    const command = commandLine(`${this.#loop.command} --resume ${quoted(this.#run.path)}`)
    throw new DdsasError('interrupted', `stopped after step ${globalStep}, saved; go on with: ${command}`)
  }
}

/** Throws DdsasError 'nonfinite' for a number that is not finite; `again`: what to do again, such as "search". */
export function checkFinite(when: string, values: Readonly<Record<string, number>>, again: string): void {
  for (const [name, value] of Object.entries(values))
    if (!Number.isFinite(value))
      throw new DdsasError(
        'nonfinite',
        `the ${name} is ${value} ${when}: ${again} again with a smaller weightOptimizer.lr or weightOptimizer.gradClip`,
      )
}

/** What ended a run by itself, with the checkpoint before it, where there is one. */
function withCheckpoint(error: unknown, run: RunFolder, command: string): unknown {
  const step = run.checkpointSteps().at(-1)
  if (!(error instanceof DdsasError)) return error
  if (error.kind === 'rank') return withWayOn(error, run, step, command)
  if (step === undefined) return error
  if (error.kind !== 'nonfinite' && error.kind !== 'memory') return error
  return new DdsasError(error.kind, `${error.message}; the checkpoint after step ${step} is kept`, {
    cause: error,
  })
}

/** Another process ended; any number of them can go on. */
function withWayOn(error: DdsasError, run: RunFolder, step: number | undefined, command: string): DdsasError {
  const from = step === undefined ? '' : ` from the checkpoint after step ${step}`
  const again = commandLine(`${command} --resume ${quoted(run.path)}`)
  return new DdsasError('rank', `${error.message}; go on${from}, with any number of processes: ${again}`, {
    cause: error,
  })
}
