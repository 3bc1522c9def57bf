/** A run as one folder: config, metrics, genotype, drawings of its cells and checkpoints, readable by people and tools. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import {
  type CheckpointFiles,
  checkpointSteps,
  clearLeftovers,
  loadCheckpoint,
  saveCheckpoint,
} from './checkpoint.ts'
import {
  clearAsides,
  formatJson,
  isAside,
  makeFolder,
  readJson,
  removeEmpty,
  reportDisk,
  reportRead,
  writeDrawing,
  writeFileAtomic,
} from './files.ts'
import { acquireLock, isLocked } from './lock.ts'
import { LogFile, type LogLine } from './log-file.ts'

/** How long the logs of a run are, in bytes: what a checkpoint keeps of them for `truncateLogs`. */
export interface LogLengths {
  readonly metricsBytes: number
  readonly windowsBytes: number
}

export const emptyLogs: LogLengths = { metricsBytes: 0, windowsBytes: 0 }

/**
 * One run on the disk. Opening and reading change nothing, so that others may look at a run while it works; only
 * the process that holds the lock writes.
 */
export class RunFolder {
  /** Absolute path. */
  readonly path: string
  /** What `config.json` holds, not validated. */
  readonly config: unknown
  /** Whether this process writes it; for another of the same run all that writes does nothing. */
  readonly writes: boolean
  readonly #metrics: LogFile
  readonly #windows: LogFile
  readonly #checkpoints: string
  readonly #cells: string
  /** The checkpoint this process goes on from: the one it loaded or saved last. */
  #lastStep: number | undefined

  private constructor(path: string, config: unknown, writes = true) {
    this.path = path
    this.config = config
    this.writes = writes
    this.#metrics = new LogFile(join(path, 'metrics.jsonl'))
    this.#windows = new LogFile(join(path, 'windows.jsonl'))
    this.#checkpoints = join(path, 'checkpoints')
    this.#cells = join(path, 'cells')
  }

  /**
   * Throws what `create` would throw for a path that is taken, and writes nothing.
   * @throws {DdsasError} `input` when the path exists and is not an empty folder; `disk` when it cannot be read.
   */
  static refuseUnlessNew(path: string): void {
    const root = resolve(path)
    const status = reportDisk(root, () => statSync(root, { throwIfNoEntry: false }))
    if (status === undefined) return
    const isFolder = status.isDirectory()
    if (isFolder && reportDisk(root, () => readdirSync(root)).every(isAside)) return
    const what = isFolder ? 'is not empty' : 'is a file'
    throw new DdsasError(
      'input',
      `run folder ${root} ${what}; choose another --out, or --resume to go on with a run`,
    )
  }

  /**
   * Makes a new run folder and writes `config.json`; nothing is left behind where that fails.
   * @throws {DdsasError} `input` when the path exists and is not an empty folder; `disk` when it cannot be written.
   */
  static create(path: string, config: object): RunFolder {
    const root = resolve(path)
    RunFolder.refuseUnlessNew(root)
    const made = makeFolder(root)
    try {
      const release = acquireLock(join(root, 'lock'))
      try {
        // another process may have made a run here since the first look
        if (existsSync(join(root, 'config.json'))) RunFolder.refuseUnlessNew(root)
        reportDisk(root, () => clearAsides(root))
        writeFileAtomic(join(root, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
      } finally {
        release()
      }
    } catch (error) {
      removeEmpty(made)
      throw error
    }
    return new RunFolder(root, config)
  }

  /**
   * Makes the first of `path`, `path`-2, `path`-3, … that is not taken: of two processes that begin at once each gets its own.
   * @throws {DdsasError} `disk` when it cannot be written.
   */
  static createFree(path: string, config: object): RunFolder {
    for (let number = 1; ; number++) {
      try {
        return RunFolder.create(number === 1 ? path : `${path}-${number}`, config)
      } catch (error) {
        if (!(error instanceof DdsasError) || error.kind !== 'input') throw error
      }
    }
  }

  /**
   * Opens an existing run and changes nothing.
   * @throws {DdsasError} `input` when the folder is missing or is no run: no `config.json`, or not a JSON object.
   */
  static open(path: string): RunFolder {
    checkText(path, 'RunFolder.open', 'path')
    const root = resolve(path)
    const refuse = (what: string): DdsasError =>
      new DdsasError('input', `${root} ${what}; name the folder of a run`)
    const status = reportRead(root, () => statSync(root, { throwIfNoEntry: false }))
    if (status === undefined) throw refuse('does not exist')
    if (!status.isDirectory()) throw refuse('is not a folder')
    const config = readJson(join(root, 'config.json'))
    if (config === undefined) throw refuse('is not a run: it has no config.json')
    if (typeof config !== 'object' || config === null || Array.isArray(config)) {
      throw refuse('is not a run: its config.json is not a JSON object')
    }
    return new RunFolder(root, config)
  }

  /** A run that another process writes, by its path there: nothing of it is read or written. */
  static elsewhere(path: string, config: object): RunFolder {
    return new RunFolder(path, config, false)
  }

  /** Adds one line to `metrics.jsonl`. @throws {DdsasError} `disk` when it cannot be written. */
  appendMetrics(record: Readonly<Record<string, unknown>>): void {
    if (this.writes) this.#metrics.append(record)
  }

  /** Adds one line to `windows.jsonl`. @throws {DdsasError} `disk` when it cannot be written. */
  appendWindow(record: Readonly<Record<string, unknown>>): void {
    if (this.writes) this.#windows.append(record)
  }

  get logLengths(): LogLengths {
    if (!this.writes) return emptyLogs
    return { metricsBytes: this.#metrics.bytes, windowsBytes: this.#windows.bytes }
  }

  /**
   * Drops what was written to the logs after a checkpoint, when a run resumes. One that is shorter than the checkpoint knows
   * begins anew; says so.
   * @throws {DdsasError} `disk` when it cannot be written.
   */
  truncateLogs({ metricsBytes, windowsBytes }: LogLengths): string[] {
    if (!this.writes) return []
    const said = [this.#metrics.resumeAt(metricsBytes), this.#windows.resumeAt(windowsBytes)]
    return said.filter((line) => line !== undefined)
  }

  /** All complete lines of `metrics.jsonl`. @throws {DdsasError} `data` for a line that is not a JSON object. */
  readMetrics(): Record<string, unknown>[] {
    return this.writes ? this.#metrics.read() : []
  }

  /** The complete lines of `windows.jsonl` one by one, not validated. @throws {DdsasError} `data` for one that is not a JSON object. */
  windowLines(): Generator<LogLine> {
    return this.#windows.lines()
  }

  /** Replaces `genotype.json`. @throws {DdsasError} `disk` when it cannot be written. */
  writeGenotype(genotype: unknown): void {
    if (this.writes) writeFileAtomic(join(this.path, 'genotype.json'), formatJson(genotype))
  }

  /** What `genotype.json` holds, not validated; undefined before the run has derived one. */
  readGenotype(): unknown {
    return readJson(join(this.path, 'genotype.json'))
  }

  /** Writes `cells/<name>.svg` and `.png`; returns their paths. @throws {DdsasError} `disk`. */
  writeCell(name: string, svg: string, png: Uint8Array): string[] {
    return writeDrawing(this.#cells, name, { svg, png })
  }

  /**
   * Writes `checkpoints/<step>/` and removes older ones so that two are kept: this one and the one this process
   * went on from. Replaces an existing one of the same step.
   * @throws {DdsasError} `disk` when it cannot be written: the ones before are untouched.
   */
  saveCheckpoint(step: number, files: CheckpointFiles): void {
    if (!this.writes) return
    this.#metrics.sync()
    this.#windows.sync()
    saveCheckpoint(this.#checkpoints, step, files, this.#lastStep)
    this.#lastStep = step
  }

  /**
   * Reads and verifies a checkpoint, the latest when no step is given; undefined when there is none at all.
   * @throws {DdsasError} `input` for a step that is not there; `checkpoint` when it is corrupt.
   */
  loadCheckpoint(step?: number): { step: number; files: Map<string, Buffer> } | undefined {
    const wanted = step ?? this.checkpointSteps().at(-1)
    if (wanted === undefined) return undefined
    const files = loadCheckpoint(this.#checkpoints, wanted)
    this.#lastStep = wanted
    return { step: wanted, files }
  }

  /** Steps of the checkpoints that can be loaded, ascending. */
  checkpointSteps(): number[] {
    return this.writes ? checkpointSteps(this.#checkpoints) : []
  }

  /** Whether a process works on the run now. */
  get isRunning(): boolean {
    return isLocked(join(this.path, 'lock'))
  }

  /**
   * Takes the lock for writing, removes what a killed process left half-written, and returns the function that
   * gives the lock back.
   * @param takeOver from another host, whose processes cannot be seen
   * @throws {DdsasError} `input` when another living process of this host holds it, or one of another host.
   */
  lock(takeOver = false): () => void {
    if (!this.writes) return () => {}
    const release = acquireLock(join(this.path, 'lock'), takeOver)
    try {
      reportDisk(this.path, () => {
        clearAsides(this.path)
        if (existsSync(this.#cells)) clearAsides(this.#cells)
        clearLeftovers(this.#checkpoints)
      })
    } catch (error) {
      release()
      throw error
    }
    return release
  }
}
