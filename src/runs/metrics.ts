/** The metrics of a run: an append-only file with one JSON object a line; a line counts once its newline is written. */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs'
import { DdsasError } from '../errors.ts'
import { reportDisk, reportRead, syncPath, writeFileAtomic } from './files.ts'

const newline = 10

/** A search writes a few MB; a file beyond this is not one, and reading it would fill the memory. */
const maxBytes = 1024 ** 3

/** The file `metrics.jsonl` of one run. Only one process may append at a time (`RunFolder.lock`). */
export class MetricsFile {
  readonly path: string
  /** False until the file is known to end with a whole line, so that a new line is never glued to a torn one. */
  #whole = false

  constructor(path: string) {
    this.path = path
  }

  /** Current size in bytes; 0 when nothing was written yet. */
  get bytes(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Adds one line. @throws {DdsasError} `disk` when it cannot be written. */
  append(record: Record<string, unknown>): void {
    const line = `${JSON.stringify(record)}\n`
    reportDisk(this.path, () => {
      if (!this.#whole) dropTornLine(this.path)
      this.#whole = false
      appendFileSync(this.path, line)
      this.#whole = true
    })
  }

  /**
   * Every complete line, in order; a torn last line is left out.
   * @throws {DdsasError} `data` for another line that is not a JSON object.
   */
  read(): Record<string, unknown>[] {
    const content = this.#content()
    const records: Record<string, unknown>[] = []
    for (let from = 0, to = content.indexOf(newline); to >= 0; to = content.indexOf(newline, from)) {
      records.push(parseLine(content.toString('utf8', from, to), `${this.path} line ${records.length + 1}`))
      from = to + 1
    }
    return records
  }

  /** Whether the first `bytes` bytes are there and end a line: what a checkpoint knows of. */
  holds(bytes: number): boolean {
    return bytes === 0 || (bytes <= this.bytes && this.#content()[bytes - 1] === newline)
  }

  /** Puts the file, where there is one, aside as `<name>.lost`, so that a new one can begin. */
  putAside(): void {
    reportDisk(this.path, () => {
      if (existsSync(this.path)) renameSync(this.path, `${this.path}.lost`)
    })
    this.#whole = false
  }

  /**
   * Keeps the first `bytes` bytes: what was written after a checkpoint goes when a run resumes from it.
   * @throws {DdsasError} `checkpoint` when the file is shorter, or the cut is not at the end of a line.
   */
  truncate(bytes: number): void {
    const size = this.bytes
    const mismatch = (what: string): DdsasError =>
      new DdsasError('checkpoint', `${this.path} ${what}: it was changed after the checkpoint; restore it`)
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw mismatch(`cannot be cut to ${bytes} bytes`)
    if (bytes > size) throw mismatch(`has ${size} bytes, the checkpoint needs ${bytes}`)
    const content = this.#content()
    if (bytes > 0 && content[bytes - 1] !== newline) throw mismatch(`has no end of a line at byte ${bytes}`)
    if (bytes < size) writeFileAtomic(this.path, content.subarray(0, bytes))
  }

  /** Waits until all lines are on the disk, so that a checkpoint never knows of lines a power cut has lost. */
  sync(): void {
    reportDisk(this.path, () => {
      if (existsSync(this.path)) syncPath(this.path)
    })
  }

  #content(): Buffer {
    const size = this.bytes
    if (size > maxBytes)
      throw new DdsasError('data', `${this.path} has ${size} bytes, more than 1 GiB; split it`)
    return size === 0 ? Buffer.alloc(0) : reportRead(this.path, () => readFileSync(this.path))
  }
}

function parseLine(line: string, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Reported below: invalid JSON and JSON of another shape have the same remedy.
  }
  throw new DdsasError('data', `${where} is not a JSON object; restore the file or remove the line`)
}

/** Cuts what follows the last newline: the part of a line that a killed process or a full disk left. */
function dropTornLine(path: string): void {
  if (!existsSync(path)) return
  const file = openSync(path, 'r+')
  try {
    const size = fstatSync(file).size
    const window = Buffer.alloc(64 * 1024)
    for (let end = size; end >= 0; end -= window.length) {
      const start = Math.max(0, end - window.length)
      const read = readSync(file, window, 0, end - start, start)
      const at = window.subarray(0, read).lastIndexOf(newline)
      if (at < 0 && start > 0) continue
      if (start + at + 1 < size) ftruncateSync(file, start + at + 1)
      return
    }
  } finally {
    closeSync(file)
  }
}
