/** Upper confidence bound of each operation (Eq. 4): how promising it is, plus how little it was tried. */
import { type EdgeMatrix, sigmoid } from './mixture.ts'

/**
 * sigmoid(zeta) + exploration sqrt(ln T / t) for each operation [edges x operations]. An operation never sampled (t = 0)
 * scores infinity. `totalPulls` is T, `pulls` are t.
 */
export function ucbScores(
  zeta: EdgeMatrix,
  pulls: EdgeMatrix,
  totalPulls: number,
  exploration: number,
): number[][] {
  const logarithm = Math.log(Math.max(totalPulls, 1))
  return zeta.map((row, edge) =>
    row.map((value, k) => {
      const count = pulls[edge][k]
      return count === 0
        ? Number.POSITIVE_INFINITY
        : sigmoid(value) + exploration * Math.sqrt(logarithm / count)
    }),
  )
}
