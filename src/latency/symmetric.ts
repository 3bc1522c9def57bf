/** Linear equations of a symmetric positive definite matrix, by Cholesky's factors. */

export type Matrix = readonly (readonly number[])[]

/** L of A = L Lᵀ, below its diagonal and on it. */
function cholesky(matrix: Matrix): number[][] {
  const factor: number[][] = []
  for (const [i, row] of matrix.entries()) {
    const own: number[] = []
    for (let j = 0; j <= i; j++) {
      const other = j === i ? own : factor[j]
      let sum = row[j]
      for (let k = 0; k < j; k++) sum -= own[k] * other[k]
      own.push(j === i ? Math.sqrt(sum) : sum / other[j])
    }
    factor.push(own)
  }
  return factor
}

/** x of L x = b, for L below its diagonal and on it. */
function forward(factor: Matrix, right: readonly number[]): number[] {
  const found: number[] = []
  for (const [i, row] of factor.entries()) {
    let sum = right[i]
    for (let k = 0; k < i; k++) sum -= row[k] * found[k]
    found.push(sum / row[i])
  }
  return found
}

/** x of Lᵀ x = b. */
function backward(factor: Matrix, right: readonly number[]): number[] {
  const found = [...right]
  for (let i = factor.length - 1; i >= 0; i--) {
    found[i] /= factor[i][i]
    for (let k = 0; k < i; k++) found[k] -= factor[i][k] * found[i]
  }
  return found
}

/** x of A x = b, and the diagonal of A's inverse. */
export function solveSymmetric(
  matrix: Matrix,
  right: readonly number[],
): { readonly solution: readonly number[]; readonly inverseDiagonal: readonly number[] } {
  const factor = cholesky(matrix)
  const inverseDiagonal = matrix.map((_, i) => {
    const column = forward(
      factor,
      matrix.map((_, j) => (i === j ? 1 : 0)),
    )
    return column.reduce((sum, value) => sum + value ** 2, 0)
  })
  return { solution: backward(factor, forward(factor, right)), inverseDiagonal }
}
