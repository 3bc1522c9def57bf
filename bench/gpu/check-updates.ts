/** The optimizers on the GPU against the same steps on the CPU in float64. */
import { Adam, Sgd } from '../../src/nn/index.ts'
import { Generator, type Tensor, tidy, to } from '../../src/torch/index.ts'
import { randomTensor } from '../operator-cases.ts'
import { distance } from './distance.ts'

const steps = 5
/** One number, a vector, what fills several blocks, and a size that nothing divides. */
const shapes = [[1], [17], [64, 32, 1, 1], [1009, 13]] as const

/** A weight without a gradient in one of the steps: momentum and running means go on. */
const missing = { step: 2, weight: 1 }

const rate = 0.05
const adam = { lr: 3e-2, betas: [0.5, 0.999], weightDecay: 1e-2 } as const

interface Moved {
  step(gradients: readonly (Tensor | null)[]): Tensor | undefined
  state(): ReadonlyMap<string, Tensor>
  dispose(): void
}

const optimizers: Readonly<Record<string, (weights: ReadonlyMap<string, Tensor>) => Moved>> = {
  // clipped by half and more: what is drawn has a larger norm
  sgd_: (weights) => {
    const sgd = new Sgd(weights, { momentum: 0.9, weightDecay: 1e-2 })
    const step: Moved['step'] = (gradients) => sgd.step(gradients, rate, 5)
    return { step, state: () => sgd.state(), dispose: () => sgd.dispose() }
  },
  'sgd_ after Nesterov': (weights) => {
    const sgd = new Sgd(weights, { momentum: 0.9, weightDecay: 1e-2, nesterov: true })
    const step: Moved['step'] = (gradients) => sgd.step(gradients, rate, 5)
    return { step, state: () => sgd.state(), dispose: () => sgd.dispose() }
  },
  adam_: (weights) => {
    const own = new Adam(weights, adam)
    const step: Moved['step'] = (gradients) => {
      own.step(gradients)
      return undefined
    }
    return { step, state: () => own.state(), dispose: () => own.dispose() }
  },
}

/** Weights, state and norms after some steps on gradients that the generator draws. */
function run(make: (typeof optimizers)[string], place: (x: Tensor) => Tensor): Tensor[] {
  const generator = new Generator(4)
  const draw = () => shapes.map((shape) => place(randomTensor(shape, generator)))
  const weights = new Map(draw().map((weight, index) => [`w${index}`, weight]))
  const optimizer = make(weights)
  const norms = Array.from({ length: steps }, (_, step) => {
    const gradients = draw().map((x, index) => (step === missing.step && index === missing.weight ? null : x))
    return optimizer.step(gradients)
  })
  const results = [...weights.values(), ...optimizer.state().values(), ...norms]
  const copies = results.flatMap((x) => (x ? [to(x, { device: 'cpu', dtype: 'float64' })] : []))
  optimizer.dispose()
  return copies
}

const bound = 2e-5

/** Throws where weights, state or norms differ by more than float32 rounds. */
export function checkUpdates(device: string): string[] {
  const worst = Object.entries(optimizers).map(([name, make]) =>
    tidy(() => {
      const own = run(make, (x) => to(x, { device }))
      const wanted = run(make, (x) => to(x, { device: 'cpu', dtype: 'float64' }))
      const error = Math.max(...own.map((x, index) => distance(x, wanted[index])))
      console.log(
        `${error <= bound ? 'ok    ' : 'WRONG '} ${error.toExponential(1)}  ${name}, ${steps} steps`,
      )
      if (!(error <= bound)) throw new Error(`${name} differs from float64 by ${error.toExponential(1)}`)
      return error
    }),
  )
  return [`optimizers: ${steps} steps agree with float64, worst ${Math.max(...worst).toExponential(1)}`]
}
