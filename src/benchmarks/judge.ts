/** What a table says of an architecture that a search picked. */
import { benchmarkOf } from './known.ts'
import { accuracyColumn, type Dataset, type Split, splits } from './nasbench201.ts'
import { type BenchmarkTable, checkRow, checkTable } from './table.ts'

/** Accuracies in percent after the benchmark's longest training; those that were not recorded are left out. */
export type Accuracies = Readonly<Record<Dataset, Readonly<Partial<Record<Split, number>>>>>

/** Plain data, for a report. */
export interface Judgement {
  readonly accuracies: Accuracies
  /** Which accuracy the rank is by: `cifar10.test.200`. */
  readonly by: string
  /** 1: none is better; equal ones share a rank. */
  readonly rank: number
  /** Of how many architectures. */
  readonly of: number
  /** Which part of the others is worse, in percent; equal ones count half. */
  readonly percentile: number
  /** Test error in percent, and by how many points it is above the lowest of the space: where that one is published. */
  readonly testError?: number
  readonly regret?: number
}

/** The accuracies of a row after the benchmark's longest training. */
export function accuraciesOf(table: BenchmarkTable, row: number): Accuracies {
  checkRow(table, row, 'accuraciesOf')
  const [epochs] = benchmarkOf(table).trainings
  const of = (dataset: Dataset) =>
    Object.fromEntries(
      splits.flatMap((split) => {
        const value = table.value(row, accuracyColumn(dataset, split, epochs))
        return value === undefined ? [] : [[split, value]]
      }),
    )
  return { cifar10: of('cifar10'), cifar100: of('cifar100'), 'imagenet16-120': of('imagenet16-120') }
}

/**
 * What says of an architecture that a search picked, as data or as text, how the benchmark judges it: by its test accuracy on
 * CIFAR-10. It gives undefined where the table lacks the architecture or that accuracy.
 * @throws {DdsasError} `input` for a table of no known benchmark, and, by what is returned, for what is no architecture.
 */
export function judgeOf(table: BenchmarkTable): (architecture: unknown) => Judgement | undefined {
  checkTable(table, 'judgeOf')
  const benchmark = benchmarkOf(table)
  const by = accuracyColumn('cifar10', 'test', benchmark.trainings[0])
  return (architecture) => {
    const { row, lowestError } = benchmark.find(table, architecture)
    const found = row === undefined || !table.has(by) ? undefined : table.rank(row, by)
    if (row === undefined || found === undefined) return undefined
    const { value, rank, of, percentile } = found
    const testError = 100 - value
    return {
      ...{ accuracies: accuraciesOf(table, row), by, rank, of, percentile },
      ...(lowestError === undefined ? {} : { testError, regret: testError - lowestError }),
    }
  }
}
