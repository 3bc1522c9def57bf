/** Numbers of the host as a tensor of a device. */
import { Tensor, tidy, to } from '../../torch/index.ts'

/** float32 [rows, columns]. */
export function matrixTensor(matrix: readonly (readonly number[])[], device: string): Tensor {
  return tidy(() =>
    to(Tensor.from(Float32Array.from(matrix.flat()), [matrix.length, matrix[0].length]), { device }),
  )
}
