/**
 * How far a search can be trusted, at an epoch's end: the shape of the cells it would pick, how sure it is of each choice, and
 * whether its scores still change their order.
 */
import { z } from 'zod'
import { type CellShape, cellShapes } from '../spaces/cell-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import type { ArchScores } from '../strategies/strategy.ts'

export interface TrustReport {
  /** The cells of the architecture, by kind. */
  readonly cells: Readonly<Record<string, CellShape>>
  /**
   * By group, row by row: how much less the second choice has than the first, as a part of what the first has; null where there is no
   * second. Absent where the strategy has no scores.
   */
  readonly margins?: Readonly<Record<string, readonly (number | null)[]>>
  /** Spearman's rank correlation of the scores with those five epochs ago, the mean over all groups, -1 to 1; null before there are any. */
  readonly rankCorrelation: number | null
}

/** A kind of cell that hardly computes any more. */
export interface Collapse extends CellShape {
  readonly kind: string
  /** How many epochs it has been so, one after the other. */
  readonly epochs: number
}

const count = z.number().int().nonnegative()

/** What a session keeps of its last epochs. */
export const trustHistory = z
  .object({
    /** Ranks of the scores in the last five epochs, the latest last: by group, row by row; -1 for what was not available. */
    ranks: z.array(z.record(z.string(), z.array(z.number()).readonly()).readonly()).readonly(),
    /** How many epochs one after the other each kind of cell was collapsed, by kind. */
    collapsed: z.record(z.string(), count).readonly(),
  })
  .readonly()

export type TrustHistory = z.infer<typeof trustHistory>

export const noHistory: TrustHistory = { ranks: [], collapsed: {} }

/** Scores are compared with those of so many epochs before. */
const epochsBack = 5

/** From the second epoch on: one may just be early. */
const epochsToWarn = 2

/** Whether nothing with weights is left, or more than half are skip connections. */
export function isCollapsed({ operations, skips, depth }: CellShape): boolean {
  return depth === 0 || 2 * skips > operations
}

export interface Trust {
  readonly report: TrustReport
  readonly history: TrustHistory
  /** Kinds of cells for which it is time to warn. */
  readonly collapses: readonly Collapse[]
}

/** Looks at an architecture and the scores that it was picked by, where the strategy has any. */
export function trustOf(
  space: SearchSpace,
  architecture: unknown,
  scores: ArchScores | undefined,
  before: TrustHistory,
): Trust {
  const cells = cellShapes(space, architecture)
  const now = scores && ranksOf(scores)
  const then = before.ranks.length < epochsBack ? undefined : before.ranks.at(-epochsBack)
  const collapsed = Object.fromEntries(
    Object.entries(cells).map(([kind, cell]) => [
      kind,
      isCollapsed(cell) ? (before.collapsed[kind] ?? 0) + 1 : 0,
    ]),
  )
  return {
    report: {
      cells,
      ...(scores ? { margins: marginsOf(space, scores) } : {}),
      rankCorrelation: now && then ? rankCorrelation(now, then) : null,
    },
    history: { ranks: now ? [...before.ranks, now].slice(-epochsBack) : [], collapsed },
    collapses: Object.entries(cells).flatMap(([kind, cell]) =>
      collapsed[kind] === epochsToWarn ? [{ kind, ...cell, epochs: collapsed[kind] }] : [],
    ),
  }
}

type Ranks = TrustHistory['ranks'][number]

function ranksOf({ values, available }: ArchScores): Ranks {
  const groups = [...values].map(([name, rows]) => {
    const open = available?.get(name)
    const flat = rows.flatMap((row, at) =>
      row.map((value, column) => ((open?.[at]?.[column] ?? true) ? value : Number.NaN)),
    )
    return [name, ranked(flat)] as const
  })
  return Object.fromEntries(groups)
}

/** 0 for the smallest; equals share the mean of their places; -1 for NaN. */
export function ranked(values: readonly number[]): number[] {
  const order = [...values.keys()]
    .filter((at) => !Number.isNaN(values[at]))
    .sort((a, b) => values[a] - values[b])
  const ranks = values.map(() => -1)
  for (let first = 0; first < order.length; ) {
    let end = first + 1
    while (end < order.length && values[order[end]] === values[order[first]]) end += 1
    for (const at of order.slice(first, end)) ranks[at] = (first + end - 1) / 2
    first = end
  }
  return ranks
}

function rankCorrelation(now: Ranks, then: Ranks): number | null {
  const all = Object.entries(now).flatMap(([name, ranks]) => spearman(ranks, then[name] ?? []) ?? [])
  return all.length === 0 ? null : all.reduce((sum, one) => sum + one, 0) / all.length
}

/** Of what is available both times; null where one of them has no order. */
export function spearman(a: readonly number[], b: readonly number[]): number | null {
  const both = [...a.keys()].filter((at) => a[at] >= 0 && (b[at] ?? -1) >= 0)
  const [x, y] = [a, b].map((ranks) => ranked(both.map((at) => ranks[at])))
  const middle = (both.length - 1) / 2
  const product = (one: readonly number[], other: readonly number[]) =>
    one.reduce((sum, value, at) => sum + (value - middle) * (other[at] - middle), 0)
  const scale = Math.sqrt(product(x, x) * product(y, y))
  return scale > 0 ? product(x, y) / scale : null
}

function marginsOf({ choices }: SearchSpace, { values, available }: ArchScores): TrustReport['margins'] {
  return Object.fromEntries(
    choices.map(({ name }) => [
      name,
      (values.get(name) ?? []).map((row, at) =>
        margin(row.filter((_, column) => available?.get(name)?.[at]?.[column] ?? true)),
      ),
    ]),
  )
}

function margin(row: readonly number[]): number | null {
  const [first, second] = row.toSorted((a, b) => b - a)
  if (second === undefined) return null
  return first === second ? 0 : (first - second) / Math.abs(first)
}
