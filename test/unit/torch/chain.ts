/** Two kernels of ours in a row, of which the second leaves the gradient of its input to the first. */
import { channelsLast, type Generator, mix, separable, setRequiresGrad } from '../../../src/torch/index.ts'
import { randomTensor } from '../spaces/numerical.ts'
import { statistics } from './kernel-cases.ts'

/** A separable convolution whose result a norm in `mix` reads: its gradient is left to it. */
export function chain(generator: Generator) {
  const weights = [
    randomTensor([8, 1, 3, 3], generator, 'float32'),
    randomTensor([8, 8, 1, 1], generator, 'float32'),
  ]
  const x = channelsLast(randomTensor([2, 8, 6, 6], generator, 'float32'))
  setRequiresGrad([x, ...weights], true)
  const first = separable({ x }, weights[0], weights[1], { stride: 1, dilation: 1, training: true })
  const norms = [statistics(8, generator)]
  const node = mix([first], null, norms, { training: true })
  return { x, weights, first: first.x, node }
}
