/** What every run does before its first step: sees that there is space, takes the lock, takes up a checkpoint. */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { DdsasError } from '../errors.ts'
import { type Module, type Precision, stateDict } from '../nn/index.ts'
import type { CheckpointFiles } from '../runs/checkpoint.ts'
import { emptyLogs, type LogLengths, RunFolder } from '../runs/folder.ts'
import { resolveDevice } from '../torch/index.ts'
import { type CommonConfig, checkPrecision } from './common-settings.ts'
import type { CommonRequest } from './request.ts'
import type { ReadFiles } from './state-file.ts'

/** Throws DdsasError 'input' where a new run is asked for with the checkpoint of another. */
export function refuseCheckpoint({ checkpoint }: CommonRequest): void {
  if (checkpoint === undefined) return
  throw new DdsasError('input', `--checkpoint ${checkpoint} is of a run: name the run with --resume`)
}

/** Throws DdsasError 'input' where a run is to go on in another folder. */
export function refuseOut({ out }: CommonRequest): void {
  if (out === undefined) return
  throw new DdsasError('input', `--out ${out} cannot be used with --resume: leave it out`)
}

/** Where a run computes. Throws DdsasError 'device' where that is not there, or slow beyond use in its precision. */
export function deviceOf({ device, precision }: CommonConfig & { readonly precision: Precision }): string {
  const found = resolveDevice(device)
  checkPrecision(precision, found)
  return found
}

/** The folder of a new run: the one that was named, else the first of `usual`, `usual-2`, … that is free. */
export function createRun({ out }: CommonRequest, usual: string, record: object): RunFolder {
  return out === undefined ? RunFolder.createFree(usual, record) : RunFolder.create(usual, record)
}

/** Runs `body` while no other process can write to the run. */
export async function withLock<T>(run: RunFolder, body: () => Promise<T>, takeOver = false): Promise<T> {
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
export function restoreCheckpoint(
  run: RunFolder,
  checkpoint: number | undefined,
  session: Resumable,
): { readonly done: number; readonly lost: string[] } {
  const saved = run.loadCheckpoint(checkpoint)
  const logs = saved ? session.restore(saved.files) : emptyLogs
  const globalStep = session.globalStep()
  // The course after an earlier checkpoint is given up now: killed before the next one, a resume must not find it.
  if (run.checkpointSteps().some((step) => step > globalStep))
    run.saveCheckpoint(globalStep, session.files(logs))
  return { done: globalStep, lost: run.truncateLogs(logs) }
}

/** Throws DdsasError 'disk' when three checkpoints (two kept, one being written) and the metrics will not fit. */
export function checkSpace(out: string, module: Module): void {
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
