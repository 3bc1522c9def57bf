/** A search as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { join, resolve } from 'node:path'
import type { MemoryModel } from '../budget/memory-model.ts'
import type { SkippedFile } from '../data/folder-images.ts'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { DdsasError, quoted } from '../errors.ts'
import {
  beginRun,
  deviceOf,
  type LifeCycle,
  openRun,
  type PlannedRun,
  refuseCheckpoint,
  resumeRun,
  type Started,
} from '../loop/life-cycle.ts'
import { checkRequest, threadWarnings, warmUpWarnings } from '../loop/request.ts'
import { shareOf } from '../loop/shared-batch.ts'
import { RunFolder } from '../runs/folder.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { releaseMemory, withMemoryLimit } from '../torch/index.ts'
import { commandLine } from '../words.ts'
import { partsOf, type SearchConfig, type SearchParts } from './config.ts'
import { recordDrawn } from './drawn.ts'
import { findImages, type ImagesObserver, type SearchImages } from './images.ts'
import type { ImagesShape } from './images-shape.ts'
import { checkMemory } from './memory.ts'
import { fitSubspaceMemory } from './memory-fill.ts'
import { fillsMemory, limitWithin } from './memory-request.ts'
import { type MeasureObserver, planRequestOf } from './plan.ts'
import { publishedWarnings } from './published.ts'
import { checkShared } from './ranks.ts'
import type { SearchObserver } from './report.ts'
import {
  checkBenchmark,
  ownPartsOf,
  partNames,
  requestedSearch,
  type SearchRequest,
  searchKindWith,
  searchRequest,
} from './request.ts'
import { search } from './search.ts'
import { createSession, disposeSession, restoreSession, type Session, sessionFiles } from './session.ts'
import { stagesOf } from './stages.ts'
import { planEpochs, type TimePlan } from './time.ts'

export interface SearchResult {
  readonly run: RunFolder
  readonly space: SearchSpace
  /** Of that space. */
  readonly architecture: unknown
}

/** Who is told what a run is before it starts. */
export interface RunObserver extends SearchObserver {
  start(about: RunStart): void
  /** While images of a folder are decoded, before the start. */
  decoding(done: number, total: number): void
  /** Of each file of an image folder that cannot be decoded, once, with how many there are so far. */
  skip(file: SkippedFile, count: number): void
  /** While steps are measured to plan a time. */
  measure: MeasureObserver
  /** How many epochs fit, where a time was asked for. */
  time(plan: TimePlan): void
}

export interface RunStart extends Omit<Started<SearchConfig, never>, 'session'> {
  readonly parts: SearchParts
  readonly images: SearchImages
}

/** A new search as it was asked for, checked as far as that needs no data. */
export interface SearchPlan extends PlannedRun<SearchConfig> {
  readonly parts: SearchParts
}

/**
 * Begins a new search or resumes one, and runs it to the end; whatever can be refused is refused before anything is
 * written. Throws DdsasError: 'input', 'data', 'checkpoint', 'device' or 'budget' for what cannot be used; what `search`
 * throws; 'memory' where `memory.limit`, which holds for all tensors of the process while the search runs, allows no more.
 */
export async function runSearch(
  request: SearchRequest,
  observer: Partial<RunObserver> = {},
): Promise<SearchResult> {
  checkRequest(request, searchRequest, 'runSearch')
  return request.resume === undefined
    ? beginSearch(request, observer)
    : resumeSearch(request, request.resume, observer)
}

/** Checks a request for a new search: preset, settings, device and run folder. Throws DdsasError 'input' or 'device'. */
export function planSearch(request: SearchRequest): SearchPlan {
  checkRequest(request, searchRequest, 'planSearch')
  const { out, ranks } = request
  refuseCheckpoint(request)
  const { preset, ...asked } = requestedSearch(request)
  const path = resolve(out ?? join('runs', preset))
  if (out !== undefined && (ranks?.rank ?? 0) === 0) RunFolder.refuseUnlessNew(path)
  return { preset, ...asked, out: path, device: deviceOf(asked.config, ranks) }
}

/** What a search holds, and what it is made of. */
interface OpenSearch {
  readonly session: Session
  readonly images: SearchImages
}

function lifeOf(
  request: SearchRequest,
  observer: Partial<RunObserver>,
): LifeCycle<SearchConfig, OpenSearch, SearchResult> {
  const own = ownPartsOf(request)
  const { ranks = oneProcess } = request
  const told: ImagesObserver = {
    onSkip: (file, count) => observer.skip?.(file, count),
    onProgress: (done, total) => observer.decoding?.(done, total),
    signal: request.signal,
    share: shareOf(ranks),
  }
  return {
    kind: searchKindWith(own),
    open: async (config, device, directory) => {
      checkBenchmark(request, config)
      const parts = partsOf(config, own)
      const found = findImages(config, directory, device)
      checkShared(config, parts, ranks)
      const model = checkedMemory(config, parts, device, found.shape, ranks)
      const images = await found.open(told)
      return { session: sessionOn(images, config, device, parts, ranks, model), images }
    },
    dispose: ({ session }) => {
      disposeSession(session)
      // what is drawn in the end is no reason to take more
      releaseMemory()
    },
    module: ({ session }) => session.supernet,
    data: ({ images: { fingerprint, normalisation, classes, drawn } }) =>
      drawn ? { fingerprint, normalisation, classes } : { fingerprint },
    resumable: ({ session }) => ({
      globalStep: () => session.progress.globalStep,
      restore: (files) => restoreSession(session, files),
      files: (logs) => sessionFiles(session, logs),
    }),
    warnings: ({ session, images }) => [...images.warnings, ...warningsOf(session)],
    run: ({ session: { session, images }, ...about }) => {
      if (images.drawn && about.run.writes) recordDrawn(about.run, images.drawn)
      observer.start?.({ ...about, parts: session.parts, images })
      return runSession(about, session, request, observer)
    },
  }
}

/** Throws DdsasError 'budget' for what will not fit; says what subspaces take where they are filled up to memory. */
function checkedMemory(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: ImagesShape,
  { world }: Ranks,
): MemoryModel | undefined {
  // the memory of one of several processes is that of its part of a batch
  const part = (batch: number) => Math.ceil(batch / world)
  const own = { ...config, data: { ...config.data, batch: part(config.data.batch) } }
  if (fillsMemory(config, parts)) return fitSubspaceMemory(own, parts, device, images)
  const stages = stagesOf(config, parts).map((stage) => ({ ...stage, batch: part(stage.batch) }))
  checkMemory(own, parts, device, images, undefined, stages)
  return undefined
}

async function beginSearch(request: SearchRequest, observer: Partial<RunObserver>): Promise<SearchResult> {
  const timed = withTime(request, observer)
  return beginRun(lifeOf(timed, observer), timed, planSearch(timed))
}

/** A request with the epochs that its time allows. */
function withTime(request: SearchRequest, observer: Partial<RunObserver>): SearchRequest {
  const { time, epochs } = request
  if (time === undefined) return request
  if (epochs !== undefined)
    throw new DdsasError('input', `--time says how many epochs there are: leave out --epochs ${epochs}`)
  const { world } = request.ranks ?? oneProcess
  if (world > 1)
    throw new DdsasError(
      'input',
      `--time measures one process, not ${world}: say how many --epochs there are`,
    )
  // what can be refused at once is, before anything is measured
  planSearch(request)
  const planned = planEpochs(planRequestOf(request), time, observer.measure)
  observer.time?.(planned)
  return { ...request, epochs: planned.epochs }
}

async function resumeSearch(
  request: SearchRequest,
  path: string,
  observer: Partial<RunObserver>,
): Promise<SearchResult> {
  const life = lifeOf(request, observer)
  const opened = openRun(life.kind, request, path)
  if (request.time !== undefined)
    throw new DdsasError('input', '--time plans a new search: leave it out, the run has its epochs')
  const { config } = opened
  const asked = partNames(request, config)
  for (const key of ['space', 'strategy'] as const)
    if (asked[key] !== config[key])
      throw new DdsasError(
        'input',
        `${key} is '${config[key]}' in the run, not '${asked[key]}'; resume without it`,
      )
  if (request.memory === undefined) return resumeRun(life, request, opened)
  const limit = limitWithin(config, partsOf(config, ownPartsOf(request)), request.memory)
  return resumeRun(life, request, { ...opened, config: { ...config, memory: { ...config.memory, limit } } })
}

async function runSession(
  { run, config, device }: Pick<RunStart, 'run' | 'config' | 'device'>,
  session: Session,
  { signal, benchmark }: SearchRequest,
  observer: Partial<RunObserver>,
): Promise<SearchResult> {
  try {
    const architecture = await withMemoryLimit(device, config.memory.limit, () =>
      search(session, run, observer, { signal, benchmark }),
    )
    return { run, space: session.space, architecture }
  } catch (error) {
    throw withMemoryRemedy(error, run)
  }
}

/** Memory that ran out, with what can be done. */
function withMemoryRemedy(error: unknown, run: RunFolder): unknown {
  if (!(error instanceof DdsasError) || error.kind !== 'memory') return error
  const command = commandLine(`search --resume ${quoted(run.path)}`)
  return new DdsasError(
    'memory',
    `${error.message}; go on with more memory, or a larger memory.limit: ${command} --set memory.limit=…; or search anew with a ` +
      'smaller data.batch, network.channels or evaluation.batch, or fewer sampled candidates',
    { cause: error },
  )
}

/** What can be foreseen to disappoint. */
function warningsOf({ config, streams, parts }: Session): string[] {
  const { space, strategy } = parts
  const schedule = { epochs: config.epochs, stepsPerEpoch: streams.train.batchesPerPass }
  return [
    ...threadWarnings(config.threads),
    ...warmUpWarnings(config.epochs, config.weightOptimizer),
    ...(strategy.warnings?.(config, schedule, space) ?? []),
    ...publishedWarnings(config, parts),
  ]
}

/** A session that owns the images, or they go. */
function sessionOn(
  images: SearchImages,
  config: SearchConfig,
  device: string,
  parts: SearchParts,
  ranks: Ranks,
  model: MemoryModel | undefined,
): Session {
  try {
    return createSession(config, images, device, parts, ranks, model && { model })
  } catch (error) {
    images.dispose()
    throw error
  }
}
