/** Random search on a table: what is drawn costs a look-up instead of a training. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { drawArchitecture } from '../spaces/architecture-weights.ts'
import { nasbench201Space } from '../spaces/nasbench201/space.ts'
import { Generator } from '../torch/random.ts'
import { type Accuracies, accuraciesOf } from './judge.ts'
import { accuracyColumn, type Dataset, datasets } from './nasbench201.ts'
import type { BenchmarkTable } from './table.ts'

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

const schema = z.object({
  samples: z.int().positive(),
  seeds: z.int().positive(),
  dataset: z.enum(datasets),
})

/**
 * Draws architectures with equal chances for each, as often as asked, and picks the one with the best validation accuracy. What
 * the table lacks is drawn again; one architecture may be drawn twice.
 * @throws {DdsasError} `input` for options that cannot be, and where the table has no such accuracies.
 */
export function randomSearch(table: BenchmarkTable, options: RandomSearchOptions): RandomSearchResult {
  checkGiven(schema, options, 'randomSearch', 'options')
  const column = accuracyColumn(options.dataset, 'valid')
  // with none to draw, drawing would not end
  table.column(column)
  const finds = Array.from({ length: options.seeds }, (_, seed): RandomSearchFind => {
    const row = bestOfDrawn(table, column, options.samples, new Generator(seed, 'random search'))
    return {
      seed,
      index: table.indexes[row],
      architecture: table.keys[row],
      accuracies: accuraciesOf(table, row),
    }
  })
  const test = datasets.flatMap((dataset) => {
    const values = finds.flatMap(({ accuracies }) => accuracies[dataset]?.test ?? [])
    return values.length === finds.length ? [[dataset, spreadOf(values)] as const] : []
  })
  return { finds, test: Object.fromEntries(test) }
}

function bestOfDrawn(table: BenchmarkTable, column: string, samples: number, generator: Generator): number {
  let best: { row: number; value: number } | undefined
  for (let drawn = 0; drawn < samples || best === undefined; ) {
    const row = table.rowOf(nasbench201Space.format(drawArchitecture(nasbench201Space, generator)))
    const value = row === undefined ? undefined : table.value(row, column)
    if (row === undefined || value === undefined) continue
    drawn++
    if (best === undefined || value > best.value) best = { row, value }
  }
  return best.row
}

function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, std: Math.sqrt(squares / Math.max(1, values.length - 1)) }
}
