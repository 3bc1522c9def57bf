/**
 * Changes of the space by hand while a search runs: taken from the run's queue where a window opens, kept in its record, and
 * made again at the same step by a search that is resumed from before.
 */
import { firstProblem } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { type ControlRecord, type ControlRequest, RunControl } from '../runs/control.ts'
import type { RunFolder } from '../runs/folder.ts'
import { changeText, type SpaceChange, spaceChange } from '../strategies/shared/space-change.ts'
import type { Strategy } from '../strategies/strategy.ts'
import type { SearchObserver, SpaceChangeReport } from './report.ts'
import type { Session } from './session.ts'

/** A change by hand, checked as far as that needs no space. Throws DdsasError 'input'. */
export function parseChange(value: unknown): SpaceChange {
  const parsed = spaceChange.safeParse(value)
  if (parsed.success) return parsed.data
  throw new DdsasError('input', `no change of a space: ${firstProblem(parsed.error, 'change')}`)
}

/** Changes the space of a strategy. Throws DdsasError 'input' where it has none that changes, or not so. */
export function changeSpaceOf(strategy: Strategy, name: string, change: SpaceChange) {
  if (strategy.changeSpace !== undefined) return strategy.changeSpace(change)
  throw new DdsasError(
    'input',
    `${changeText(change)}: the strategy '${name}' has no space that changes; ddsas has`,
  )
}

type Write = (kind: string, report: SpaceChangeReport) => void

export class SpaceControl {
  readonly #session: Session
  readonly #control: RunControl
  readonly #observer: Partial<SearchObserver>
  /** What was done by earlier processes, from where this one stands on. */
  readonly #toRepeat: readonly ControlRecord[]

  /** Throws DdsasError 'data' where the run's record cannot be read. */
  constructor(session: Session, run: RunFolder, observer: Partial<SearchObserver>) {
    this.#session = session
    this.#control = new RunControl(run.path)
    this.#observer = observer
    const { globalStep } = session.progress
    this.#toRepeat = this.#control.records().filter((record) => record.globalStep >= globalStep)
  }

  /** Called before each step; `write` adds a line to the metrics. What cannot be done is told, and changes nothing. */
  beforeStep(write: Write): void {
    const { strategy, progress } = this.#session
    for (const { globalStep, change } of this.#toRepeat)
      if (globalStep === progress.globalStep) this.#attempt(() => this.#change(change, write))
    if (strategy.opensWindow?.(progress) === false) return
    for (const request of this.#control.waiting()) this.#take(request, write)
  }

  #take({ id, change, problem }: ControlRequest, write: Write): void {
    const { globalStep } = this.#session.progress
    this.#attempt(() => {
      if (problem !== undefined) throw new DdsasError('input', problem)
      // killed between its record and its removal from the queue
      if (this.#control.records().some((record) => record.id === id)) return
      const made = this.#change(change, write)
      this.#control.record({ id, globalStep, change: made })
    })
    this.#control.remove(id)
  }

  #change(value: unknown, write: Write): SpaceChange {
    const { strategy, parts, progress } = this.#session
    const change = parseChange(value)
    const groups = changeSpaceOf(strategy, parts.strategy.name, change)
    const report = { epoch: progress.epoch, globalStep: progress.globalStep, change, groups }
    write('space', report)
    this.#observer.space?.(report)
    return change
  }

  #attempt(body: () => void): void {
    try {
      body()
    } catch (error) {
      if (!(error instanceof DdsasError) || error.kind !== 'input') throw error
      this.#refuse(error.message)
    }
  }

  #refuse(reason: string): void {
    const { epoch, globalStep } = this.#session.progress
    this.#observer.refused?.({ epoch, globalStep, reason })
  }

  /** Called when the search ends: what waits is refused. */
  end(): void {
    for (const { id, change } of this.#control.waiting()) {
      const asked = spaceChange.safeParse(change)
      this.#refuse(`${asked.success ? changeText(asked.data) : id}: the search has ended`)
      this.#control.remove(id)
    }
  }
}
