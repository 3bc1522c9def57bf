/** Run by operations.test.ts in a process of its own: gradients of reductions of large images of few channels. */
import { Network, namedParameters, stateDict } from '../../../src/nn/index.ts'
import { factorizedReduce } from '../../../src/spaces/darts/operations.ts'
import {
  channelsLast,
  Generator,
  grad,
  setRequiresGrad,
  setThreads,
  tidy,
  withoutKernels,
} from '../../../src/torch/index.ts'
import { sequenceProgram } from '../nn/programs.ts'
import { randomTensor, weighed } from './numerical.ts'

setThreads(1)
const generator = new Generator(1)

function reduceOnce(channels: number, side: number): void {
  tidy(() => {
    const program = sequenceProgram(factorizedReduce(channels, 8, false))
    const reduction = new Network(program, { device: 'cpu', generator })
    const x = channelsLast(randomTensor([4, channels, side, side], generator, 'float32'))
    const weights = [...namedParameters(reduction).values()]
    setRequiresGrad(weights, true)
    const { logits: y } = reduction.forward(x, { training: true })
    grad(weighed(y, y), weights)
    for (const tensor of stateDict(reduction).values()) tensor.dispose()
  })
}

function reduceOften(): void {
  for (let i = 0; i < 20; i++) {
    reduceOnce(4, 56)
    reduceOnce(12, 48)
  }
}

if (process.argv[2] === 'kernels') reduceOften()
else withoutKernels(reduceOften)
console.log('done')
