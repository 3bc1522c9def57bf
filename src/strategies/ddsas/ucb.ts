/** Upper confidence bound of each operation (Eq. 4): how promising it is, plus how little it was tried. */
import { type EdgeMatrix, sigmoid } from './mixture.ts'

/** The second term of Eq. (4), c sqrt(ln T / t) [edges x operations]; infinite where nothing was sampled yet (t = 0). */
export function explorationBonus(pulls: EdgeMatrix, totalPulls: number, exploration: number): number[][] {
  const logarithm = Math.log(Math.max(totalPulls, 1))
  return pulls.map((row) =>
    row.map((t) => (t === 0 ? Number.POSITIVE_INFINITY : exploration * Math.sqrt(logarithm / t))),
  )
}

/** The first term: p of each operation [edges x operations]. */
export function meanScores(zeta: EdgeMatrix): number[][] {
  return zeta.map((row) => row.map(sigmoid))
}

/** A mean of each operation + exploration sqrt(ln T / t) [edges x operations]. */
export function upperBounds(
  means: EdgeMatrix,
  pulls: EdgeMatrix,
  totalPulls: number,
  exploration: number,
): number[][] {
  const bonus = explorationBonus(pulls, totalPulls, exploration)
  return means.map((row, edge) => row.map((mean, k) => mean + bonus[edge][k]))
}

/**
 * Eq. (4), sigmoid(zeta) + exploration sqrt(ln T / t), for each operation [edges x operations]. An operation never sampled (t = 0)
 * scores infinity. `totalPulls` is T, `pulls` are t.
 */
export function ucbScores(
  zeta: EdgeMatrix,
  pulls: EdgeMatrix,
  totalPulls: number,
  exploration: number,
): number[][] {
  return upperBounds(meanScores(zeta), pulls, totalPulls, exploration)
}
