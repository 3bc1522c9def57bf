/** The three spaces of NAS-Bench-1Shot1, parts of NAS-Bench-101: operations of choice blocks, and what each block and the output read. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { cellNetwork, networkOfWeights } from '../nasbench101/programs.ts'
import { bestColumn } from '../one-per-row.ts'
import type { Alternative, Available, ChoiceGroup, Picks, Scores, SearchSpace } from '../space.ts'
import {
  decidedNodes,
  formatCell,
  type Nasbench1shot1Cell,
  nasbench101Graph,
  parentCounts,
  parseCell,
  primitives,
  type SpaceNumber,
  spaceName,
} from './architecture.ts'
import { groups, supernetProgram } from './supernet.ts'

/** The operations, then what the output reads, then what the blocks do: the order of the published parameters. */
function choicesOf(space: SpaceNumber): ChoiceGroup[] {
  const blocks = parentCounts[space].length - 1
  const decided = decidedNodes(space)
  const before = (node: number) => [
    'input',
    ...Array.from({ length: node - 1 }, (_, index) => String(index + 1)),
  ]
  const reading = (name: string, node: number): ChoiceGroup => ({
    ...{ name, rows: 1, candidates: before(node), run: 'all' },
  })
  return [
    { name: groups.ops, rows: blocks, candidates: primitives, run: 'sampled' },
    reading(groups.output, blocks + 1),
    ...decided.flatMap((node) => (node > blocks ? [] : [reading(groups.input(node), node)])),
  ]
}

/** The group that decides what a node reads; the last node is the output. */
function groupOf(space: SpaceNumber, node: number): string {
  return node === parentCounts[space].length ? groups.output : groups.input(node)
}

/** The places of the largest scores, ascending; of those that are available first, of equal ones the first. */
function largest(scores: readonly number[], count: number, available: readonly boolean[] = []): number[] {
  const places = scores.map((_, place) => place)
  const is = (place: number) => Number(available[place] ?? true)
  return places
    .sort((a, b) => is(b) - is(a) || scores[b] - scores[a] || a - b)
    .slice(0, count)
    .sort((a, b) => a - b)
}

function decode(space: SpaceNumber, scores: Scores, available: Available | undefined): Nasbench1shot1Cell {
  const decided = decidedNodes(space)
  const allowed = available?.get(groups.ops)
  return {
    ops: (scores.get(groups.ops) ?? []).map((row, index) => primitives[bestColumn(row, allowed?.[index])]),
    parents: parentCounts[space].map((count, index) => {
      const name = groupOf(space, index + 1)
      if (!decided.includes(index + 1)) return Array.from({ length: index + 1 }, (_, parent) => parent)
      return largest(scores.get(name)?.[0] ?? [], count, available?.get(name)?.[0])
    }),
  }
}

function encode(space: SpaceNumber, { ops, parents }: Nasbench1shot1Cell): Picks {
  const reading = decidedNodes(space).map((node) => [groupOf(space, node), [parents[node - 1]]] as const)
  return new Map<string, readonly (readonly number[])[]>([
    [groups.ops, ops.map((operation) => [primitives.indexOf(operation)])],
    ...reading,
  ])
}

/** The operation of each block, then for each node with a choice every set of parents that it can have. */
function partsOf(space: SpaceNumber): Alternative[][] {
  const [{ rows, candidates }] = choicesOf(space)
  const operations = Array.from({ length: rows }, (_, row) =>
    candidates.map((_, column) => [{ group: groups.ops, row, column }]),
  )
  const parents = decidedNodes(space).map((node) =>
    subsets(node, parentCounts[space][node - 1]).map((columns) =>
      columns.map((column) => ({ group: groupOf(space, node), row: 0, column })),
    ),
  )
  return [...operations, ...parents]
}

/** All sets of `size` numbers below `count`, ascending. */
function subsets(count: number, size: number): number[][] {
  if (size === 0) return [[]]
  return Array.from({ length: count }, (_, first) => first).flatMap((first) =>
    subsets(count - first - 1, size - 1).map((rest) => [first, ...rest.map((one) => one + first + 1)]),
  )
}

/** Of the decisions of one architecture those that another one makes differently. */
function distance(space: SpaceNumber, a: Nasbench1shot1Cell, b: Nasbench1shot1Cell): number {
  const decisions = (of: Nasbench1shot1Cell) =>
    [...encode(space, of)].flatMap(([group, rows]) =>
      rows.flatMap((columns, row) => columns.map((column) => `${group} ${row} ${column}`)),
    )
  const [first, second] = [decisions(a), new Set(decisions(b))]
  return first.filter((decision) => !second.has(decision)).length / first.length
}

const size = { channels: z.int().positive(), cells: z.int().min(3), classes: z.int().positive() }
const supernetSchema = z.object({ ...size, stem: z.literal('cifar').optional() })
const networkSchema = z.object({ ...size, kind: z.enum(['cifar', 'imagenet']), auxiliary: z.boolean() })

/** A space of NAS-Bench-1Shot1. Its networks are those that NAS-Bench-101 trained. */
export function nasbench1shot1Space(number: SpaceNumber): SearchSpace<Nasbench1shot1Cell> {
  const name = spaceName(number)
  const check = (schema: z.ZodType, options: unknown) =>
    checkGiven(schema, options, `the space '${name}'`, 'options')
  return {
    name,
    defaults: { channels: 16, cells: 9 },
    choices: choicesOf(number),
    supernet: (options) => {
      check(supernetSchema, options)
      return supernetProgram(number, options)
    },
    network: (cell, options) => {
      check(networkSchema, options)
      return cellNetwork(nasbench101Graph(cell), options)
    },
    decode: (scores, available) => decode(number, scores, available),
    parts: partsOf(number),
    encode: (cell) => encode(number, cell),
    parse: (value, source) => parseCell(value, source, number),
    format: formatCell,
    distance: (a, b) => distance(number, a, b),
    // as the benchmark trained them
    usualNetwork: () => ({ kind: 'cifar', channels: 128, cells: 9, classes: 10 }),
    networkOf: networkOfWeights,
    indicators: (cell) => ({ blocks: nasbench101Graph(cell).operations.length }),
  }
}
