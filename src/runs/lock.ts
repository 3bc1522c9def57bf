/** The lock of a run folder: a file naming the process that writes there, so that two never do. */
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { asidePath, errnoCode, reportDisk } from './files.ts'

const holderSchema = z.object({
  pid: z
    .int()
    .positive()
    .max(2 ** 31 - 1),
  host: z.string(),
  /** Start time of the process: a pid is used again, in containers almost always, a pid with its start is not. */
  started: z.string(),
})

type Holder = z.infer<typeof holderSchema>

/** A lock whose text is not complete is being written at this moment, unless it is older than this. */
const writingMs = 2000

/**
 * Takes the lock at `path` and returns the function that gives it back. A lock whose process has ended is taken over. One
 * of another host is so only with `takeOver`: its processes cannot be seen, and two that write would ruin the run.
 * @throws {DdsasError} `input` when a living process of this host holds it, or any of another host; `disk` when it cannot
 * be written.
 */
export function acquireLock(path: string, takeOverHosts = false): () => void {
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) ?? '' })
  for (let attempt = 0; attempt < 5; attempt++) {
    if (createExclusive(path, mine)) return releaseOnce(path, mine)
    takeOver(path, takeOverHosts)
  }
  throw inUse(path, 'another process')
}

/** Whether a process holds the lock at `path`: one of this host that lives, or one of another host. */
export function isLocked(path: string): boolean {
  const holder = parseHolder(readIfThere(path) ?? '')
  return holder !== undefined && (holder.host !== hostname() || isAlive(holder))
}

function createExclusive(path: string, text: string): boolean {
  return reportDisk(path, () => {
    const file = openExclusive(path)
    if (file === undefined) return false
    try {
      writeSync(file, text)
      return true
    } catch (error) {
      // On a full disk the file is there and empty: left behind, it would pass for the lock of another process.
      rmSync(path, { force: true })
      throw error
    } finally {
      closeSync(file)
    }
  })
}

function openExclusive(path: string): number | undefined {
  try {
    return openSync(path, 'wx')
  } catch (error) {
    if (errnoCode(error) === 'EEXIST') return undefined
    throw error
  }
}

/** Removes a stale lock. Renaming first decides between two processes that saw the same stale lock. */
function takeOver(path: string, takeOverHosts: boolean): void {
  const seen = readIfThere(path)
  if (seen === undefined) return
  const holder = parseHolder(seen)
  if (holder === undefined && ageMs(path) < writingMs) throw inUse(path, 'a process that just started')
  const elsewhere = holder !== undefined && holder.host !== hostname()
  if (elsewhere && !takeOverHosts)
    throw new DdsasError(
      'input',
      `${path} is held by process ${holder.pid} of the host ${holder.host}: see there whether it still runs; ` +
        'if not, take it over: add --take-over',
    )
  if (holder !== undefined && !elsewhere && isAlive(holder)) throw inUse(path, `process ${holder.pid}`)
  const aside = asidePath(path)
  reportDisk(path, () => {
    try {
      renameSync(path, aside)
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return
      throw error
    }
    if (readIfThere(aside) === seen) return rmSync(aside, { force: true })
    renameSync(aside, path)
    throw inUse(path, 'another process')
  })
}

function releaseOnce(path: string, mine: string): () => void {
  let held = true
  return () => {
    if (held && readIfThere(path) === mine) rmSync(path, { force: true })
    held = false
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').slice(0, 1000)
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined
    throw new DdsasError(
      'input',
      `cannot read ${path} (${errnoCode(error)}); remove it if no search runs there`,
    )
  }
}

function ageMs(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: the process is there and belongs to somebody else.
    if (errnoCode(error) !== 'EPERM') return false
  }
  return startOf(holder.pid) === (holder.started === '' ? undefined : holder.started)
}

/** When a process started, in clock ticks since boot (Linux); undefined where the system does not tell. */
function startOf(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in brackets may hold spaces; the state is the first field after it, the start the twentieth.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? 'ended' : fields[19]
  } catch {
    return undefined
  }
}

function inUse(path: string, who: string): DdsasError {
  return new DdsasError(
    'input',
    `${path} is held by ${who}: wait until it ends, stop it, or choose another --out`,
  )
}
