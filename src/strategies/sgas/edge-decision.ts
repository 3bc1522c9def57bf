/**
 * How SGAS decides edges one by one (Eq. 2 to 6 of its paper): scores of edges by how much they are not nothing, how certain and how
 * stable the choice of their candidate is. Pure functions of alpha.
 */
import type { GraphNode } from '../../spaces/space.ts'
import type { Matrix } from '../shared/matrix.ts'

/** Column of the candidate that was decided for an edge, or that it is left out, or neither yet. */
export type Decision = number | 'closed' | 'open'

/** What is scored of the edges; each is put between 0 and 1 over all edges, decided ones too, and the product is the score. */
export interface EdgeScores {
  /** Share of a softmax that is not `none`. */
  readonly importance: readonly number[]
  /** 1 minus the entropy of the rest, as a share of the largest there is. */
  readonly certainty: readonly number[]
  /** How much the rest overlaps with those of epochs before, in the mean; 0 where there are none. */
  readonly stability: readonly number[]
  readonly score: readonly number[]
}

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0)

function softmaxOf(row: readonly number[]): number[] {
  const largest = Math.max(...row)
  const powers = row.map((value) => Math.exp(value - largest))
  const all = total(powers)
  return powers.map((power) => power / all)
}

/** The softmax of each row without `none`, shares of 1: what is kept from epoch to epoch. */
export function distributionsOf(alpha: Matrix, none: number | undefined): number[][] {
  return alpha.map((row) => softmaxOf(row.filter((_, k) => k !== none)))
}

/** Between 0 and 1: the smallest and the largest of them; 0 where all are the same. */
function normalised(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  return values.map((value) => (most > least ? (value - least) / (most - least) : 0))
}

/** `history`: distributions of epochs before, for a score that looks at stability. */
export function edgeScores(
  alpha: Matrix,
  none: number | undefined,
  history: readonly Matrix[] | undefined,
): EdgeScores {
  const distributions = distributionsOf(alpha, none)
  const importance = alpha.map((row) => (none === undefined ? 1 : 1 - softmaxOf(row)[none]))
  const certainty = distributions.map((row) => {
    const entropy = -total(row.map((share) => (share > 0 ? share * Math.log(share) : 0)))
    return row.length > 1 ? 1 - entropy / Math.log(row.length) : 1
  })
  const stability = distributions.map((row, edge) => {
    const overlaps = (history ?? []).map((before) =>
      total(row.map((share, k) => Math.min(share, before[edge][k]))),
    )
    return overlaps.length === 0 ? 0 : total(overlaps) / overlaps.length
  })
  // where nothing can be `none`, every edge is as important
  const factors = [...(none === undefined ? [] : [importance]), certainty, ...(history ? [stability] : [])]
  const score = factors
    .map(normalised)
    .reduce((product, factor) => product.map((value, k) => value * factor[k]))
  return { importance, certainty, stability, score }
}

/** The column of the best candidate of a row other than `none`, the first of equals. */
function bestOf(row: readonly number[], none: number | undefined): number {
  const values = row.map((value, k) => (k === none ? Number.NEGATIVE_INFINITY : value))
  return values.indexOf(Math.max(...values))
}

/**
 * Decides the open edge with the best score for its best candidate, and closes what is open of nodes that have all the edges they
 * keep; the same where nothing is open.
 */
export function decideEdge(
  decisions: readonly Decision[],
  score: readonly number[],
  alpha: Matrix,
  none: number | undefined,
  nodes: readonly GraphNode[],
): Decision[] {
  const open = decisions.flatMap((decision, edge) => (decision === 'open' ? [edge] : []))
  if (open.length === 0) return [...decisions]
  const edge = open.reduce((best, other) => (score[other] > score[best] ? other : best))
  const decided = decisions.map((decision, at) => (at === edge ? bestOf(alpha[at], none) : decision))
  return decided.map((decision, at) => {
    const node = nodes.find(({ rows }) => rows.includes(at))
    const settled = node?.rows.filter((row) => decided[row] !== 'open').length ?? 0
    return decision === 'open' && node && settled >= node.keeps ? 'closed' : decision
  })
}

/**
 * Scores for `decode` [edges, candidates]: decided edges come first with their candidate, closed ones have none; of the open ones the
 * more important is picked, with its best candidate.
 */
export function decidedScores(
  decisions: readonly Decision[],
  alpha: Matrix,
  none: number | undefined,
): number[][] {
  const { importance } = edgeScores(alpha, none, undefined)
  return alpha.map((row, edge) => {
    const decision = decisions[edge]
    if (decision === 'closed') return row.map(() => 0)
    if (decision !== 'open') return row.map((_, k) => (k === decision ? 2 : 0))
    const shares = softmaxOf(row)
    const best = shares[bestOf(row, none)]
    return shares.map((share, k) => (k === none ? 0 : (importance[edge] * share) / best))
  })
}
