/** A table of a benchmark: architectures of a space, each trained by others once and for all, and what was recorded of it. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'

/** A number recorded of each architecture. */
export interface Column {
  /** `cifar10.test.200`. */
  readonly name: string
  /** `%`, `count`, `M`. */
  readonly unit: string
  /** One for each row; NaN where none was recorded. */
  readonly values: Float64Array
}

/** Where the numbers of a table come from. */
export interface TableSource {
  /** What kind of file it was. */
  readonly kind: string
  /** Its name, without the folders above it. */
  readonly name: string
  readonly bytes: number
}

export interface TableContent {
  /** `NAS-Bench-201`. */
  readonly benchmark: string
  /** Name of the space that the architectures are of. */
  readonly space: string
  /** How many architectures the benchmark has; a table may lack some. */
  readonly architectures: number
  readonly source: TableSource
  readonly columns: readonly Column[]
  /** Columns that the benchmark has and the source lacks. */
  readonly absent: readonly string[]
  /** The text of the architecture of each row, in the order of their numbers. */
  readonly keys: readonly string[]
  /** The benchmark's number of the architecture of each row. */
  readonly indexes: Uint32Array
}

/** Where a row stands among all that have a value in a column; the largest value is the first. */
export interface Rank {
  readonly column: string
  readonly value: number
  /** 1: none is larger. Equal values share a rank. */
  readonly rank: number
  /** How many rows have the same value, this one among them. */
  readonly ties: number
  /** Of how many. */
  readonly of: number
  /** Which part of the others is smaller, and half of those that are equal, in percent; 100 where there is no other. */
  readonly percentile: number
}

/** A table in memory. Looking something up takes microseconds; the first rank of a column sorts it. */
export class BenchmarkTable {
  readonly benchmark: string
  readonly space: string
  readonly architectures: number
  readonly source: TableSource
  readonly absent: readonly string[]
  readonly keys: readonly string[]
  readonly indexes: Uint32Array
  readonly #columns: ReadonlyMap<string, Column>
  readonly #rows: ReadonlyMap<string, number>
  readonly #sorted = new Map<string, Float64Array>()

  constructor(content: TableContent) {
    this.benchmark = content.benchmark
    this.space = content.space
    this.architectures = content.architectures
    this.source = content.source
    this.absent = content.absent
    this.keys = content.keys
    this.indexes = content.indexes
    this.#columns = new Map(content.columns.map((column) => [column.name, column]))
    this.#rows = new Map(content.keys.map((key, row) => [key, row]))
  }

  get columns(): Column[] {
    return [...this.#columns.values()]
  }

  /** How many architectures it has. */
  get rows(): number {
    return this.keys.length
  }

  /** The row of an architecture's text; undefined where the table lacks it. */
  rowOf(key: string): number | undefined {
    return this.#rows.get(key)
  }

  /** The row of the architecture with this number of the benchmark; undefined where the table lacks it. */
  rowOfIndex(index: number): number | undefined {
    if (this.indexes[index] === index) return index
    const row = this.indexes.indexOf(index)
    return row < 0 ? undefined : row
  }

  /** Whether it has a column. */
  has(name: string): boolean {
    return this.#columns.has(name)
  }

  /** A column. Throws DdsasError 'input', with the columns there are, where it has none of that name. */
  column(name: string): Column {
    const found = this.#columns.get(name)
    if (found !== undefined) return found
    const known = [...this.#columns.keys()].join(', ')
    throw new DdsasError('input', `the table has no column '${name}'; it has ${known}`)
  }

  /** What was recorded; undefined where nothing was, or the table has no such column. */
  value(row: number, name: string): number | undefined {
    const value = this.#columns.get(name)?.values[row]
    return value === undefined || Number.isNaN(value) ? undefined : value
  }

  /** The rank of a row in a column; undefined where nothing was recorded. Throws as `column` does. */
  rank(row: number, name: string): Rank | undefined {
    const sorted = this.#sort(name)
    const value = this.value(row, name)
    if (value === undefined) return undefined
    const smaller = firstNotBelow(sorted, value)
    const ties = firstAbove(sorted, value) - smaller
    const others = sorted.length - 1
    return {
      column: name,
      value,
      rank: sorted.length - smaller - ties + 1,
      ties,
      of: sorted.length,
      percentile: others === 0 ? 100 : (100 * (smaller + (ties - 1) / 2)) / others,
    }
  }

  /** The rows with the largest values of a column, the largest first, equal ones by their numbers. Throws as `column` does. */
  best(name: string, count: number): number[] {
    const { values } = this.column(name)
    const rows = Array.from(values.keys()).filter((row) => !Number.isNaN(values[row]))
    return rows.sort((a, b) => values[b] - values[a] || a - b).slice(0, count)
  }

  /** The values of a column, the smallest first. */
  #sort(name: string): Float64Array {
    const known = this.#sorted.get(name)
    if (known !== undefined) return known
    const sorted = this.column(name)
      .values.filter((value) => !Number.isNaN(value))
      .sort()
    this.#sorted.set(name, sorted)
    return sorted
  }
}

/** Index of the first value for which `passes` holds; it holds for all after one for which it does. */
function firstThat(sorted: Float64Array, passes: (value: number) => boolean): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (passes(sorted[middle])) high = middle
    else low = middle + 1
  }
  return low
}

function firstNotBelow(sorted: Float64Array, value: number): number {
  return firstThat(sorted, (other) => other >= value)
}

function firstAbove(sorted: Float64Array, value: number): number {
  return firstThat(sorted, (other) => other > value)
}

/** Throws DdsasError 'input' where what was given to `what` is no table; a query can bear it. */
export function checkTable(table: BenchmarkTable, what: string): void {
  const given: unknown = table
  if (given instanceof BenchmarkTable) return
  throw new DdsasError('input', `${what}: table: expected a BenchmarkTable, as openTable gives`)
}

/** The same, and where `row` is none of its rows. */
export function checkRow(table: BenchmarkTable, row: number, what: string): void {
  checkTable(table, what)
  if (Number.isInteger(row) && row >= 0 && row < table.rows) return
  throw new DdsasError('input', `${what}: row: expected a whole number from 0 to ${table.rows - 1}`)
}

const contentSchema = z.looseObject({
  ...{ benchmark: z.string(), space: z.string(), architectures: z.int().nonnegative() },
  source: z.looseObject({ kind: z.string(), name: z.string(), bytes: z.number() }),
  columns: z.array(z.looseObject({ name: z.string(), unit: z.string(), values: z.instanceof(Float64Array) })),
  ...{ absent: z.array(z.string()), keys: z.array(z.string()), indexes: z.instanceof(Uint32Array) },
})

/** Throws DdsasError 'input' where what was given to `what` is no content of a table. */
export function checkContent(content: TableContent, what: string): void {
  checkGiven(contentSchema, content, what, 'content')
}
