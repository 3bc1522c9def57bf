/** Our operators on the GPU against ATen's on the CPU in float64, and a replayed step against one computed anew. */

import { ReplayedStep } from '../../src/loop/replay.ts'
import {
  channelsLast,
  type Dtype,
  Generator,
  grad,
  mul,
  setRequiresGrad,
  sum,
  type Tensor,
  tidy,
  to,
} from '../../src/torch/index.ts'
import { type Inputs, type OperatorCase, randomTensor } from '../operator-cases.ts'
import { ourStep, type StepShape } from '../step.ts'
import { checkedCases } from './cases.ts'
import { distance, double } from './distance.ts'

/** What bfloat16 holds exactly, so that both precisions get the same inputs and take the same sides of ReLUs. */
function exact(x: Tensor): Tensor {
  return to(to(x, { dtype: 'bfloat16' }), { dtype: 'float32' })
}

const leavesOf = ({ images, weights }: Inputs): Tensor[] => [...images, ...weights]

/** Worst relative error of the value and all gradients. */
function worstError(one: OperatorCase, device: string, dtype: Dtype): number {
  return tidy(() => {
    const generator = new Generator(3)
    const { images, weights } = one.inputs(generator)
    const drawn = { images: images.map(exact), weights: weights.map(exact) }
    const own: Inputs = {
      images: drawn.images.map((x) => channelsLast(to(x, { device, dtype }))),
      weights: drawn.weights.map((x) => to(x, { device })),
    }
    const twin: Inputs = { images: drawn.images.map(double), weights: drawn.weights.map(double) }
    const [leaves, twins] = [leavesOf(own), leavesOf(twin)]
    setRequiresGrad([...leaves, ...twins], true)
    const [y, wanted] = [one.apply(own), one.apply(twin)]
    const upstream = exact(randomTensor(wanted.shape, generator))
    const found = grad(sum(mul(y, to(upstream, { device, dtype }))), leaves)
    const expected = grad(sum(mul(wanted, double(upstream))), twins)
    return Math.max(distance(y, wanted), ...found.map((gradient, i) => distance(gradient, expected[i])))
  })
}

const bounds = { float32: 2e-5, bfloat16: 3e-2 } as const

/** How well what is checked agrees, as results keep it. */
export interface Agreement {
  float32: number
  bfloat16: number
  replay: number
}

export function checkOperators(
  device: string,
  found: Partial<Agreement> = {},
  cases = checkedCases(64, 16),
): string[] {
  const worst = { float32: 0, bfloat16: 0 }
  const failed: string[] = []
  for (const one of cases)
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const error = worstError(one, device, dtype)
      const what = `${dtype.padEnd(8)}  ${one.operator}, ${one.variant}, [${one.shape}]`
      const fine = error <= bounds[dtype]
      console.log(`${fine ? 'ok    ' : 'WRONG '} ${error.toExponential(1)}  ${what}`)
      if (fine) worst[dtype] = Math.max(worst[dtype], error)
      else failed.push(`${what}: ${error.toExponential(1)}`)
    }
  if (failed.length > 0) throw new Error(`${failed.length} operators are wrong: ${failed.join('; ')}`)
  Object.assign(found, worst)
  const [single, half] = [worst.float32, worst.bfloat16].map((error) => error.toExponential(1))
  return [
    `operators: ${cases.length} cases agree with float64, worst ${single} in float32, ${half} in bfloat16`,
  ]
}

/** The losses of ten steps, replayed and computed anew. */
export function checkReplay(device: string, found: Partial<Agreement> = {}): string[] {
  const shape: StepShape = { space: 'darts', channels: 16, cells: 5, batch: 32, subspace: 28, device }
  const [replayed, anew] = [ReplayedStep.on(device), new ReplayedStep(undefined)].map((replay) => {
    const contestant = ourStep(shape, replay)
    return Array.from({ length: 10 }, () => tidy(() => [...contestant.step().floats()]))
  })
  // equal first: predictions that are right may number 0
  const apart = (a: number, b: number) => (a === b ? 0 : Math.abs(a / b - 1))
  const differences = replayed.flatMap((row, i) => row.map((value, j) => apart(value, anew[i][j])))
  const worst = Math.max(...differences)
  console.log(replayed.map((row) => row.map((x) => x.toFixed(5)).join(' ')).join('\n'))
  if (!(worst < 1e-4)) throw new Error(`replayed steps differ by ${worst.toExponential(1)}`)
  found.replay = worst
  return [
    `graphs: ten replayed steps differ from computed ones by ${worst === 0 ? 'no bit' : worst.toExponential(1)}`,
  ]
}
