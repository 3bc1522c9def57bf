/** One file of NATS-Bench's "simple" kind: a pickle packed by bzip2. Threads read such files side by side. */
import { DdsasError } from '../errors.ts'
import { ByteReader, type Refuse } from '../formats/byte-reader.ts'
import { unpackBzip2 } from '../formats/bzip2.ts'
import { readPickle } from '../formats/pickle.ts'
import { collectResults } from './arch-results.ts'
import { resultOptions } from './results-pickle.ts'
import type { Recorded } from './table-builder.ts'

/** An architecture's file has 330 kB unpacked, and some fifty thousand values. */
const most = { unpacked: 16 * 2 ** 20, values: 1_000_000 } as const

/** What a file holds of an architecture, not checked. */
export interface Found {
  readonly index: unknown
  readonly text: unknown
  readonly recorded: Recorded
}

/** What a file holds, or what is wrong with it: plain data, which goes from thread to thread. */
export type Outcome = { readonly found: readonly Found[] } | { readonly refused: string }

/** Reads a file. */
export function readTssFile(packed: Uint8Array): Outcome {
  const refuse: Refuse = (what) => new DdsasError('data', what)
  try {
    return { found: resultsIn(unpackBzip2(packed, most.unpacked, refuse), refuse) }
  } catch (error) {
    if (error instanceof DdsasError) return { refused: error.message }
    throw error
  }
}

function resultsIn(data: Uint8Array, refuse: Refuse): Found[] {
  const found: Found[] = []
  const reader = new ByteReader(data, 0, refuse)
  readPickle(reader, {
    ...resultOptions(refuse),
    mostValues: most.values,
    grown: collectResults((index, text, recorded) => found.push({ index, text, recorded }), refuse),
  })
  if (reader.position !== data.length) throw refuse('there is something behind the pickle')
  if (found.length === 0) throw refuse('there are no results of an architecture')
  return found
}
