/** A search as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { join, resolve } from 'node:path'
import type { ImageDataset } from '../data/index.ts'
import { differencesOf, readCifarImages } from '../data/training-images.ts'
import { DdsasError } from '../errors.ts'
import {
  describeChanges,
  newRecord,
  type RunKind,
  type RunRecord,
  readRecord,
  resumedConfig,
} from '../loop/record.ts'
import {
  type CommonRequest,
  checkRequest,
  commonRequest,
  requestedSettings,
  type StopSignal,
  threadWarnings,
} from '../loop/request.ts'
import { checkSpace, restoreCheckpoint, withLock } from '../loop/resume.ts'
import { checkPrecision } from '../loop/settings.ts'
import { RunFolder } from '../runs/folder.ts'
import type { Genotype } from '../spaces/darts/genotype.ts'
import { variants } from '../strategies/ddsas/ddsas.ts'
import { resolveDevice, setThreads } from '../torch/index.ts'
import { applySettings, checkSchedule, type SearchConfig, searchConfigSchema } from './config.ts'
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
}

export const searchKind: RunKind<SearchConfig> = {
  kind: 'search',
  name: 'search',
  schema: searchConfigSchema,
  preset: searchPreset,
}

export interface SearchResult {
  readonly run: RunFolder
  readonly genotype: Genotype
}

/** Who is told what a run is before it starts. */
export interface RunObserver extends SearchObserver {
  start(about: RunStart): void
}

export interface RunStart {
  readonly run: RunFolder
  readonly config: SearchConfig
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
  readonly out: string
  readonly device: string
}

/**
 * Begins a new search or resumes one, and runs it to the end; whatever can be refused is refused before anything is
 * written. Throws DdsasError: 'input', 'data', 'checkpoint', 'device' or 'memory' for what cannot be used; what `search`
 * throws.
 */
export async function runSearch(
  request: SearchRequest,
  observer: Partial<RunObserver> = {},
): Promise<SearchResult> {
  checkRequest(request, commonRequest, 'runSearch')
  return request.resume === undefined
    ? beginSearch(request, observer)
    : resumeSearch(request, request.resume, observer)
}

/** Checks a request for a new search: preset, settings, device and run folder. Throws DdsasError 'input' or 'device'. */
export function planSearch(request: SearchRequest): SearchPlan {
  checkRequest(request, commonRequest, 'planSearch')
  const { preset, out, checkpoint } = request
  if (checkpoint !== undefined)
    throw new DdsasError('input', `--checkpoint ${checkpoint} is of a run: name the run with --resume`)
  if (preset === undefined)
    throw new DdsasError(
      'input',
      `name what to search, ${Object.keys(searchPresets).join(', ')}, or a run with --resume`,
    )
  const config = applySettings(searchPreset(preset), requestedSettings(request))
  checkSchedule(config)
  const path = resolve(out ?? join('runs', preset))
  if (out !== undefined) RunFolder.refuseUnlessNew(path)
  const device = resolveDevice(config.device)
  checkPrecision(config.precision, device)
  return { preset, config, out: path, device }
}

async function beginSearch(request: SearchRequest, observer: Partial<RunObserver>): Promise<SearchResult> {
  const { preset, config, out, device } = planSearch(request)
  const { data: directory = 'data' } = request
  setThreads(config.threads)
  const dataset = readSearchImages(directory, config)
  checkCounts(dataset.count, config)
  checkMemory(config, device, dataset.count)
  return withSession(createSession(config, dataset, device), async (session) => {
    checkSpace(out, session.supernet)
    const data = { directory, fingerprint: dataset.fingerprint }
    const record = newRecord(searchKind, preset, config, device, data)
    const run = request.out === undefined ? RunFolder.createFree(out, record) : RunFolder.create(out, record)
    const warnings = [...differencesOf(dataset, directory), ...warningsOf(session)]
    const about = { run, config, device, dataset, done: 0, notes: [], warnings }
    return withLock(run, () => runSession(about, session, observer, request.signal))
  })
}

async function resumeSearch(
  request: SearchRequest,
  path: string,
  observer: Partial<RunObserver>,
): Promise<SearchResult> {
  const { preset, out } = request
  if (out !== undefined)
    throw new DdsasError('input', `--out ${out} cannot be used with --resume: leave it out`)
  const run = RunFolder.open(path)
  const record = readRecord(run, searchKind)
  const config = resumedConfig(searchKind, record, { preset, settings: requestedSettings(request) })
  const device = resolveDevice(config.device)
  checkPrecision(config.precision, device)
  setThreads(config.threads)
  return withLock(
    run,
    () => {
      const dataset = readSameImages(record, request.data)
      checkMemory(config, device, dataset.count)
      return withSession(createSession(config, dataset, device), async (session) => {
        const { done, lost } = restoreCheckpoint(run, request.checkpoint, {
          globalStep: () => session.progress.globalStep,
          restore: (files) => restoreSession(session, files),
          files: (metricsBytes) => sessionFiles(session, metricsBytes),
        })
        const notes = describeChanges(record, config, device)
        const differences = differencesOf(dataset, request.data ?? record.data.directory)
        const warnings = [...lost, ...differences, ...warningsOf(session)]
        return runSession(
          { run, config, device, dataset, done, notes, warnings },
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
  observer.start?.(about)
  return { run: about.run, genotype: await search(session, about.run, observer, signal) }
}

/** What can be foreseen to disappoint. */
function warningsOf({ config, streams }: Session): string[] {
  const { window, variant } = config.ddsas
  const steps = streams.train.batchesPerPass
  // the first window is credited when the next one opens, within an epoch or with the next
  const credited = variants[variant].creditLastWindow || config.epochs > 1 || steps > window
  return [
    ...threadWarnings(config.threads),
    ...(credited
      ? []
      : [
          `the search ends with its first window (${steps} steps, M = ${window}), before anything is credited: its cell ` +
            'will say nothing; search more epochs, or lower ddsas.window',
        ]),
  ]
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
