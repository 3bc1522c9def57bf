/** What an import reports while it works. */

export interface ImportProgress {
  /** Bytes read. */
  readonly done: number
  /** Bytes to read; some files are read twice. */
  readonly total: number
  /** Of how many architectures there are results so far. */
  readonly architectures: number
}

export type OnProgress = (progress: ImportProgress) => void
