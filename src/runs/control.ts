/** What is asked of a run by hand while it goes on: a queue of small files, and the record of what was done, `control.jsonl`. */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { firstProblem } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { makeFolder, readJson, reportDisk, reportRead, writeFileAtomic } from './files.ts'
import { LogFile } from './log-file.ts'

const namePattern = /^(\d{17}-[0-9a-f]{8})\.json$/

/** Requests are a line or two. */
const maxRequestBytes = 64 * 1024

/** Nobody asks for more by hand before a window ends. */
const maxWaiting = 100

/** A request as it lies in the queue: `change` is not validated, `problem` says why there is none. */
export interface ControlRequest {
  readonly id: string
  readonly change?: unknown
  readonly problem?: string
}

const recordSchema = z.looseObject({
  id: z.string(),
  globalStep: z.int().nonnegative(),
  change: z.unknown().refine((value): boolean => value !== undefined, 'is missing'),
})

/** What was asked for and done; `globalStep`: steps that were done before it. */
export type ControlRecord = z.infer<typeof recordSchema>

/** The queue and the record of one run folder. Any process may ask; only the one that holds the lock takes and records. */
export class RunControl {
  readonly #folder: string
  readonly #log: LogFile

  constructor(path: string) {
    this.#folder = join(path, 'control')
    this.#log = new LogFile(join(path, 'control.jsonl'))
  }

  /**
   * Adds a request, whole or not at all, behind those that wait, and returns its id.
   * @throws {DdsasError} `input` where too many wait; `disk` when it cannot be written.
   */
  ask(change: object): string {
    if (this.#names().length >= maxWaiting)
      throw new DdsasError(
        'input',
        `${this.#folder} holds ${maxWaiting} requests that wait: let the search take them up, or remove them`,
      )
    makeFolder(this.#folder)
    // requests of one process come in its order, those of two that ask at once in either
    const microseconds = Math.floor(1000 * (performance.timeOrigin + performance.now()))
    const id = `${String(microseconds).padStart(17, '0')}-${randomBytes(4).toString('hex')}`
    writeFileAtomic(join(this.#folder, `${id}.json`), `${JSON.stringify(change)}\n`)
    return id
  }

  /** What waits, in the order in which it was asked for. @throws {DdsasError} `input` when the folder cannot be read. */
  waiting(): ControlRequest[] {
    return this.#names().map((id) => {
      try {
        return { id, change: readJson(join(this.#folder, `${id}.json`), maxRequestBytes) }
      } catch (error) {
        if (!(error instanceof DdsasError)) throw error
        return { id, problem: error.message }
      }
    })
  }

  #names(): string[] {
    const names = reportRead(this.#folder, () => (existsSync(this.#folder) ? readdirSync(this.#folder) : []))
    return names.flatMap((name) => namePattern.exec(name)?.[1] ?? []).sort()
  }

  /** Takes a request from the queue. @throws {DdsasError} `disk` when it cannot be removed. */
  remove(id: string): void {
    const path = join(this.#folder, `${id}.json`)
    reportDisk(path, () => rmSync(path, { force: true, recursive: true }))
  }

  /** Adds to the record, on the disk when it returns. @throws {DdsasError} `disk` when it cannot be written. */
  record(record: ControlRecord): void {
    this.#log.append(record)
    this.#log.sync()
  }

  /** All that was done. @throws {DdsasError} `data` for a line that is no such record. */
  records(): ControlRecord[] {
    return Array.from(this.#log.lines(), ({ record, where }) => {
      const parsed = recordSchema.safeParse(record)
      if (parsed.success) return parsed.data
      throw new DdsasError(
        'data',
        `${where} is no change by hand: ${firstProblem(parsed.error, 'line')}; restore the file`,
      )
    })
  }
}
