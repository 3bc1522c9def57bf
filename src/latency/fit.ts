/**
 * Costs of candidates from the times of whole networks: least squares of relative errors with a penalty. A candidate costs
 * a scale times what its operations took alone, plus a correction of its class, plus one of its own; a node that nothing leads into
 * is a class by itself, for each group. How much corrections are held back is chosen by leaving out each network once.
 */
import { type EmptyNode, isEmpty } from '../budget/cost-table.ts'
import type { ChoiceGroup, Picks } from '../spaces/space.ts'
import { type Matrix, solveSymmetric } from './symmetric.ts'

export interface TimedPicks {
  readonly picks: Picks
  readonly ms: number
}

/** What is known of candidates before any network was timed. */
export interface Known {
  readonly choices: readonly ChoiceGroup[]
  /** The class of each candidate, by group [rows, candidates]. */
  readonly classes: ReadonlyMap<string, readonly (readonly number[])[]>
  /** For each class what its operations took alone, in milliseconds. */
  readonly alone: readonly number[]
}

export interface FittedCosts {
  readonly base: number
  /** By group [rows, candidates]; none is negative. */
  readonly costs: ReadonlyMap<string, readonly (readonly number[])[]>
  /** Those that cost something. */
  readonly empty: readonly EmptyNode[]
}

/** Variances of corrections that are tried, for an error of 1 in the logarithm and times of 1. */
const variances = [1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1e4, 1e7] as const
/** Of what is not held back: what all networks share, and the scale. */
const free = 1e7

/** Columns of one kind, by networks: [networks, columns]. */
interface Features {
  readonly rows: readonly ReadonlyMap<number, number>[]
}

/** Fits a table. Throws nothing: any times above zero have one. */
export function fitCosts(networks: readonly TimedPicks[], known: Known): FittedCosts {
  const fitted = fitWith(networks, known, true)
  return nonNegative(fitted.base < 0 ? fitWith(networks, known, false) : fitted, networks, known)
}

function fitWith(networks: readonly TimedPicks[], known: Known, withBase: boolean): FittedCosts {
  const { choices, classes, alone } = known
  const typical = mean(networks.map(({ ms }) => ms))
  // each network counts by its relative error; times are in units of a typical one
  const weight = networks.map(({ ms }) => typical / ms)
  const target = networks.map(({ ms }, index) => (ms / typical) * weight[index])
  const column = columnsOf(choices)
  const features = (
    of: (group: string, row: number, column: number) => readonly [number, number],
  ): Features => ({
    rows: networks.map(({ picks }, index) => {
      const row = new Map<number, number>()
      for (const [group, rows] of picks)
        for (const [at, columns] of rows.entries())
          for (const picked of columns) {
            const [feature, value] = of(group, at, picked)
            row.set(feature, (row.get(feature) ?? 0) + value * weight[index])
          }
      return row
    }),
  })
  const classAt = (group: string, row: number, picked: number) => classes.get(group)?.[row][picked] ?? -1
  const base: Features = { rows: weight.map((value) => new Map([[0, withBase ? value : 0]])) }
  const scale = features((...at) => [0, alone[classAt(...at)] / typical])
  const canBeEmpty = choices.flatMap((group, index) => emptyNodes(group, index))
  const byClass = features((...at) => [classAt(...at), 1])
  const byEmpty = emptyFeatures(networks, canBeEmpty, weight)
  const byPick = features((...at) => [column(...at), 1])
  const [always, ofClass, ofPick] = [
    products([base, scale, byEmpty]),
    products([byClass]),
    products([byPick]),
  ]
  const solve = (classVariance: number, pickVariance: number) => {
    const kernel = always.map((row, i) =>
      row.map(
        (value, j) =>
          free * value + classVariance * ofClass[i][j] + pickVariance * ofPick[i][j] + (i === j ? 1 : 0),
      ),
    )
    const { solution, inverseDiagonal } = solveSymmetric(kernel, target)
    const score = mean(solution.map((value, i) => (value / inverseDiagonal[i]) ** 2))
    return { solution, score, classVariance, pickVariance }
  }
  const tried = variances.flatMap((classVariance) =>
    variances.filter((value) => value <= classVariance).map((value) => solve(classVariance, value)),
  )
  const best = tried.reduce((a, b) => (b.score < a.score ? b : a))
  const coefficient = ({ rows }: Features, feature: number, variance: number) =>
    variance * rows.reduce((sum, row, i) => sum + (row.get(feature) ?? 0) * best.solution[i], 0)
  const factor = coefficient(scale, 0, free)
  const costs = choices.map(
    ({ name, rows, candidates }) =>
      [
        name,
        Array.from({ length: rows }, (_, row) =>
          candidates.map((_, picked) => {
            const own = classAt(name, row, picked)
            const corrections =
              coefficient(byClass, own, best.classVariance) +
              coefficient(byPick, column(name, row, picked), best.pickVariance)
            return factor * alone[own] + typical * corrections
          }),
        ),
      ] as const,
  )
  const empty = canBeEmpty.map(({ group, rows, none, class: own }) => {
    const cost = Math.max(0, typical * coefficient(byEmpty, own, free))
    return { group, rows, none, cost }
  })
  return {
    base: typical * coefficient(base, 0, free),
    costs: new Map(costs),
    empty: empty.filter(({ cost }) => cost > 0),
  }
}

type NodeOfClass = Omit<EmptyNode, 'cost'> & { readonly class: number }

/** The nodes of a group that an architecture may leave empty, where more than one pick says so. */
function emptyNodes({ name, nodes = [], none }: ChoiceGroup, own: number): NodeOfClass[] {
  if (none === undefined) return []
  const whole = nodes.filter(({ rows, keeps }) => rows.length > 1 && keeps === rows.length)
  return whole.map(({ rows }) => ({ group: name, rows, none, class: own }))
}

/** How many nodes of each class a network leaves empty. */
function emptyFeatures(
  networks: readonly TimedPicks[],
  nodes: readonly NodeOfClass[],
  weight: readonly number[],
): Features {
  return {
    rows: networks.map(({ picks }, index) => {
      const row = new Map<number, number>()
      for (const node of nodes)
        if (isEmpty(node, picks)) row.set(node.class, (row.get(node.class) ?? 0) + weight[index])
      return row
    }),
  }
}

/** A number for each candidate of each row. */
function columnsOf(choices: readonly ChoiceGroup[]): (group: string, row: number, column: number) => number {
  const first = new Map<string, { readonly offset: number; readonly width: number }>()
  let offset = 0
  for (const { name, rows, candidates } of choices) {
    first.set(name, { offset, width: candidates.length })
    offset += rows * candidates.length
  }
  return (group, row, column) => {
    const found = first.get(group)
    return found === undefined ? -1 : found.offset + row * found.width + column
  }
}

/** Scalar products of networks, over some features. */
function products(features: readonly Features[]): Matrix {
  const dot = (a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>) => {
    let sum = 0
    for (const [feature, value] of a) sum += value * (b.get(feature) ?? 0)
    return sum
  }
  const count = features[0].rows.length
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: count }, (_, j) =>
      features.reduce((sum, { rows }) => sum + dot(rows[i], rows[j]), 0),
    ),
  )
}

/**
 * The same table with costs from zero on. Where all networks pick as often from a row, its least cost is zero, and the base
 * has what that takes; else where all pick as often from a group, what is below zero there is made up for by the base. A
 * cost that is still below zero counts as none.
 */
function nonNegative(
  { base, costs, empty }: FittedCosts,
  networks: readonly TimedPicks[],
  { choices }: Known,
): FittedCosts {
  let rest = base
  const shifted = choices.map(({ name, none }) => {
    const rows = costs.get(name) ?? []
    const picked = networks.map(({ picks }) => picks.get(name) ?? [])
    const nothing = picked.flat(2).includes(none ?? -1) ? undefined : none
    const least = rows.map((row) => Math.min(...row.filter((_, column) => column !== nothing)))
    const rowCounts = rows.map((_, row) => constant(picked.map((columns) => columns[row].length)))
    const groupCount = constant(picked.map((columns) => columns.flat().length)) ?? 0
    const move = (by: number, count: number) => {
      const shift = count > 0 ? Math.min(by, rest / count) : 0
      rest -= shift * count
      return shift
    }
    const shifts = rowCounts.includes(undefined)
      ? least.fill(move(Math.max(0, -Math.min(...least)), groupCount))
      : least.map((lowest, row) => move(-lowest, rowCounts[row] ?? 0))
    const moved = rows.map((row, index) =>
      row.map((cost, column) => (column === nothing ? 0 : Math.max(0, cost + shifts[index]))),
    )
    return [name, moved] as const
  })
  return { base: Math.max(0, rest), costs: new Map(shifted), empty }
}

/** The one value of all; undefined where they differ. */
function constant(values: readonly number[]): number | undefined {
  return values.every((value) => value === values[0]) ? values[0] : undefined
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
