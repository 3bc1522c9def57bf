/** Programs as ONNX models of made-up weights: how long they take does not depend on the weights. */
import { exportProgram } from '../export/onnx.ts'
import { disposeModule, Network, type Program, type Shape, stateDict } from '../nn/index.ts'
import { Generator, Tensor, tidy } from '../torch/index.ts'

/** Uniform in ±1; a prime of them, so that no two filters of a usual size are the same. */
const pattern = (() => {
  const generator = new Generator(0, 'made-up weights')
  return Float32Array.from({ length: 4093 }, () => 2 * generator.uniform() - 1)
})()

/**
 * Filters are as PyTorch draws them. All numbers by channel are 0.5: batch norms so add a little to everything, and nothing
 * becomes so small that processors take long over it.
 */
function madeUp(shape: readonly number[]): Tensor {
  const count = shape.reduce((product, length) => product * length, 1)
  if (shape.length === 1) return Tensor.from(new Float32Array(count).fill(0.5), shape)
  const bound = 1 / Math.sqrt(count / shape[0])
  return Tensor.from(
    Float32Array.from({ length: count }, (_, index) => bound * pattern[index % pattern.length]),
    shape,
  )
}

/**
 * The bytes of an ONNX model: `images` [batch, c, h, w] -> `output` [batch, …].
 * @throws {DdsasError} `input` naming a layer that ONNX has no nodes for.
 */
export function modelOf(program: Program, input: Shape, output: readonly number[]): Uint8Array {
  return tidy(() => {
    const network = new Network(program, { device: 'meta', generator: new Generator(0) })
    const weights = [...stateDict(network)].map(([name, { shape }]) => [name, madeUp(shape)] as const)
    disposeModule(network)
    return exportProgram(program, new Map(weights), input, output)
  })
}
