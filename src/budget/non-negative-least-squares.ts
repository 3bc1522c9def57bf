/** Least squares in several unknowns of which none is negative, as in scipy.optimize.nnls: what parts cost, from what sums cost. */

const mostSweeps = 20_000
/** A change that no number of bytes shows. */
const negligible = 1e-10

/**
 * The x >= 0 [unknowns] that minimises |A x - y|, for A [measurements x unknowns]; 0 for an unknown that no row has. Found one
 * unknown at a time, in their order, until none moves: the same on every machine.
 */
export function nonNegativeLeastSquares(
  rows: readonly (readonly number[])[],
  values: readonly number[],
): number[] {
  const unknowns = rows.at(0)?.length ?? 0
  const at = Array.from({ length: unknowns }, (_, index) => index)
  const products = at.map((i) => at.map((j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0)))
  const targets = at.map((i) => rows.reduce((sum, row, k) => sum + row[i] * values[k], 0))
  const found = at.map(() => 0)
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let moved = 0
    for (const i of at) {
      const row = products[i]
      if (row[i] === 0) continue
      let rest = targets[i]
      for (let j = 0; j < unknowns; j++) rest -= row[j] * found[j]
      const next = Math.max(0, found[i] + rest / row[i])
      moved = Math.max(moved, Math.abs(next - found[i]) / (Math.abs(next) + 1))
      found[i] = next
    }
    if (moved < negligible) break
  }
  return found
}
