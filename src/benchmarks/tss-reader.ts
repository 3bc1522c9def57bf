/** Reads files of NATS-Bench into a table: many of them by as many threads as there are processors. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Refuse } from '../formats/byte-reader.ts'
import type { TableBuilder } from './table-builder.ts'
import { type Outcome, readTssFile } from './tss-file.ts'

/** Below this a thread would take longer to begin than to read. */
const bytesWorthThreads = 2 ** 20
/** More would wait for the disk, and for the one that adds up. */
const mostThreads = 8
/** Files that wait at each thread, so that none waits for files. */
const filesPerThread = 2

/** What is not compiled has no threads: what loads TypeScript does not reach them. */
const isCompiled = import.meta.url.endsWith('.js')

/** A thread, and the names of the files that it was given, in their order. */
interface Thread {
  readonly worker: Worker
  readonly names: string[]
}

export class TssReader {
  readonly #builder: TableBuilder
  readonly #refuse: Refuse
  readonly #threads: readonly Thread[]
  #failed: { readonly error: unknown } | undefined
  #waiting: (() => void)[] = []

  /** `bytes`: how many all files have. */
  constructor(bytes: number, builder: TableBuilder, refuse: Refuse) {
    this.#builder = builder
    this.#refuse = refuse
    const useThreads = isCompiled && bytes >= bytesWorthThreads
    const count = useThreads ? Math.min(mostThreads, availableParallelism()) : 0
    this.#threads = Array.from({ length: count }, () => this.#startThread())
  }

  #startThread(): Thread {
    const thread: Thread = { worker: new Worker(new URL('./tss-thread.js', import.meta.url)), names: [] }
    thread.worker.on('message', (outcome: Outcome) => {
      this.#take(thread.names.shift() ?? '', outcome)
      this.#wake()
    })
    thread.worker.on('error', (error) => {
      this.#failed ??= { error }
      this.#wake()
    })
    return thread
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resume of waiting) resume()
  }

  /** What is wrong is kept for who waits: nobody may be there to catch it now. */
  #take(name: string, outcome: Outcome): void {
    try {
      if ('refused' in outcome) throw this.#refuse(`in ${name} ${outcome.refused}`)
      for (const { index, text, recorded } of outcome.found) this.#builder.add(index, text, recorded)
    } catch (error) {
      this.#failed ??= { error }
    }
  }

  /** Waits until something holds. Throws what went wrong with a file. */
  async #until(holds: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failed !== undefined) throw this.#failed.error
      if (holds()) return
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Waits until another file may be read. Throws what went wrong with one before. */
  ready(): Promise<void> {
    const threads = this.#threads
    return this.#until(
      () => threads.length === 0 || threads.some(({ names }) => names.length < filesPerThread),
    )
  }

  /** Reads a file, now or soon. */
  read(name: string, packed: Uint8Array): void {
    const [thread] = this.#threads.toSorted((a, b) => a.names.length - b.names.length)
    if (thread === undefined) this.#take(name, readTssFile(packed))
    else {
      thread.names.push(name)
      thread.worker.postMessage(packed)
    }
  }

  /** Waits until all files are read. Throws what went wrong with one. */
  finish(): Promise<void> {
    return this.#until(() => this.#threads.every(({ names }) => names.length === 0))
  }

  /** Ends the threads. */
  close(): void {
    for (const { worker } of this.#threads) void worker.terminate()
  }
}
