/** Upper confidence bound of each operation (Eq. 4): how promising it is, plus how little it was tried. */
import { type EdgeMatrix, sigmoid } from './mixture.ts'

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
  const logarithm = Math.log(Math.max(total, 1))
  return zeta.map((row, edge) =>
    row.map((value, k) => {
      const count = counts[edge][k]
      return count === 0
        ? Number.POSITIVE_INFINITY
        : sigmoid(value) + confidence * Math.sqrt(logarithm / count)
    }),
  )
}
