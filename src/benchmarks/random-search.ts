/** Random search on a table: what is drawn costs a look-up instead of a training. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { Generator } from '../torch/random.ts'
import { type Accuracies, accuraciesOf } from './judge.ts'
import { benchmarkOf } from './known.ts'
import { accuracyColumn, type Dataset, datasets } from './nasbench201.ts'
import { type BenchmarkTable, checkTable } from './table.ts'

export interface RandomSearchOptions {
  /** How many architectures each search looks at. */
  readonly samples: number
  /** How many searches, with the seeds 0, 1, 2, … */
  readonly seeds: number
  /** By whose validation accuracy the best is picked. */
  readonly dataset: Dataset
}

/** What one search found. */
export interface RandomSearchFind {
  readonly seed: number
  readonly index: number
  readonly architecture: string
  readonly accuracies: Accuracies
}

export interface Spread {
  readonly mean: number
  /** Of the sample: with one search fewer than there are; 0 for one alone. */
  readonly std: number
}

export interface RandomSearchResult {
  readonly finds: readonly RandomSearchFind[]
  /** Test accuracies in percent over all searches, by data set; those that were not recorded are left out. */
  readonly test: Readonly<Partial<Record<Dataset, Spread>>>
}

/** Bounds of what is asked: more samples than a benchmark has architectures, more seeds than any figure needs. */
export const maxSamples = 1_000_000
export const maxSeeds = 10_000

const schema = z.object({
  samples: z.int().positive().max(maxSamples),
  seeds: z.int().positive().max(maxSeeds),
  dataset: z.enum(datasets),
})

/**
 * Draws architectures with equal chances for each that the table has, one maybe twice, and picks the one with the best
 * validation accuracy.
 * @throws {DdsasError} `input` for options that cannot be, and where the table has no such accuracies.
 */
export function randomSearch(table: BenchmarkTable, options: RandomSearchOptions): RandomSearchResult {
  checkTable(table, 'randomSearch')
  checkGiven(schema, options, 'randomSearch', 'options')
  const { trainings, textOf } = benchmarkOf(table)
  const column = accuracyColumn(options.dataset, 'validation', trainings[0])
  const rows = table.best(column, table.rows)
  if (rows.length === 0)
    throw new DdsasError('input', `the table has no value of ${column}; import a source that has`)
  const finds = Array.from({ length: options.seeds }, (_, seed): RandomSearchFind => {
    const generator = new Generator(seed, 'random search')
    const drawn = Array.from({ length: options.samples }, () => generator.below(rows.length))
    // the rows are in the order of the accuracy
    const row = rows[drawn.reduce((least, place) => Math.min(least, place))]
    return {
      seed,
      index: table.indexes[row],
      architecture: textOf(table.keys[row]),
      accuracies: accuraciesOf(table, row),
    }
  })
  const test = datasets.flatMap((dataset) => {
    const values = finds.flatMap(({ accuracies }) => accuracies[dataset].test ?? [])
    return values.length === finds.length ? [[dataset, spreadOf(values)] as const] : []
  })
  return { finds, test: Object.fromEntries(test) }
}

function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, std: Math.sqrt(squares / Math.max(1, values.length - 1)) }
}
