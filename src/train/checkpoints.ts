/** When a search is saved: within an epoch when it is due, after each epoch, and when the user stops it. */
import { DdsasError } from '../errors.ts'
import type { RunFolder } from '../runs/folder.ts'
import { type Session, sessionFiles } from './session.ts'

/** Saves one session to its run. When that happens changes no number of the search. */
export class Checkpoints {
  readonly #session: Session
  readonly #run: RunFolder
  readonly #interrupts: { interrupted(): boolean }
  #savedAt = performance.now()

  constructor(session: Session, run: RunFolder, interrupts: { interrupted(): boolean }) {
    this.#session = session
    this.#run = run
    this.#interrupts = interrupts
  }

  save(): void {
    const { total } = this.#session.progress
    this.#run.saveCheckpoint(total, sessionFiles(this.#session, this.#run.metricsBytes))
    this.#savedAt = performance.now()
  }

  /** Saves when enough time or steps went by. */
  saveIfDue(): void {
    const { seconds, steps } = this.#session.config.checkpoint
    const { total } = this.#session.progress
    const late = performance.now() - this.#savedAt > 1000 * seconds
    if (late || (steps > 0 && total % steps === 0)) this.save()
  }

  /** Saves and throws DdsasError 'interrupted' when the user wants to stop. */
  stopIfAsked(): void {
    if (!this.#interrupts.interrupted()) return
    this.save()
    const { total } = this.#session.progress
    const command = `ddsas search --resume ${quoted(this.#run.path)}`
    throw new DdsasError('interrupted', `stopped after step ${total}, saved; go on with: ${command}`)
  }
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
