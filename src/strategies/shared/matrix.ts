/** A value for each candidate of each row, on the host; and as a tensor of a device. */
import { Tensor, tidy, to } from '../../torch/index.ts'

/** [rows, candidates]. */
export type Matrix = readonly (readonly number[])[]

/** [rows, candidates]: which there are. */
export type Mask = readonly (readonly boolean[])[]

/** float32 [rows, candidates]. */
export function matrixTensor(matrix: Matrix, device: string): Tensor {
  return tidy(() =>
    to(Tensor.from(Float32Array.from(matrix.flat()), [matrix.length, matrix[0].length]), { device }),
  )
}

/** The `keep` largest of each row; of equals the first. */
export function bestOfRows(matrix: Matrix, keep: number): boolean[][] {
  return matrix.map((row) => {
    const order = [...row.keys()].sort((a, b) => row[b] - row[a])
    const best = new Set(order.slice(0, keep))
    return row.map((_, k) => best.has(k))
  })
}
