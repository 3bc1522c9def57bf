/** What NAS-Bench-201 recorded: which data sets, splits and trainings, and under which names tables hold them. */
import {
  canonicalForm,
  formatArchitecture,
  isConnected,
  parseArchitecture,
} from '../spaces/nasbench201/architecture.ts'
import { nasbench201Space } from '../spaces/nasbench201/space.ts'
import type { BenchmarkTable } from './table.ts'

export const datasets = ['cifar10', 'cifar100', 'imagenet16-120'] as const
export type Dataset = (typeof datasets)[number]

/** On which images an accuracy was measured: those a search may look at, or those it is judged by. */
export const splits = ['validation', 'test'] as const
export type Split = (typeof splits)[number]

/** After how many epochs. Trainings of 12 epochs have a learning rate schedule of their own. */
export const trainings = [200, 12] as const
export type Training = (typeof trainings)[number]

/** The column of an accuracy in percent. */
export function accuracyColumn(dataset: Dataset, split: Split, epochs = 200): string {
  return `${dataset}.${split}.${epochs}`
}

/** The column of the network's parameters, or of its multiply-adds in millions. */
export function costColumn(dataset: Dataset, cost: 'parameters' | 'multiply-adds'): string {
  return `${dataset}.${cost}`
}

/** All columns with their units, as a table that lacks nothing has them. */
export const nasbench201Columns: ReadonlyMap<string, string> = new Map([
  ...trainings.flatMap((epochs) =>
    datasets.flatMap((dataset) =>
      splits.map((split) => [accuracyColumn(dataset, split, epochs), '%'] as const),
    ),
  ),
  ...datasets.map((dataset) => [costColumn(dataset, 'parameters'), 'count'] as const),
  ...datasets.map((dataset) => [costColumn(dataset, 'multiply-adds'), 'M'] as const),
])

export const nasbench201 = {
  benchmark: 'NAS-Bench-201',
  space: nasbench201Space.name,
  architectures: 15_625,
} as const

/** The text under which a table holds an architecture, however it was spaced. Throws DdsasError 'input' for what is none. */
export function keyOf(text: string, source: string): string {
  return formatArchitecture(parseArchitecture(text, source))
}

/** What an architecture is, beside its results. */
export interface ArchitectureFacts {
  /** Equal for cells that compute the same. */
  readonly canonical: string
  /** Whether the cell's input reaches its output. */
  readonly connected: boolean
  /** Numbers of the other cells of the table that compute the same, trained apart. */
  readonly same: readonly number[]
}

const canonicalForms = new WeakMap<BenchmarkTable, readonly string[]>()

/** What the architecture of a row is. The first time all canonical forms of the table are made, which takes a tenth of a second. */
export function factsOfNasbench201(table: BenchmarkTable, row: number): ArchitectureFacts {
  const forms =
    canonicalForms.get(table) ?? table.keys.map((key) => canonicalForm(parseArchitecture(key, key)))
  canonicalForms.set(table, forms)
  const canonical = forms[row]
  return {
    canonical,
    connected: isConnected(parseArchitecture(table.keys[row], table.keys[row])),
    same: forms.flatMap((form, other) => (form === canonical && other !== row ? [table.indexes[other]] : [])),
  }
}
