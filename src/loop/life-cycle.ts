/** The life of a run, begun or resumed: the one order in which it is checked, made, locked, taken up and run. */
import { statfsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../checks.ts'
import { oneProcess, type Ranks, threadsFor } from '../distributed/ranks.ts'
import { DdsasError } from '../errors.ts'
import { type Module, type Precision, stateDict } from '../nn/index.ts'
import type { CheckpointFiles } from '../runs/checkpoint.ts'
import { emptyLogs, type LogLengths, RunFolder } from '../runs/folder.ts'
import { resolveDevice, setThreads } from '../torch/index.ts'
import { type CommonConfig, checkPrecision } from './common-settings.ts'
import {
  describeChanges,
  newRecord,
  type RunData,
  type RunKind,
  type RunRecord,
  readRecord,
  resumedConfig,
} from './record.ts'
import type { CommonRequest } from './request.ts'
import { flatten, isBookkeeping } from './settings.ts'
import type { ReadFiles } from './state-file.ts'

type Config = CommonConfig & { readonly precision: Precision }

/** What is particular to a search or to a training; a session is what it holds between two steps. */
export interface LifeCycle<Own extends Config, Session, Result> {
  readonly kind: RunKind<Own>
  /** Reads the data in `directory` and draws everything from the seed; whatever can be refused is refused here. */
  open(config: Own, device: string, directory: string): Session | Promise<Session>
  dispose(session: Session): void
  /** Whose weights a checkpoint holds. */
  module(session: Session): Module
  /** What the record says of the data. */
  data(session: Session): Omit<RunData, 'directory'>
  resumable(session: Session): Resumable
  /** What the user may want to change, or know. */
  warnings(session: Session, directory: string): string[]
  /** Writes what a new run has from the beginning. */
  begin?(session: Session, run: RunFolder): void
  /** From where the session stands to the end. */
  run(start: Started<Own, Session>): Promise<Result>
}

/** A run between its beginning, or being taken up, and its next step. */
export interface Started<Own, Session> {
  readonly run: RunFolder
  readonly config: Own
  readonly device: string
  readonly session: Session
  /** Steps already done by the run that is resumed; 0 for a new one. */
  readonly done: number
  /** What may make a resumed run differ from an uninterrupted one, such as another libtorch. */
  readonly notes: readonly string[]
  /** What the user may want to change, or know. */
  readonly warnings: readonly string[]
}

/** A new run as it was asked for, checked as far as that needs no data. */
export interface PlannedRun<Own> {
  readonly preset: string
  readonly config: Own
  /** Its folder, or the first of those that are tried. */
  readonly out: string
  readonly device: string
}

/** Begins a run, and runs it to the end. Nothing is written before all that can be refused was. */
export async function beginRun<Own extends Config, Session, Result>(
  life: LifeCycle<Own, Session, Result>,
  request: CommonRequest,
  { preset, config, out, device }: PlannedRun<Own>,
): Promise<Result> {
  const { data: directory = 'data', ranks = oneProcess } = request
  setThreads(threadsFor(config.threads, ranks))
  return withSession(life, await life.open(config, device, directory), async (session) => {
    const data = { directory, ...life.data(session) }
    ranks.agree(factsOf(life.kind, config, data))
    if (ranks.rank === 0) checkSpace(out, life.module(session))
    const run = runOf(ranks, newRecord(life.kind, preset, config, device, data), (record) =>
      createRun(request, out, record),
    )
    return withLock(run, async () => {
      life.begin?.(session, run)
      const warnings = life.warnings(session, directory)
      return life.run({ run, config, device, session, done: 0, notes: [], warnings })
    })
  })
}

/** What all ranks must have alike, by its name. */
function factsOf<Own extends Config>(
  { effective = (config) => config }: RunKind<Own>,
  config: Own,
  { fingerprint }: Pick<RunData, 'fingerprint'>,
): Record<string, string> {
  const settings = [...flatten(effective(config))].filter(([key]) => !isBookkeeping(key))
  const facts = settings.map(([key, value]) => [`the setting ${key}`, JSON.stringify(value)])
  return Object.fromEntries([...facts, ['the fingerprint of the images', fingerprint]])
}

/** Rank 0 makes or opens the run; the others know it by its path there. */
function runOf(ranks: Ranks, record: object, ofFirst: (record: object) => RunFolder): RunFolder {
  if (ranks.world === 1) return ofFirst(record)
  if (ranks.rank > 0)
    return RunFolder.elsewhere(Buffer.from(ranks.broadcast(new Uint8Array())).toString(), record)
  const run = ofFirst(record)
  ranks.broadcast(Buffer.from(run.path))
  return run
}

/** A run that is asked to go on. */
export interface OpenedRun<Own> {
  readonly run: RunFolder
  readonly record: RunRecord<Own>
  readonly config: Own
}

/** Throws DdsasError 'input' for a run of another kind, or settings of a request that a run may not change. */
export function openRun<Own extends Config>(
  kind: RunKind<Own>,
  request: CommonRequest,
  path: string,
): OpenedRun<Own> {
  if (request.out !== undefined)
    throw new DdsasError('input', `--out ${request.out} cannot be used with --resume: leave it out`)
  const run = RunFolder.open(path)
  const record = readRecord(run, kind)
  return { run, record, config: resumedConfig(kind, record, request) }
}

/** Takes a run up where its checkpoint left it, and runs it to the end. */
export async function resumeRun<Own extends Config, Session, Result>(
  life: LifeCycle<Own, Session, Result>,
  request: CommonRequest,
  { run: opened, record, config }: OpenedRun<Own>,
): Promise<Result> {
  const { data: directory = record.data.directory, ranks = oneProcess } = request
  const device = deviceOf(config, ranks)
  // rank 0 writes, and reads the checkpoint for all
  const run = ranks.rank === 0 ? opened : RunFolder.elsewhere(opened.path, record)
  setThreads(threadsFor(config.threads, ranks))
  const body = async () =>
    withSession(life, await life.open(config, device, directory), async (session) => {
      const data = life.data(session)
      checkSameImages(data, record, directory)
      ranks.agree(factsOf(life.kind, config, data))
      const { done, lost } = restoreCheckpoint(run, request.checkpoint, life.resumable(session), ranks)
      const notes = describeChanges(record, config, device)
      const warnings = [...lost, ...life.warnings(session, directory)]
      return life.run({ run, config, device, session, done, notes, warnings })
    })
  return withLock(run, body, request.takeOver)
}

async function withSession<Session, Result>(
  { dispose }: Pick<LifeCycle<Config, Session, Result>, 'dispose'>,
  session: Session,
  body: (session: Session) => Promise<Result>,
): Promise<Result> {
  try {
    return await body(session)
  } finally {
    dispose(session)
  }
}

/** Throws DdsasError 'input' where the images are not those the run began with. */
function checkSameImages(
  { fingerprint }: Pick<RunData, 'fingerprint'>,
  { data }: Pick<RunRecord<unknown>, 'data'>,
  directory: string,
): void {
  if (fingerprint === data.fingerprint) return
  const remedy =
    resolve(directory) === data.directory
      ? ': they changed since it began; put them back, or begin a new run'
      : `, read from ${data.directory}: name those with --data`
  throw new DdsasError('input', `the images in ${directory} are not those of the run${remedy}`)
}

/** Throws DdsasError 'input' where a new run is asked for with the checkpoint of another. */
export function refuseCheckpoint({ checkpoint }: CommonRequest): void {
  if (checkpoint === undefined) return
  throw new DdsasError('input', `--checkpoint ${checkpoint} is of a run: name the run with --resume`)
}

/** Where a run computes. Throws DdsasError 'device' where that is not there, or slow beyond use in its precision. */
export function deviceOf({ device, precision }: Config, { localRank }: Ranks = oneProcess): string {
  const found = resolveDevice(device, localRank)
  checkPrecision(precision, found)
  return found
}

/** The folder of a new run: the one that was named, else the first of `usual`, `usual-2`, … that is free. */
function createRun({ out }: CommonRequest, usual: string, record: object): RunFolder {
  return out === undefined ? RunFolder.createFree(usual, record) : RunFolder.create(usual, record)
}

/** Runs `body` while no other process can write to the run. */
async function withLock<T>(run: RunFolder, body: () => Promise<T>, takeOver = false): Promise<T> {
  const unlock = run.lock(takeOver)
  try {
    return await body()
  } finally {
    unlock()
  }
}

/** What can be put where a checkpoint stood. */
export interface Resumable {
  /** Steps done. */
  globalStep(): number
  /** Returns how long the logs were. */
  restore(files: ReadFiles): LogLengths
  files(logs: LogLengths): CheckpointFiles
}

/** Goes back to a checkpoint, or to the beginning where there is none; returns the steps done, and what to say of it. */
function restoreCheckpoint(
  run: RunFolder,
  checkpoint: number | undefined,
  session: Resumable,
  ranks: Ranks,
): { readonly done: number; readonly lost: string[] } {
  const files = sharedFiles(ranks, () => run.loadCheckpoint(checkpoint)?.files)
  const logs = files ? session.restore(files) : emptyLogs
  const globalStep = session.globalStep()
  // The course after an earlier checkpoint is given up now: killed before the next one, a resume must not find it.
  if (run.checkpointSteps().some((step) => step > globalStep))
    run.saveCheckpoint(globalStep, session.files(logs))
  return { done: globalStep, lost: run.truncateLogs(logs) }
}

/** The files that rank 0 reads, on every rank: no other needs to see its disk. */
function sharedFiles(ranks: Ranks, read: () => ReadFiles | undefined): ReadFiles | undefined {
  const files = ranks.rank === 0 ? read() : undefined
  if (ranks.world === 1) return files
  const names: unknown = parseJson(
    Buffer.from(ranks.broadcast(Buffer.from(JSON.stringify(files ? [...files.keys()] : null)))).toString(),
  )
  if (names === null) return undefined
  return new Map(
    z
      .array(z.string())
      .parse(names)
      .map((name) => [name, Buffer.from(ranks.broadcast(files?.get(name) ?? new Uint8Array()))]),
  )
}

/** Throws DdsasError 'disk' when three checkpoints (two kept, one being written) and the metrics will not fit. */
function checkSpace(out: string, module: Module): void {
  const weights = [...stateDict(module).values()].reduce((sum, tensor) => sum + 4 * tensor.size, 0)
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
