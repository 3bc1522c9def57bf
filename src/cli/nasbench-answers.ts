/** What the commands `ddsas nasbench` answer, as data. */
import {
  accuraciesOf,
  accuracyColumn,
  type BenchmarkTable,
  benchmarkOf,
  type Dataset,
  datasets,
  factsOf,
  findRow,
  type RandomSearchOptions,
  type Rank,
  randomSearch,
  type Split,
  splits,
} from '../benchmarks/index.ts'

/** How many architectures the table has, and how many the benchmark. */
export interface Coverage {
  readonly rows: number
  readonly of: number
}

function coverageOf({ rows, architectures }: BenchmarkTable): Coverage {
  return { rows, of: architectures }
}

/** What `nasbench query` prints. */
export type Query = ReturnType<typeof query>

/** What was recorded of an architecture. */
export function query(table: BenchmarkTable, given: string) {
  const row = findRow(table, given)
  const { trainings, textOf } = benchmarkOf(table)
  const { canonical, connected, same } = factsOf(table, row)
  const recorded = table.columns.flatMap(({ name }) => {
    const value = table.value(row, name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...{ index: table.indexes[row], architecture: textOf(table.keys[row]), canonical, connected, same },
    recorded: Object.fromEntries(recorded),
    absent: table.absent,
    trainings,
    coverage: coverageOf(table),
  }
}

/** What `nasbench rank` prints. */
export interface Ranks {
  readonly index: number
  readonly architecture: string
  readonly ranks: readonly (Rank & { readonly dataset: Dataset; readonly split: Split })[]
  readonly coverage: Coverage
}

/** Where an architecture stands, by each data set and split after the longest training. */
export function ranks(table: BenchmarkTable, given: string): Ranks {
  const row = findRow(table, given)
  const { trainings, textOf } = benchmarkOf(table)
  const found = datasets.flatMap((dataset) =>
    splits.flatMap((split) => {
      const name = accuracyColumn(dataset, split, trainings[0])
      const rank = table.has(name) ? table.rank(row, name) : undefined
      return rank === undefined ? [] : [{ dataset, split, ...rank }]
    }),
  )
  return {
    ...{ index: table.indexes[row], architecture: textOf(table.keys[row]), ranks: found },
    coverage: coverageOf(table),
  }
}

export interface BestOptions {
  readonly dataset: Dataset
  readonly split: Split
  readonly top: number
}

/** What `nasbench best` prints. */
export type Best = ReturnType<typeof best>

/** The best architectures by the accuracy after the longest training. */
export function best(table: BenchmarkTable, { dataset, split, top }: BestOptions) {
  const { trainings, textOf } = benchmarkOf(table)
  const by = accuracyColumn(dataset, split, trainings[0])
  const found = table.best(by, top).map((row) => ({
    rank: table.rank(row, by)?.rank,
    index: table.indexes[row],
    architecture: textOf(table.keys[row]),
    accuracies: accuraciesOf(table, row),
  }))
  return { dataset, split, by, epochs: trainings[0], best: found, coverage: coverageOf(table) }
}

/** What `nasbench search` prints. */
export type Search = ReturnType<typeof search>

/** Random search on the table. */
export function search(table: BenchmarkTable, { dataset, samples, seeds }: RandomSearchOptions) {
  const found = randomSearch(table, { dataset, samples, seeds })
  return { dataset, samples, seeds, ...found, coverage: coverageOf(table) }
}
