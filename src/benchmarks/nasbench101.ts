/**
 * What NAS-Bench-101 recorded of its cells, and under which names tables hold it. A row's key is the benchmark's hash of the cell,
 * which isomorphic cells share, and the cell as text.
 */
import { DdsasError } from '../errors.ts'
import {
  nasbench101Graph,
  parseAnyCell,
  type SpaceNumber,
  spaceName,
  spaceNumbers,
} from '../spaces/nasbench1shot1/architecture.ts'
import {
  type CellGraph,
  edgeCount,
  formatGraph,
  hashOf,
  most,
  parseGraph,
  pruned,
} from '../spaces/nasbench101/graph.ts'
import { accuracyColumn, costColumn, splits } from './nasbench201.ts'
import type { BenchmarkTable } from './table.ts'

export const nasbench101 = {
  benchmark: 'NAS-Bench-101',
  space: 'nasbench101',
  architectures: 423_624,
} as const

/** After how many epochs; each training has a learning rate schedule of its own. */
export const nasbench101Trainings = [108, 36, 12, 4] as const
export type Nasbench101Training = (typeof nasbench101Trainings)[number]

/** The column of the seconds that a training took. */
export function timeColumn(epochs: Nasbench101Training): string {
  return `cifar10.seconds.${epochs}`
}

/** All columns with their units, as a table that lacks nothing has them. */
export const nasbench101Columns: ReadonlyMap<string, string> = new Map([
  ...nasbench101Trainings.flatMap((epochs) =>
    splits.map((split) => [accuracyColumn('cifar10', split, epochs), '%'] as const),
  ),
  ...nasbench101Trainings.map((epochs) => [timeColumn(epochs), 's'] as const),
  [costColumn('cifar10', 'parameters'), 'count'] as const,
])

/**
 * The lowest test error of a single training in each space of NAS-Bench-1Shot1, in percent, as its authors give it: what regret is
 * counted from.
 */
const lowestErrors: Readonly<Record<SpaceNumber, number>> = { 1: 5.448717, 2: 5.759215, 3: 5.338544 }

/** Names of the spaces whose cells it knows. */
export const nasbench101Spaces: readonly string[] = spaceNumbers.map(spaceName)

const hashDigits = 32
const hashPattern = /^[0-9a-f]{32}$/

/** Whether a text can be a hash of a cell. */
export function isHash(text: string): boolean {
  return hashPattern.test(text)
}

export function keyOfCell(hash: string, graph: CellGraph): string {
  return `${hash} ${formatGraph(graph)}`
}

export function hashOfKey(key: string): string {
  return key.slice(0, hashDigits)
}

/** The cell of a key, as text. */
export function cellOfKey(key: string): string {
  return key.slice(hashDigits + 1)
}

const rowsByHash = new WeakMap<BenchmarkTable, ReadonlyMap<string, number>>()

/**
 * The row of the cell with this hash; undefined where the table lacks it. The first time all hashes are noted.
 * @throws {DdsasError} `data` where the cell in that row has another hash: what the table was imported from named it wrongly.
 */
function rowOfHash(table: BenchmarkTable, hash: string): number | undefined {
  const rows = rowsByHash.get(table) ?? new Map(table.keys.map((key, row) => [hashOfKey(key), row]))
  rowsByHash.set(table, rows)
  const row = rows.get(hash)
  if (row === undefined) return undefined
  const text = cellOfKey(table.keys[row])
  if (hashOf(parseGraph(text, `of row ${row}`)) === hash) return row
  throw new DdsasError(
    'data',
    `the table calls ${text} ${hash}, which is another cell's hash; import it anew`,
  )
}

/**
 * The row of a cell given by its hash or as text, with or without what the output does not depend on.
 * @throws {DdsasError} `input` for what is neither, and for a cell that is none of the benchmark's.
 */
export function rowOfNasbench101(table: BenchmarkTable, given: string): number | undefined {
  if (isHash(given)) return rowOfHash(table, given)
  const graph = pruned(parseGraph(given, 'given'))
  if (graph === undefined)
    throw new DdsasError(
      'input',
      `the input of ${given} does not reach its output; ${nasbench101.benchmark} has no such cell`,
    )
  const edges = edgeCount(graph)
  if (edges > most.edges)
    throw new DdsasError(
      'input',
      `${given} has ${edges} edges; cells of ${nasbench101.benchmark} have up to ${most.edges}`,
    )
  return rowOfHash(table, hashOf(graph))
}

/** Where a table has a cell of a space of NAS-Bench-1Shot1, and the lowest test error of that space, in percent. */
export function findNasbench1shot1(
  table: BenchmarkTable,
  architecture: unknown,
): { readonly row: number | undefined; readonly lowestError: number } {
  const { cell, number } = parseAnyCell(architecture, 'given')
  return { row: rowOfHash(table, hashOf(nasbench101Graph(cell))), lowestError: lowestErrors[number] }
}
