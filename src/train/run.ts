/** A search as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { readFileSync, statfsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { type ImageDataset, readCifar } from '../data/index.ts'
import { DdsasError } from '../errors.ts'
import { stateDict } from '../nn/index.ts'
import { RunFolder } from '../runs/folder.ts'
import type { Genotype } from '../spaces/genotype.ts'
import { describeEngine, resolveDevice, setThreads } from '../torch/index.ts'
import { applySettings, describeDifferences, parseSearchConfig, type SearchConfig } from './config.ts'
import { searchPreset } from './presets.ts'
import type { SearchObserver } from './report.ts'
import { search } from './search.ts'
import { createSession, disposeSession, restoreSession, type Session } from './session.ts'

/** What a user asks for: a preset with changes, or a run to go on with. */
export interface SearchRequest {
  /** Required for a new search. */
  readonly preset?: string
  /** `key=value` assignments on top of the preset. */
  readonly settings: readonly string[]
  /** Folder with the data set; when resuming, the one the run used unless given. */
  readonly data?: string
  /** Folder of a new run. */
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

const environmentSchema = z.object({
  ddsas: z.string(),
  libtorch: z.string(),
  cpuCapability: z.string(),
  device: z.string(),
  node: z.string(),
})
const recordSchema = z.object({
  kind: z.literal('search'),
  preset: z.string(),
  config: z.unknown(),
  data: z.object({ directory: z.string(), fingerprint: z.string() }),
  environment: environmentSchema,
})
type RunRecord = z.infer<typeof recordSchema>

/** Settings that change no number of a search beyond rounding: a run may be resumed with others. */
const bookkeeping = /^(checkpoint\.|threads$|device$)/

/** Begins a new search or resumes one, and runs it to the end. See `search` for what is thrown on the way. */
export async function runSearch(request: SearchRequest, observer: RunObserver): Promise<SearchResult> {
  return request.resume === undefined
    ? beginSearch(request, observer)
    : resumeSearch(request, request.resume, observer)
}

async function beginSearch(request: SearchRequest, observer: RunObserver): Promise<SearchResult> {
  const { preset = '', settings, data = 'data', out = join('runs', preset) } = request
  const config = applySettings(searchPreset(preset), settings)
  const device = engine(config)
  const dataset = readCifar(data, config.dataset, 'train')
  const session = createSession(config, dataset, device)
  checkSpace(out, session)
  const record: RunRecord = {
    kind: 'search',
    preset,
    config,
    data: { directory: resolve(data), fingerprint: dataset.fingerprint },
    environment: environment(device),
  }
  const run = RunFolder.create(out, record)
  return conduct({ run, config, device, dataset, done: 0, notes: [] }, session, observer)
}

async function resumeSearch(
  request: SearchRequest,
  path: string,
  observer: RunObserver,
): Promise<SearchResult> {
  const run = RunFolder.open(path)
  const record = readRecord(run)
  const config = resumedConfig(request, record)
  const device = engine(config)
  const dataset = readCifar(request.data ?? record.data.directory, config.dataset, 'train')
  if (dataset.fingerprint !== record.data.fingerprint)
    throw new DdsasError(
      'input',
      `the images differ from those of the run, read from ${record.data.directory}: name them with --data`,
    )
  const session = createSession(config, dataset, device)
  const checkpoint = run.loadCheckpoint(request.checkpoint)
  const about = { run, config, device, dataset, notes: changes(record.environment, environment(device)) }
  const metricsBytes = checkpoint ? restoreSession(session, checkpoint.files) : 0
  return conduct({ ...about, done: session.progress.total }, session, observer, metricsBytes)
}

/** Runs a session under the run's lock; `metricsBytes`: what a killed run wrote after its checkpoint is dropped. */
async function conduct(
  about: RunStart,
  session: Session,
  observer: RunObserver,
  metricsBytes?: number,
): Promise<SearchResult> {
  const { run } = about
  const unlock = run.lock()
  try {
    if (metricsBytes !== undefined) run.truncateMetrics(metricsBytes)
    observer.start(about)
    return { run, genotype: await search(session, run, observer) }
  } finally {
    unlock()
    disposeSession(session)
  }
}

/** The device of a configuration; sets the threads. */
function engine(config: SearchConfig): string {
  const device = resolveDevice(config.device)
  setThreads(config.threads)
  return device
}

function readRecord(run: RunFolder): RunRecord {
  const parsed = recordSchema.safeParse(run.config)
  if (parsed.success) return parsed.data
  throw new DdsasError('input', `${run.path} is not the run of a search: its config.json says otherwise`)
}

/** The run's configuration; throws DdsasError 'input' naming a setting asked for that it does not have. */
function resumedConfig({ preset, settings }: SearchRequest, record: RunRecord): SearchConfig {
  const own = parseSearchConfig(record.config, 'config.json of the run')
  const asked = applySettings(
    preset === undefined ? own : { ...searchPreset(preset), threads: own.threads },
    settings,
  )
  const differences = describeDifferences(own, asked).filter((line) => !bookkeeping.test(line.split(':')[0]))
  if (differences.length > 0)
    throw new DdsasError(
      'input',
      `${differences[0]}; resume without it, or begin a new run with another --out`,
    )
  return { ...own, checkpoint: asked.checkpoint, threads: asked.threads, device: asked.device }
}

function environment(device: string): RunRecord['environment'] {
  const { libtorch, cpuCapability } = describeEngine()
  return { ddsas: packageVersion(), libtorch, cpuCapability, device, node: process.version }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

function changes(before: RunRecord['environment'], now: RunRecord['environment']): string[] {
  return (Object.keys(before) as (keyof typeof before)[]).flatMap((key) =>
    before[key] === now[key] ? [] : [`${key} is ${now[key]}, the run began with ${before[key]}`],
  )
}

/** Throws DdsasError 'disk' when three checkpoints (two kept, one being written) and the metrics will not fit. */
function checkSpace(out: string, session: Session): void {
  const weights = [...stateDict(session.supernet).values()].reduce((sum, tensor) => sum + 4 * tensor.size, 0)
  const needed = 3 * 2 * weights + 50e6
  let folder = resolve(out)
  for (;;) {
    try {
      const { bavail, bsize } = statfsSync(folder)
      if (bavail * bsize >= needed) return
      const [free, wanted] = [bavail * bsize, needed].map((bytes) => `${Math.ceil(bytes / 1e6)} MB`)
      throw new DdsasError(
        'disk',
        `${folder} has ${free} free, a run needs ${wanted}: free some or choose another --out`,
      )
    } catch (error) {
      if (error instanceof DdsasError || folder === dirname(folder)) throw error
      folder = dirname(folder)
    }
  }
}
