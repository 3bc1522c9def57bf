/** Subspaces that stand for all of a size, drawn before a search has learnt anything. */
import type { CellType } from '../spaces/darts/genotype.ts'
import { darts, edgeCount } from '../spaces/darts/space.ts'
import { profiles } from '../strategies/ddsas/ddsas.ts'
import type { EdgeMask } from '../strategies/ddsas/mixture.ts'
import { sampleSubspace, subspaceSizeRange } from '../strategies/ddsas/subspace.ts'
import { Generator } from '../torch/index.ts'
import type { SearchConfig } from './config.ts'

/** A subspace of each cell type. */
export type Subspaces = Readonly<Record<CellType, EdgeMask>>

const edges = edgeCount(darts)
const none = darts.operations.indexOf('none')
const everything = Array.from({ length: edges }, () => darts.operations.map(() => true))

/** The smallest and the largest L of the space. */
export const [smallest, largest] = subspaceSizeRange(edges, darts.operations.length)

/** From which L on all operations run: where `none` takes no place there is no more to run once all others are in. */
export function wholeSpace({ ddsas }: SearchConfig): number {
  return profiles[ddsas.profile].noneCounts ? largest : largest - edges
}

/**
 * `count` subspaces of L operations for each cell type, always the same. Scores are drawn once and then move on from
 * operation to operation, so that over all subspaces each takes about as many places: the mean of four lies within
 * some 2 % of that of all, where one alone may lie 7 % from it.
 */
export function balancedSubspaces({ ddsas }: SearchConfig, subspace: number, count: number): Subspaces[] {
  const generator = new Generator(0, 'subspaces')
  const scores = () => everything.map((row) => row.map(() => generator.uniform()))
  const drawn = { normal: scores(), reduce: scores() }
  const { noneCounts } = profiles[ddsas.profile]
  const rule = { size: subspace, none, noneCounts }
  return Array.from({ length: count }, (_, turn) => {
    const by = Math.floor((turn * darts.operations.length) / count)
    const sample = (rows: number[][]) => {
      const moved = rows.map((row) => [...row.slice(by), ...row.slice(0, by)])
      return sampleSubspace(moved, moved, everything, rule)
    }
    return { normal: sample(drawn.normal), reduce: sample(drawn.reduce) }
  })
}
