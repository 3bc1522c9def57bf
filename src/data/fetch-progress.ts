/** What a fetch is asked, reports and returns, the same for every data set. */
import type { CifarName } from './cifar-layout.ts'

export type FetchStage = 'check' | 'download' | 'extract' | 'convert' | 'verify' | 'ready'

export interface FetchProgress {
  readonly stage: FetchStage
  /** Bytes while downloading, otherwise files. */
  readonly done: number
  /** 0 where it is not known. */
  readonly total: number
}

export interface FetchOptions {
  readonly onProgress?: ((progress: FetchProgress) => void) | undefined
  /** Stops the fetch; what it had written aside is removed. */
  readonly signal?: AbortSignal | undefined
}

export interface FetchResult {
  readonly dataset: CifarName
  /** The folder that holds the binary files. */
  readonly folder: string
  readonly files: readonly string[]
  /** False where all files were there already and their checksums agree. */
  readonly fetched: boolean
  /** Files that were there and damaged; all others that were there stay as they were. */
  readonly replaced: readonly string[]
}
