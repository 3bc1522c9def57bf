/** A log of a run: an append-only file with one JSON object a line; a line counts once its newline is written. */
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
import { basename } from 'node:path'
import { DdsasError } from '../errors.ts'
import { reportDisk, reportRead, syncPath, writeFileAtomic } from './files.ts'

const newline = 10

/** A search writes a few MB; a file beyond this is not one, and reading it would fill the memory. */
const maxBytes = 1024 ** 3

/** Lines have some kB; one beyond this is not ours. */
const maxLineBytes = 16 * 1024 ** 2

/** How much is read at once. */
const chunkBytes = 64 * 1024

/** A line of a log, and where it stands, for errors. */
export interface LogLine {
  readonly where: string
  readonly record: Record<string, unknown>
}

/** A file such as `metrics.jsonl` of one run. Only one process may append at a time (`RunFolder.lock`). */
export class LogFile {
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
  append(record: Readonly<Record<string, unknown>>): void {
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
    this.#refuseHuge()
    return Array.from(this.lines(), ({ record }) => record)
  }

  /**
   * The same one by one, for files that need not fit into the memory.
   * @throws {DdsasError} `data` for a line that is not a JSON object, or has more than 16 MiB.
   */
  *lines(): Generator<LogLine> {
    let number = 0
    for (const line of rawLines(this.path)) {
      const where = `${this.path} line ${++number}`
      yield { where, record: parseLine(line.toString('utf8'), where) }
    }
  }

  /**
   * Keeps the first `bytes` bytes, when a run resumes: what was written after its checkpoint goes. Where those are not there
   * as the checkpoint knew them, a new file begins, as a log is no reason to lose a run, and what is left of the old one
   * becomes `<name>.lost`; says so.
   * @throws {DdsasError} `disk` when it cannot be written.
   */
  resumeAt(bytes: number): string | undefined {
    const content = this.#content()
    const size = content.length
    const known = bytes === 0 || (bytes <= size && content[bytes - 1] === newline)
    if (known && bytes < size) writeFileAtomic(this.path, content.subarray(0, bytes))
    if (known) return undefined
    const name = basename(this.path)
    reportDisk(this.path, () => {
      if (existsSync(this.path)) renameSync(this.path, `${this.path}.lost`)
    })
    this.#whole = false
    const rest = size > 0 ? `, what was left of it is ${name}.lost` : ''
    return `${name} had ${size} bytes, the checkpoint knows ${bytes}: a new one begins here${rest}`
  }

  /** Waits until all lines are on the disk, so that a checkpoint never knows of lines a power cut has lost. */
  sync(): void {
    reportDisk(this.path, () => {
      if (existsSync(this.path)) syncPath(this.path)
    })
  }

  #content(): Buffer {
    this.#refuseHuge()
    return this.bytes === 0 ? Buffer.alloc(0) : reportRead(this.path, () => readFileSync(this.path))
  }

  #refuseHuge(): void {
    const size = this.bytes
    if (size > maxBytes)
      throw new DdsasError('data', `${this.path} has ${size} bytes, more than 1 GiB; split it`)
  }
}

/** Every line that ends with a newline, without it, read piece by piece. */
function* rawLines(path: string): Generator<Buffer> {
  const status = reportRead(path, () => statSync(path, { throwIfNoEntry: false }))
  if (status === undefined) return
  // opening a pipe would wait for somebody to write to it
  if (!status.isFile()) throw new DdsasError('data', `${path} is not a file; remove it`)
  const file = reportRead(path, () => openSync(path, 'r'))
  try {
    let begun: Buffer[] = []
    for (;;) {
      const chunk = Buffer.alloc(chunkBytes)
      const read = reportRead(path, () => readSync(file, chunk))
      if (read === 0) return
      const content = chunk.subarray(0, read)
      let from = 0
      for (let to = content.indexOf(newline); to >= 0; to = content.indexOf(newline, from)) {
        yield Buffer.concat([...begun, content.subarray(from, to)])
        begun = []
        from = to + 1
      }
      begun.push(content.subarray(from))
      if (begun.length * chunkBytes > maxLineBytes)
        throw new DdsasError('data', `${path} has a line of more than 16 MiB; restore it or remove the line`)
    }
  } finally {
    closeSync(file)
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
    const window = Buffer.alloc(chunkBytes)
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
