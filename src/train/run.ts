/** A search as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { statfsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type ImageDataset, readCifar } from '../data/index.ts'
import { DdsasError } from '../errors.ts'
import { stateDict } from '../nn/index.ts'
import { RunFolder } from '../runs/folder.ts'
import type { Genotype } from '../spaces/genotype.ts'
import { resolveDevice, setThreads } from '../torch/index.ts'
import { applySettings, type SearchConfig } from './config.ts'
import { searchPreset, searchPresets } from './presets.ts'
import { describeChanges, readRecord, resumedConfig, type SearchRecord, searchRecord } from './record.ts'
import type { SearchObserver } from './report.ts'
import { search } from './search.ts'
import { createSession, disposeSession, restoreSession, type Session, sessionFiles } from './session.ts'

/** What a user asks for: a preset with changes, or a run to go on with. */
export interface SearchRequest {
  /** Required for a new search. */
  readonly preset?: string
  /** `key=value` assignments on top of the preset. */
  readonly settings?: readonly string[]
  /** Folder with the data set; when resuming, the one the run used unless given. */
  readonly data?: string
  /** Folder of a new run; `runs/<preset>` unless given. */
  readonly out?: string
  /** Folder of a run to go on with. */
  readonly resume?: string
  /** Checkpoint to go on from; the latest unless given. */
  readonly checkpoint?: number
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
 * written. Throws DdsasError: 'input', 'data', 'checkpoint' or 'device' for what cannot be used; what `search` throws.
 */
export async function runSearch(
  request: SearchRequest,
  observer: Partial<RunObserver> = {},
): Promise<SearchResult> {
  return request.resume === undefined
    ? beginSearch(request, observer)
    : resumeSearch(request, request.resume, observer)
}

/** Checks a request for a new search: preset, settings, device and run folder. Throws DdsasError 'input' or 'device'. */
export function planSearch({ preset, settings = [], out, checkpoint }: SearchRequest): SearchPlan {
  if (checkpoint !== undefined)
    throw new DdsasError('input', `--checkpoint ${checkpoint} is of a run: name the run with --resume`)
  if (preset === undefined)
    throw new DdsasError(
      'input',
      `name what to search, ${Object.keys(searchPresets).join(', ')}, or a run with --resume`,
    )
  const config = applySettings(searchPreset(preset), settings)
  const path = resolve(out ?? join('runs', preset))
  RunFolder.refuseUnlessNew(path)
  return { preset, config, out: path, device: resolveDevice(config.device) }
}

async function beginSearch(request: SearchRequest, observer: Partial<RunObserver>): Promise<SearchResult> {
  const { preset, config, out, device } = planSearch(request)
  const { data: directory = 'data' } = request
  setThreads(config.threads)
  const dataset = readCifar(directory, config.dataset, 'train')
  return withSession(createSession(config, dataset, device), async (session) => {
    checkSpace(out, session)
    const run = RunFolder.create(out, searchRecord(preset, config, device, { directory, dataset }))
    const about = { run, config, device, dataset, done: 0, notes: [] }
    return withLock(run, () => conduct(about, session, observer))
  })
}

async function resumeSearch(
  request: SearchRequest,
  path: string,
  observer: Partial<RunObserver>,
): Promise<SearchResult> {
  const { preset, settings = [], out } = request
  if (out !== undefined)
    throw new DdsasError('input', `--out ${out} cannot be used with --resume: leave it out`)
  const run = RunFolder.open(path)
  const record = readRecord(run)
  const config = resumedConfig(record, { preset, settings })
  const device = resolveDevice(config.device)
  setThreads(config.threads)
  return withLock(run, () => {
    const checkpoint = run.loadCheckpoint(request.checkpoint)
    const dataset = readSameImages(record, request.data)
    return withSession(createSession(config, dataset, device), async (session) => {
      const metricsBytes = checkpoint ? restoreSession(session, checkpoint.files) : 0
      const { total } = session.progress
      // The course after an earlier checkpoint is given up now: killed before the next one, a resume must not find it.
      if (run.checkpointSteps().some((step) => step > total))
        run.saveCheckpoint(total, sessionFiles(session, metricsBytes))
      run.truncateMetrics(metricsBytes)
      const notes = describeChanges(record, config, device)
      return conduct({ run, config, device, dataset, done: total, notes }, session, observer)
    })
  })
}

async function conduct(
  about: RunStart,
  session: Session,
  observer: Partial<RunObserver>,
): Promise<SearchResult> {
  observer.start?.(about)
  return { run: about.run, genotype: await search(session, about.run, observer) }
}

async function withLock<T>(run: RunFolder, body: () => Promise<T>): Promise<T> {
  const unlock = run.lock()
  try {
    return await body()
  } finally {
    unlock()
  }
}

async function withSession<T>(session: Session, body: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await body(session)
  } finally {
    disposeSession(session)
  }
}

/** The training images of a run; throws DdsasError 'input' when they are not those it began with. */
function readSameImages({ config, data }: SearchRecord, directory = data.directory): ImageDataset {
  const dataset = readCifar(directory, config.dataset, 'train')
  if (dataset.fingerprint === data.fingerprint) return dataset
  throw new DdsasError(
    'input',
    `the images in ${directory} are not those of the run, read from ${data.directory}: name those with --data`,
  )
}

/** Throws DdsasError 'disk' when three checkpoints (two kept, one being written) and the metrics will not fit. */
function checkSpace(out: string, session: Session): void {
  const weights = [...stateDict(session.supernet).values()].reduce((sum, tensor) => sum + 4 * tensor.size, 0)
  const needed = 3 * 2 * weights + 50e6
  const { folder, free } = freeSpace(out)
  if (free >= needed) return
  const [there, wanted] = [free, needed].map((bytes) => `${Math.ceil(bytes / 1e6)} MB`)
  throw new DdsasError(
    'disk',
    `${folder} has ${there} free, a run needs ${wanted}: free some or choose another --out`,
  )
}

/** Free bytes where a folder is or would be made. */
function freeSpace(path: string): { readonly folder: string; readonly free: number } {
  try {
    const { bavail, bsize } = statfsSync(path)
    return { folder: path, free: bavail * bsize }
  } catch (error) {
    if (path === dirname(path)) throw error
    return freeSpace(dirname(path))
  }
}
