/** Upper confidence bound of each operation (Eq. 4): how promising it is, plus how little it was tried. */
import { type EdgeMatrix, sigmoid } from './mixture.ts'

/** The second term of Eq. (4), c sqrt(ln T / t) [edges x operations]; infinite where nothing was sampled yet (t = 0). */
export function explorationBonus(counts: EdgeMatrix, total: number, confidence: number): number[][] {
  const logarithm = Math.log(Math.max(total, 1))
  return counts.map((row) =>
    row.map((count) => (count === 0 ? Number.POSITIVE_INFINITY : confidence * Math.sqrt(logarithm / count))),
  )
}

/**
 * sigmoid(zeta) + confidence sqrt(ln T / t) for each operation [edges x operations]. An operation never sampled (t = 0)
 * scores infinity. `total` is T, `counts` are t.
 */
export function ucbScores(
  zeta: EdgeMatrix,
  counts: EdgeMatrix,
  total: number,
  confidence: number,
): number[][] {
  const bonus = explorationBonus(counts, total, confidence)
  return zeta.map((row, edge) => row.map((value, k) => sigmoid(value) + bonus[edge][k]))
}
