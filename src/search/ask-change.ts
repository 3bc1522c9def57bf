/** Asks a search for a change of its space, from another process: what can be refused is refused at once, the rest waits. */
import { z } from 'zod'
import { DdsasError, quoted } from '../errors.ts'
import { readRecord } from '../loop/record.ts'
import { checkRequest } from '../loop/request.ts'
import { RunControl } from '../runs/control.ts'
import { RunFolder } from '../runs/folder.ts'
import { changeText, type SpaceChange, spaceChange } from '../strategies/shared/space-change.ts'
import type { SpaceReport, Strategy } from '../strategies/strategy.ts'
import { commandLine } from '../words.ts'
import { partsOf, type SearchConfig, type SearchParts } from './config.ts'
import { changeSpaceOf, parseChange } from './control.ts'
import { ownPartsOf, type SearchRequest, searchKindWith, searchRequest } from './request.ts'
import { readSaved } from './saved.ts'

/** What is asked of which run; its own parts are needed where it has some. */
export interface ChangeRequest extends Pick<SearchRequest, 'space' | 'strategy'> {
  /** Folder of the run. */
  readonly run: string
  readonly change: SpaceChange
}

/** What will happen. */
export interface ChangeAnswer {
  /** Absolute path of the run. */
  readonly run: string
  readonly change: SpaceChange
  /** Whether a search works there now: it takes the change up where it opens its next window; else once it is resumed. */
  readonly running: boolean
  /** Steps done at the run's last checkpoint, by which the answer foresees. */
  readonly globalStep: number
  /** How many changes that were asked for before still wait. */
  readonly before: number
  /** How the space will change; of a shrink the next window decides which operations go. */
  readonly groups: SpaceReport
}

const changeRequest = {
  run: z.string(),
  change: spaceChange,
  space: searchRequest.space,
  strategy: searchRequest.strategy,
}

/**
 * Puts a change into the queue of a search.
 * @throws {DdsasError} `input` where there is no such run, its search has ended, its strategy has no space that changes, or
 * the change cannot be made; `data` or `checkpoint` where the run cannot be read; `disk` where it cannot be written.
 */
export function askChange(request: ChangeRequest): ChangeAnswer {
  checkRequest(request, changeRequest, 'askChange')
  const { change } = request
  const run = RunFolder.open(request.run)
  const own = ownPartsOf(request)
  const { config } = readRecord(run, searchKindWith(own))
  const control = new RunControl(run.path)
  const { strategy, globalStep } = standingOf(run, config, partsOf(config, own), changeText(change))
  try {
    const waiting = control.waiting()
    const done = control.records().filter((record) => record.globalStep >= globalStep)
    for (const earlier of [...done, ...waiting]) foresee(strategy, config, earlier.change)
    const groups = changeSpaceOf(strategy, config.strategy, change)
    control.ask(change)
    return { run: run.path, change, running: run.isRunning, globalStep, before: waiting.length, groups }
  } finally {
    strategy.dispose()
  }
}

/** A change that is before this one; one that cannot be made will be refused. */
function foresee(strategy: Strategy, { strategy: name }: SearchConfig, change: unknown): void {
  try {
    changeSpaceOf(strategy, name, parseChange(change))
  } catch (error) {
    if (!(error instanceof DdsasError) || error.kind !== 'input') throw error
  }
}

/** The strategy of a run as its last checkpoint holds it, or as it began. */
function standingOf(
  run: RunFolder,
  config: SearchConfig,
  parts: SearchParts,
  asked: string,
): { readonly strategy: Strategy; readonly globalStep: number } {
  const saved = readSaved(run, config, parts)
  const { epoch, step, globalStep } = saved.progress
  if (epoch >= config.epochs)
    throw new DdsasError(
      'input',
      `${asked}: the search in ${run.path} has ended after ${epoch} epochs; begin another with ${commandLine('search')}`,
    )
  const strategy = saved.strategy()
  // the schedule of an epoch is followed before its first step
  if (step === 0) strategy.beginEpoch?.(epoch)
  return { strategy, globalStep }
}

/** How a run that does not work goes on. */
export function resumeCommand(path: string): string {
  return commandLine(`search --resume ${quoted(path)}`)
}
