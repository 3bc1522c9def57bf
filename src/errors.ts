/**
 * The one error type of the project: a kind (which fixes the exit code) and one line naming the thing, its value
 * and the remedy.
 */

/** Exit code of the command line for each kind of error: 1 failed, 2 bad input, 130 interrupted. */
export const exitCodes = {
  /** An argument, setting, preset or path that cannot be used. */
  input: 2,
  /** A data file that is missing, truncated, of another format or with another checksum. */
  data: 2,
  /** A checkpoint that is corrupt, half-written or of another run. */
  checkpoint: 2,
  /** A device that was asked for and is not there. */
  device: 2,
  /** A search that would need more memory than there is or than it may take: refused before it begins. */
  budget: 2,
  /** Something the set-up should have built or installed is missing. */
  setup: 2,
  /** No space left, or a file that could not be written. */
  disk: 1,
  /** A download that failed. */
  network: 1,
  /** A loss or a gradient that is not finite. */
  nonfinite: 1,
  /** libtorch refused an operator call. */
  torch: 1,
  /** There was no memory for a tensor, or its limit allowed no more. */
  memory: 1,
  /** Another process of a run is gone, never came, or has something else than this one. */
  rank: 1,
  /** Stopped by the user; the state was saved. */
  interrupted: 130,
} as const

export type ErrorKind = keyof typeof exitCodes

/** Every error this project raises on purpose. `message` is one line: thing, value, remedy. */
export class DdsasError extends Error {
  readonly kind: ErrorKind

  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    // A path or a value may hold anything: no line break and no escape sequence of a terminal gets through.
    super(message.replaceAll(/\p{Cc}+/gu, ' '), options)
    this.name = 'DdsasError'
    this.kind = kind
  }

  get exitCode(): number {
    return exitCodes[this.kind]
  }
}

/** A path as a shell takes it, for a command in a remedy. */
export function quoted(path: string): string {
  return /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
