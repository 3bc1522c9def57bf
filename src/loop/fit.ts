/** The loop over epochs and steps of every run: metrics, checkpoints when they are due, and stopping when the user asks. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { DdsasError, quoted } from '../errors.ts'
import type { CheckpointFiles } from '../runs/checkpoint.ts'
import type { RunFolder } from '../runs/folder.ts'
import { commandLine } from '../words.ts'
import { Journal } from './metrics-logger.ts'
import type { StopSignal } from './request.ts'
import type { CommonConfig } from './settings.ts'

/** Where a run stands between two steps. */
export interface Place {
  /** From 0; `epochs` when all are done. */
  readonly epoch: number
  /** Steps done in this epoch. */
  readonly step: number
  /** Steps done since the run began. */
  readonly total: number
}

type Report = object & { readonly total: number }

/** What is particular to a search or to a training. */
export interface Course<Step extends Report, Epoch extends Report, Result> {
  readonly config: CommonConfig
  readonly stepsPerEpoch: number
  /** The command that goes on with such a run: `search`. */
  readonly command: string
  place(): Place
  /** Called where an epoch begins, not where one is resumed. */
  beginEpoch?(epoch: number, write: (kind: string, report: Report) => void): void
  /** Moves the place by a step. */
  step(): Step | Promise<Step>
  /**
   * Moves the place to the next epoch. `pause` is called between batches and may throw: the place is then after the
   * epoch's last step. `began`: by `performance.now()`.
   */
  endEpoch(began: number, pause: () => void): Epoch | Promise<Epoch>
  /** `write` adds a line to the metrics. */
  finish(write: (kind: string, report: Report) => void, pause: () => void): Result | Promise<Result>
  /** The files of a checkpoint; `metricsBytes`: how long the metrics are. */
  files(metricsBytes: number): CheckpointFiles
}

export interface CourseObserver<Step, Epoch> {
  step?(report: Step, stepsPerEpoch: number): void
  epoch?(report: Epoch): void
}

/**
 * Runs a course from where it stands to its end. Throws DdsasError 'interrupted' after saving when `signal` says so,
 * 'disk' when something cannot be written, and what its steps throw.
 */
export async function runCourse<Step extends Report, Epoch extends Report, Result>(
  course: Course<Step, Epoch, Result>,
  run: RunFolder,
  observer: CourseObserver<Step, Epoch>,
  signal?: StopSignal,
): Promise<Result> {
  const { config, stepsPerEpoch } = course
  const journal = new Journal(run, course.place().total)
  const checkpoints = new Checkpoints(course, run)
  const write = (kind: string, report: Report) => journal.write(kind, report)
  const stopIfAsked = () => {
    if (signal?.aborted) checkpoints.stop()
  }
  try {
    while (course.place().epoch < config.epochs) {
      const began = performance.now()
      if (course.place().step === 0) course.beginEpoch?.(course.place().epoch, write)
      while (course.place().step < stepsPerEpoch) {
        const report = await course.step()
        journal.write('step', report)
        observer.step?.(report, stepsPerEpoch)
        checkpoints.saveIfDue()
        await nextTurn()
        stopIfAsked()
      }
      const report = await course.endEpoch(began, stopIfAsked)
      journal.write('epoch', report)
      checkpoints.save()
      observer.epoch?.(report)
    }
    return await course.finish(write, stopIfAsked)
  } catch (error) {
    throw withCheckpoint(error, run)
  } finally {
    journal.close()
  }
}

type Saved = Pick<Course<Report, Report, unknown>, 'config' | 'command' | 'place' | 'files'>

/** When a run is saved: within an epoch when it is due, after each epoch, and when the user stops it. */
class Checkpoints {
  readonly #course: Saved
  readonly #run: RunFolder
  #savedAt = performance.now()

  constructor(course: Saved, run: RunFolder) {
    this.#course = course
    this.#run = run
  }

  save(): void {
    const { total } = this.#course.place()
    this.#run.saveCheckpoint(total, this.#course.files(this.#run.metricsBytes))
    this.#savedAt = performance.now()
  }

  /** Saves when enough time or steps went by; that changes no number of the run. */
  saveIfDue(): void {
    const { seconds, steps } = this.#course.config.checkpoint
    const late = performance.now() - this.#savedAt > 1000 * seconds
    if (late || (steps > 0 && this.#course.place().total % steps === 0)) this.save()
  }

  /** Saves and throws DdsasError 'interrupted'. */
  stop(): void {
    this.save()
    const { total } = this.#course.place()
    const command = commandLine(`${this.#course.command} --resume ${quoted(this.#run.path)}`)
    throw new DdsasError('interrupted', `stopped after step ${total}, saved; go on with: ${command}`)
  }
}

/** Throws DdsasError 'nonfinite' for a number that is not finite; `again`: what to do again, such as "search". */
export function checkFinite(when: string, values: Readonly<Record<string, number>>, again: string): void {
  for (const [name, value] of Object.entries(values))
    if (!Number.isFinite(value))
      throw new DdsasError(
        'nonfinite',
        `the ${name} is ${value} ${when}: ${again} again with a smaller weights.rate or weights.clip`,
      )
}

/** What ended a run by itself, with the checkpoint before it, where there is one. */
function withCheckpoint(error: unknown, run: RunFolder): unknown {
  const step = run.checkpointSteps().at(-1)
  if (!(error instanceof DdsasError) || step === undefined) return error
  if (error.kind !== 'nonfinite' && error.kind !== 'memory') return error
  return new DdsasError(error.kind, `${error.message}; the checkpoint after step ${step} is kept`, {
    cause: error,
  })
}
