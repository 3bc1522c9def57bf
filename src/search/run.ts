/** A search as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { ImageDataset } from '../data/index.ts'
import { differencesOf, readCifarImages } from '../data/training-images.ts'
import { DdsasError, quoted } from '../errors.ts'
import {
  describeChanges,
  newRecord,
  type RunKind,
  type RunRecord,
  readRecord,
  requestedConfig,
  resumedConfig,
} from '../loop/record.ts'
import {
  type CommonRequest,
  checkRequest,
  commonRequest,
  type StopSignal,
  threadWarnings,
} from '../loop/request.ts'
import {
  checkSpace,
  createRun,
  deviceOf,
  refuseCheckpoint,
  refuseOut,
  restoreCheckpoint,
  withLock,
} from '../loop/resume.ts'
import { RunFolder } from '../runs/folder.ts'
import type { SearchSpace } from '../spaces/space.ts'
import type { AnyStrategy } from '../strategies/index.ts'
import { setThreads, withMemoryLimit } from '../torch/index.ts'
import { commandLine } from '../words.ts'
import {
  checkStrategy,
  type OwnParts,
  partsOf,
  type SearchConfig,
  type SearchParts,
  searchConfigSchema,
  withParts,
} from './config.ts'
import { checkMemory } from './memory.ts'
import { searchPreset, searchPresets } from './presets.ts'
import type { SearchObserver } from './report.ts'
import { search } from './search.ts'
import { createSession, disposeSession, restoreSession, type Session, sessionFiles } from './session.ts'
import { checkCounts } from './split.ts'

/** What a user asks for: a preset with changes, or a run to go on with. */
export interface SearchRequest extends CommonRequest {
  /** Required for a new search. */
  readonly preset?: string | undefined
  /** What is searched: a name, or a space of one's own; as the preset says unless given. */
  readonly space?: string | SearchSpace | undefined
  /** How: a name, or a strategy of one's own; as the preset says unless given. A run with its own parts needs them again. */
  readonly strategy?: string | AnyStrategy | undefined
}

const ownPart = z.union([z.string(), z.looseObject({ name: z.string() })], {
  error: 'expected a name, or an object with a name',
})
const searchRequest = { ...commonRequest, space: ownPart.optional(), strategy: ownPart.optional() }

/** Searches with what is known, and with parts of one's own. */
function searchKindWith(own: OwnParts): RunKind<SearchConfig> {
  return { kind: 'search', name: 'search', schema: searchConfigSchema(own), preset: searchPreset }
}

export const searchKind = searchKindWith({})

/** The parts of a request that are one's own. */
function ownPartsOf({ space, strategy }: SearchRequest): OwnParts {
  return {
    ...(typeof space === 'object' ? { space } : {}),
    ...(typeof strategy === 'object' ? { strategy } : {}),
  }
}

function nameOf(part: string | { readonly name: string } | undefined): string | undefined {
  return typeof part === 'object' ? part.name : part
}

/** The names that a request gives its parts, or else a configuration. */
function partNames(request: SearchRequest, config: SearchConfig): Pick<SearchConfig, 'space' | 'strategy'> {
  return {
    space: nameOf(request.space) ?? config.space,
    strategy: nameOf(request.strategy) ?? config.strategy,
  }
}

export interface SearchResult {
  readonly run: RunFolder
  readonly space: SearchSpace
  /** Of that space. */
  readonly architecture: unknown
}

/** Who is told what a run is before it starts. */
export interface RunObserver extends SearchObserver {
  start(about: RunStart): void
}

export interface RunStart {
  readonly run: RunFolder
  readonly config: SearchConfig
  readonly parts: SearchParts
  readonly device: string
  readonly dataset: ImageDataset
  /** Steps already done by the run that is resumed; 0 for a new one. */
  readonly done: number
  /** What may make a resumed run differ from an uninterrupted one, such as another libtorch. */
  readonly notes: readonly string[]
  /** What the user may want to change, or know. */
  readonly warnings: readonly string[]
}

/** A new search as it was asked for, checked as far as that needs no data. */
export interface SearchPlan {
  readonly preset: string
  readonly config: SearchConfig
  readonly parts: SearchParts
  readonly out: string
  readonly device: string
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
  const { preset, out } = request
  refuseCheckpoint(request)
  if (preset === undefined)
    throw new DdsasError(
      'input',
      `name what to search, ${Object.keys(searchPresets).join(', ')}, or a run with --resume`,
    )
  const own = ownPartsOf(request)
  const base = searchPreset(preset)
  const named = withParts(base, partsOf(partNames(request, base), own))
  const config = requestedConfig(searchKindWith(own), named, request)
  const parts = partsOf(config, own)
  checkStrategy(config, parts)
  const path = resolve(out ?? join('runs', preset))
  if (out !== undefined) RunFolder.refuseUnlessNew(path)
  const device = deviceOf(config)
  return { preset, config, parts, out: path, device }
}

async function beginSearch(request: SearchRequest, observer: Partial<RunObserver>): Promise<SearchResult> {
  const { preset, config, parts, out, device } = planSearch(request)
  const { data: directory = 'data' } = request
  setThreads(config.threads)
  const dataset = readSearchImages(directory, config)
  checkCounts(dataset.count, config)
  checkMemory(config, parts, device, dataset.count)
  return withSession(createSession(config, dataset, device, parts), async (session) => {
    checkSpace(out, session.supernet)
    const data = { directory, fingerprint: dataset.fingerprint }
    const record = newRecord(searchKind, preset, config, device, data)
    const run = createRun(request, out, record)
    const warnings = [...differencesOf(dataset, directory), ...warningsOf(session, parts)]
    const about = { run, config, parts, device, dataset, done: 0, notes: [], warnings }
    return withLock(run, () => runSession(about, session, observer, request.signal))
  })
}

async function resumeSearch(
  request: SearchRequest,
  path: string,
  observer: Partial<RunObserver>,
): Promise<SearchResult> {
  refuseOut(request)
  const run = RunFolder.open(path)
  const own = ownPartsOf(request)
  const kind = searchKindWith(own)
  const record = readRecord(run, kind)
  const config = resumedConfig(kind, record, request)
  const asked = partNames(request, config)
  for (const key of ['space', 'strategy'] as const)
    if (asked[key] !== config[key])
      throw new DdsasError(
        'input',
        `${key} is '${config[key]}' in the run, not '${asked[key]}'; resume without it`,
      )
  const parts = partsOf(config, own)
  const device = deviceOf(config)
  setThreads(config.threads)
  return withLock(
    run,
    () => {
      const dataset = readSameImages(record, request.data)
      checkMemory(config, parts, device, dataset.count)
      return withSession(createSession(config, dataset, device, parts), async (session) => {
        const { done, lost } = restoreCheckpoint(run, request.checkpoint, {
          globalStep: () => session.progress.globalStep,
          restore: (files) => restoreSession(session, files),
          files: (logs) => sessionFiles(session, logs),
        })
        const notes = describeChanges(record, config, device)
        const differences = differencesOf(dataset, request.data ?? record.data.directory)
        const warnings = [...lost, ...differences, ...warningsOf(session, parts)]
        return runSession(
          { run, config, parts, device, dataset, done, notes, warnings },
          session,
          observer,
          request.signal,
        )
      })
    },
    request.takeOver,
  )
}

async function runSession(
  about: RunStart,
  session: Session,
  observer: Partial<RunObserver>,
  signal: StopSignal | undefined,
): Promise<SearchResult> {
  const { run, config, device } = about
  observer.start?.(about)
  try {
    const architecture = await withMemoryLimit(device, config.memory.limit, () =>
      search(session, run, observer, signal),
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
function warningsOf({ config, streams }: Session, { strategy }: SearchParts): string[] {
  const schedule = { epochs: config.epochs, stepsPerEpoch: streams.train.batchesPerPass }
  return [...threadWarnings(config.threads), ...(strategy.warnings?.(config, schedule) ?? [])]
}

async function withSession<T>(session: Session, body: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await body(session)
  } finally {
    disposeSession(session)
  }
}

function readSearchImages(directory: string, config: SearchConfig): ImageDataset {
  const advice = 'search takes CIFAR alone so far, train takes image folders'
  return readCifarImages(directory, config, 'train', advice)
}

/** The training images of a run; throws DdsasError 'input' when they are not those it began with. */
function readSameImages({ config, data }: RunRecord<SearchConfig>, directory = data.directory): ImageDataset {
  const dataset = readSearchImages(directory, config)
  if (dataset.fingerprint === data.fingerprint) return dataset
  throw new DdsasError(
    'input',
    `the images in ${directory} are not those of the run, read from ${data.directory}: name those with --data`,
  )
}
