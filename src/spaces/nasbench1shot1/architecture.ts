/**
 * Architectures of NAS-Bench-1Shot1: an operation for each choice block, and which of the blocks before (0: the cell's input) each
 * block and the output read; how many those are, a space says.
 */
import { z } from 'zod'
import { firstProblem, parseJson } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import {
  type CellGraph,
  formatGraph,
  type OperationName,
  operationNames,
  parseGraph,
  pruned,
} from '../nasbench101/graph.ts'

/** The operations in the order of the published columns. */
export const primitives = ['maxpool3x3', 'conv3x3-bn-relu', 'conv1x1-bn-relu'] as const

export const spaceNumbers = [1, 2, 3] as const
export type SpaceNumber = (typeof spaceNumbers)[number]

/** How many parents each block has, and at the end the output. */
export const parentCounts: Readonly<Record<SpaceNumber, readonly number[]>> = {
  1: [1, 2, 2, 2, 2],
  2: [1, 1, 2, 2, 3],
  3: [1, 1, 1, 2, 2, 2],
}

/** The name of a space in the registry. */
export function spaceName(number: SpaceNumber): string {
  return `nasbench1shot1-${number}`
}

/** A cell with all its blocks; those that nothing reads take no part in networks. */
export interface Nasbench1shot1Cell {
  readonly ops: readonly OperationName[]
  /** For each block, and at the end for the output, those it reads, ascending. */
  readonly parents: readonly (readonly number[])[]
}

/** The rows whose parents a search decides: those that could read more than they do. */
export function decidedNodes(number: SpaceNumber): number[] {
  return parentCounts[number].flatMap((count, index) => (count < index + 1 ? [index + 1] : []))
}

/** The space that a cell is of, by how many parents it has where; undefined where that is none. */
export function spaceNumberOf({ parents }: Pick<Nasbench1shot1Cell, 'parents'>): SpaceNumber | undefined {
  const counts = parents.map(({ length }) => length).join()
  return spaceNumbers.find((number) => parentCounts[number].join() === counts)
}

const schema = z.strictObject({
  ops: z.array(z.enum(operationNames)).max(5),
  parents: z.array(z.array(z.int().nonnegative()).max(6)).max(6),
})

/** As text, of which JSON is one kind, or as data. Throws DdsasError 'input' where it is none of the space. */
export function parseCell(value: unknown, source: string, number: SpaceNumber): Nasbench1shot1Cell {
  const cell = readCell(value, source)
  if (spaceNumberOf(cell) === number && cell.ops.length === cell.parents.length - 1) return cell
  const counts = parentCounts[number]
  throw new DdsasError(
    'input',
    `architecture ${source}: ${formatCell(cell)} is not of the space '${spaceName(number)}': there ${counts.length - 1} blocks read ${counts
      .slice(0, -1)
      .join(', ')} of those before them, and the output ${counts.at(-1)}`,
  )
}

/** A cell of whichever space it is. Throws DdsasError 'input' where it is of none. */
export function parseAnyCell(
  value: unknown,
  source: string,
): { readonly cell: Nasbench1shot1Cell; readonly number: SpaceNumber } {
  const cell = readCell(value, source)
  const number = spaceNumberOf(cell)
  if (number !== undefined) return { cell, number }
  const names = spaceNumbers.map(spaceName).join(', ')
  throw new DdsasError(
    'input',
    `architecture ${source}: ${formatCell(cell)} is of none of the spaces ${names}`,
  )
}

function readCell(value: unknown, source: string): Nasbench1shot1Cell {
  if (typeof value === 'string' && !/^\s*\{/.test(value)) {
    const { operations, parents } = parseGraph(value, source)
    return { ops: operations, parents }
  }
  const parsed = schema.safeParse(typeof value === 'string' ? parseJson(value) : value)
  if (!parsed.success)
    throw new DdsasError('input', `architecture ${source}: ${firstProblem(parsed.error, 'value')}`)
  const { ops, parents } = parsed.data
  // what text may say of vertices holds for data, too
  const text = formatCell({ ops, parents })
  const read = parseGraph(text, source)
  return { ops: read.operations, parents: read.parents }
}

/** One line: `maxpool3x3(0) conv3x3-bn-relu(0,1) … output(2,4)`. */
export function formatCell(cell: Nasbench1shot1Cell): string {
  return formatGraph(graphOf(cell))
}

function graphOf({ ops, parents }: Nasbench1shot1Cell): CellGraph {
  return { operations: ops, parents }
}

/**
 * The graph as the published code hands it to NAS-Bench-101: seven vertices, and edges into those alone that the output can be
 * reached from. Where there are four blocks, a fifth that nothing reads stands for the benchmark's fifth.
 */
export function handedGraph(cell: Nasbench1shot1Cell): CellGraph {
  const blocks = cell.ops.length
  const reached = new Set([blocks + 1])
  for (let vertex = blocks + 1; vertex > 0; vertex--)
    if (reached.has(vertex)) for (const parent of cell.parents[vertex - 1]) reached.add(parent)
  const own = cell.parents.map((parents, index) => (reached.has(index + 1) ? parents : []))
  if (blocks === 5) return { operations: cell.ops, parents: own }
  return { operations: [...cell.ops, 'conv1x1-bn-relu'], parents: [...own.slice(0, -1), [], own[blocks]] }
}

/** The graph that NAS-Bench-101 knows the cell by. */
export function nasbench101Graph(cell: Nasbench1shot1Cell): CellGraph {
  const graph = pruned(handedGraph(cell))
  if (graph !== undefined) return graph
  // every block reads at least one before it, so that the input reaches whatever the output reads
  throw new Error(`the input of ${formatCell(cell)} does not reach its output`)
}
