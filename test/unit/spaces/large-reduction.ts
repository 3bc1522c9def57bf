/** Run by operations.test.ts in a process of its own: gradients of reductions of large images of few channels. */
import { namedParameters } from '../../../src/nn/index.ts'
import { applyReader, factorizedReduce } from '../../../src/spaces/darts/operations.ts'
import {
  channelsLast,
  Generator,
  grad,
  setRequiresGrad,
  setThreads,
  tidy,
  withoutKernels,
} from '../../../src/torch/index.ts'
import { randomTensor, weighed } from './numerical.ts'

setThreads(1)
const generator = new Generator(1)

function reduceOnce(channels: number, side: number): void {
  tidy(() => {
    const reader = factorizedReduce(channels, 8, false, { device: 'cpu', generator })
    const x = channelsLast(randomTensor([4, channels, side, side], generator, 'float32'))
    const weights = [...namedParameters(reader).values()]
    setRequiresGrad(weights, true)
    const y = applyReader(reader, [x], true)
    grad(weighed(y, y), weights)
    for (const tensor of [...weights, ...Object.values(reader.norm.buffers)]) tensor.dispose()
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
