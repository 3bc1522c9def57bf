/** The benchmarks whose tables are known, and what differs from one to another: how a cell is found, named and judged. */
import { checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { nasbench201Space } from '../spaces/nasbench201/space.ts'
import { counted } from '../words.ts'
import {
  cellOfKey,
  findNasbench1shot1,
  hashOfKey,
  nasbench101,
  nasbench101Spaces,
  nasbench101Trainings,
  rowOfNasbench101,
} from './nasbench101.ts'
import { type ArchitectureFacts, factsOfNasbench201, keyOf, nasbench201, trainings } from './nasbench201.ts'
import { type BenchmarkTable, checkRow, checkTable } from './table.ts'

interface KnownBenchmark {
  /** The spaces whose searches it judges. */
  readonly spaces: readonly string[]
  /** Epochs of its trainings; the first one's accuracies are those that count. */
  readonly trainings: readonly [number, ...number[]]
  /** The row of an architecture given as text. Throws DdsasError 'input' for what is none. */
  rowOf(table: BenchmarkTable, text: string): number | undefined
  /** The architecture of a row's key, as text. */
  textOf(key: string): string
  facts(table: BenchmarkTable, row: number): ArchitectureFacts
  /** What a search picked, as data or text: its row, and what its regret is counted from where that is known, in percent. */
  find(
    table: BenchmarkTable,
    architecture: unknown,
  ): { readonly row: number | undefined; readonly lowestError?: number }
}

const known: Readonly<Record<string, KnownBenchmark>> = {
  [nasbench201.space]: {
    spaces: [nasbench201.space],
    trainings,
    // most texts are written as the table writes them, and need no look at each part
    rowOf: (table, text) => table.rowOf(text) ?? table.rowOf(keyOf(text, 'given')),
    textOf: (key) => key,
    facts: factsOfNasbench201,
    find: (table, architecture) => ({
      row: table.rowOf(nasbench201Space.format(nasbench201Space.parse(architecture, 'given'))),
    }),
  },
  [nasbench101.space]: {
    spaces: nasbench101Spaces,
    trainings: nasbench101Trainings,
    rowOf: rowOfNasbench101,
    textOf: cellOfKey,
    facts: (table, row) => ({ canonical: hashOfKey(table.keys[row]), connected: true, same: [] }),
    find: findNasbench1shot1,
  },
}

/** What is known of a table's benchmark. Throws DdsasError 'input' where that is none. */
export function benchmarkOf({ space }: Pick<BenchmarkTable, 'space'>): KnownBenchmark {
  if (Object.hasOwn(known, space)) return known[space]
  throw new DdsasError(
    'input',
    `a table of the space '${space}' is of no known benchmark; known are those of ${Object.keys(known).join(', ')}`,
  )
}

/**
 * The row of an architecture given as text, as its number in the benchmark (in NAS-Bench-101 its place in the imported file), or
 * there as its hash.
 * @throws {DdsasError} `input` where it is none of that, or the table lacks it.
 */
export function findRow(table: BenchmarkTable, given: string): number {
  checkTable(table, 'findRow')
  if (typeof given !== 'string') checkText(given, 'findRow', 'given')
  const isIndex = /^#?\d{1,9}$/.test(given)
  const index = Number(given.replace('#', ''))
  if (isIndex && index >= table.architectures)
    throw new DdsasError(
      'input',
      `there is no architecture ${given}: the numbers of ${table.benchmark} are 0 to ${table.architectures - 1}`,
    )
  const row = isIndex ? table.rowOfIndex(index) : benchmarkOf(table).rowOf(table, given)
  if (row !== undefined) return row
  throw new DdsasError('input', missingText(table, given))
}

/** That a table lacks an architecture. */
function missingText({ rows, architectures, source }: BenchmarkTable, given: string): string {
  const has = `${counted(rows, 'architecture')} of ${architectures}`
  return `the table has no results of ${given} (it has ${has}, from ${source.name}); import a source that has`
}

/** What the architecture of a row is. In NAS-Bench-201 the first time takes a tenth of a second. */
export function factsOf(table: BenchmarkTable, row: number): ArchitectureFacts {
  checkRow(table, row, 'factsOf')
  return benchmarkOf(table).facts(table, row)
}
