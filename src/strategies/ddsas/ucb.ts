/** Upper confidence bound of each operation (Eq. 4): how promising it is, plus how little it was tried. */
import { type EdgeMatrix, sigmoid } from './mixture.ts'

/** The second term of Eq. (4), c sqrt(ln T / t) [edges x operations]; infinite where nothing was sampled yet (t = 0). */
export function explorationBonus(pulls: EdgeMatrix, totalPulls: number, exploration: number): number[][] {
  const logarithm = Math.log(Math.max(totalPulls, 1))
  return pulls.map((row) =>
    row.map((t) => (t === 0 ? Number.POSITIVE_INFINITY : exploration * Math.sqrt(logarithm / t))),
  )
}

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
  const bonus = explorationBonus(pulls, totalPulls, exploration)
  return zeta.map((row, edge) => row.map((value, k) => sigmoid(value) + bonus[edge][k]))
}
