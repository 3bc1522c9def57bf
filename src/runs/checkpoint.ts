/** Checkpoints: folders of files with a manifest, put in place by a rename, so that a kill never loses the last one. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DdsasError } from '../errors.ts'
import { chunkBytes, makeFolder, reportDisk, reportRead, syncPath, writeSynced } from './files.ts'
import { type Manifest, manifestName, maxCheckpointBytes, readVerified } from './manifest.ts'

/** Content of a checkpoint: file name -> bytes. */
export type CheckpointFiles = Readonly<Record<string, string | Uint8Array>>

const fileNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

function folderName(step: number): string {
  return String(step).padStart(8, '0')
}

/** Steps of the complete checkpoints in `folder`, ascending. */
export function checkpointSteps(folder: string): number[] {
  const steps = new Set<number>()
  const entries = reportRead(folder, () =>
    existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [],
  )
  for (const entry of entries) {
    // `.replaced-<step>` without `<step>`: killed between the two renames that replace a checkpoint.
    const name = entry.name.replace(/^\.replaced-/, '')
    if (entry.isDirectory() && /^\d{8,}$/.test(name) && folderName(Number(name)) === name) {
      steps.add(Number(name))
    }
  }
  return [...steps].sort((a, b) => a - b)
}

/** Removes what a killed process left half-written or half-removed; only for the process that holds the lock. */
export function clearLeftovers(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const [, kind, rest] = /^\.(writing|removed|replaced)-(.+)$/.exec(name) ?? []
    if (kind === undefined || rest === undefined) continue
    const place = join(folder, rest)
    if (kind === 'replaced' && !existsSync(place)) renameSync(join(folder, name), place)
    else rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/**
 * Writes the checkpoint of `step`, then removes all others but one: `previous`, or the last before `step`. Later
 * steps belong to a course that was given up by resuming from an earlier one.
 * @throws {DdsasError} `disk` when it cannot be written (the others are untouched); `checkpoint` over 4 GiB.
 */
export function saveCheckpoint(
  folder: string,
  step: number,
  files: CheckpointFiles,
  previous?: number,
): void {
  checkContent(step, files)
  reportDisk(join(folder, folderName(step)), () => {
    makeFolder(folder)
    clearLeftovers(folder)
    const aside = join(folder, `.writing-${folderName(step)}`)
    try {
      writeFolder(aside, step, files)
    } catch (error) {
      rmSync(aside, { recursive: true, force: true })
      throw error
    }
    putInPlace(folder, step, aside, previous)
  })
}

function checkContent(step: number, files: CheckpointFiles): void {
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new DdsasError('checkpoint', `checkpoint step ${step} is not a count; give 0, 1, 2, ...`)
  }
  const names = Object.keys(files)
  const odd = names.find((name) => !fileNamePattern.test(name) || name === manifestName)
  if (odd !== undefined)
    throw new DdsasError('checkpoint', `checkpoint file name ${JSON.stringify(odd)} is not plain; rename it`)
  const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(files[name] ?? ''), 0)
  if (bytes > maxCheckpointBytes) {
    throw new DdsasError(
      'checkpoint',
      `checkpoint ${step} has ${bytes} bytes, more than 4 GiB; use a smaller model`,
    )
  }
}

function writeFolder(aside: string, step: number, files: CheckpointFiles): void {
  const manifest: Manifest = { step, files: {} }
  mkdirSync(aside)
  for (const [name, content] of Object.entries(files)) {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    writeSynced(join(aside, name), bytes)
    manifest.files[name] = { size: bytes.length, sha256: sha256(bytes) }
  }
  writeSynced(join(aside, manifestName), `${JSON.stringify(manifest, null, 2)}\n`)
  syncPath(aside)
}

function sha256(bytes: Uint8Array): string {
  const hash = createHash('sha256')
  for (let at = 0; at < bytes.length; at += chunkBytes) hash.update(bytes.subarray(at, at + chunkBytes))
  return hash.digest('hex')
}

function putInPlace(folder: string, step: number, aside: string, previous?: number): void {
  const place = join(folder, folderName(step))
  const others = checkpointSteps(folder).filter((other) => other !== step)
  const before = others.filter((other) => other < step)
  const kept = previous !== undefined && before.includes(previous) ? previous : before.at(-1)
  // Later steps go first: a kill must not leave one of them as the latest. What goes is renamed before it is
  // removed, because removing a folder takes many steps and half of one would look like a corrupt checkpoint.
  for (const other of others.reverse()) {
    if (other > step) setAside(folder, other, 'removed')
  }
  if (existsSync(place)) setAside(folder, step, 'replaced')
  renameSync(aside, place)
  syncPath(folder)
  for (const other of before) {
    if (other !== kept) setAside(folder, other, 'removed')
  }
  clearLeftovers(folder)
}

function setAside(folder: string, step: number, kind: 'removed' | 'replaced'): void {
  renameSync(join(folder, folderName(step)), join(folder, `.${kind}-${folderName(step)}`))
}

/**
 * Reads the checkpoint of `step` and verifies every file against the manifest.
 * @throws {DdsasError} `input` when there is no such step; `checkpoint` when it is corrupt, naming step, file and
 * difference, and the previous checkpoint to resume from.
 */
export function loadCheckpoint(folder: string, step: number): Map<string, Buffer> {
  const steps = checkpointSteps(folder)
  if (!steps.includes(step)) {
    const remedy = steps.length === 0 ? 'there are none' : `choose --checkpoint ${steps.join(' or ')}`
    throw new DdsasError('input', `no checkpoint ${step} in ${folder}: ${remedy}`)
  }
  const place = join(folder, folderName(step))
  const previous = steps.filter((other) => other < step).at(-1)
  return readVerified(
    existsSync(place) ? place : join(folder, `.replaced-${folderName(step)}`),
    step,
    (what) => {
      const remedy =
        previous === undefined
          ? 'there is no previous one: begin a new run'
          : `take the previous one with --checkpoint ${previous}`
      return new DdsasError('checkpoint', `checkpoint ${step} in ${folder} is corrupt: ${what}; ${remedy}`)
    },
  )
}
