/** Our operators on the GPU against ATen's on the CPU in float64, and a replayed step against one computed anew. */

import {
  add,
  avgPool2d,
  avgPool3,
  batchNorm,
  cat,
  channelsLast,
  conv2d,
  factorizedReduce,
  fanOut,
  Generator,
  grad,
  maxPool2d,
  maxPool3,
  mix,
  mul,
  relu,
  reluPointwise,
  separable,
  setRequiresGrad,
  slice,
  sum,
  Tensor,
  tidy,
  to,
} from '../../src/torch/index.ts'
import { ReplayedStep } from '../../src/train/replay.ts'
import { ourStep } from '../step.ts'

type Operator = (...inputs: Tensor[]) => Tensor

interface Case {
  readonly name: string
  readonly shapes: readonly (readonly number[])[]
  /** Computes in the type and on the device of its inputs, weights in float32. */
  readonly own: Operator
  readonly oracle: Operator
  /** Which inputs are images: they take the precision that is checked. */
  readonly images: readonly number[]
}

const statistics = (channels: number, like: Tensor) => {
  const filled = (value: number) => {
    const dtype = like.dtype === 'float64' ? 'float64' : 'float32'
    return to(Tensor.from(new Float32Array(channels).fill(value), [channels]), { device: like.device, dtype })
  }
  return { running_mean: filled(0.1), running_var: filled(1.2) }
}

const norm = (x: Tensor) => {
  const { running_mean: runningMean, running_var: runningVar } = statistics(x.shape[1], x)
  return batchNorm(x, { runningMean, runningVar, training: true })
}

function separableCase(
  c: number,
  side: number,
  kernel: number,
  stride: number,
  dilation: number,
  normed: boolean,
): Case {
  const options = { stride, dilation, training: true }
  const how = { stride, padding: ((kernel - 1) / 2) * dilation, dilation, groups: c }
  return {
    name: `separable ${kernel}x${kernel}, stride ${stride}, dilation ${dilation}${normed ? ', norm' : ''}, [64,${c},${side},${side}]`,
    shapes: [
      [64, c, side, side],
      [c, 1, kernel, kernel],
      [c, c, 1, 1],
    ],
    images: [0],
    own: (x, s, p) => separable({ x }, s, p, normed ? { ...options, norm: statistics(c, x) } : options).x,
    oracle: (x, s, p) => conv2d(conv2d(relu(normed ? norm(x) : x), s, how), p),
  }
}

const cases: readonly Case[] = [
  ...[16, 64, 12, 21].flatMap((c) =>
    [3, 5].flatMap((kernel) => [
      separableCase(c, 8, kernel, 1, 1, false),
      separableCase(c, 9, kernel, 2, 2, false),
      separableCase(c, 16, kernel, 1, 1, true),
    ]),
  ),
  separableCase(16, 32, 5, 1, 2, true),
  {
    name: 'mix of five terms, three with norms',
    shapes: [[5], ...Array.from({ length: 5 }, () => [64, 16, 32, 32])],
    images: [1, 2, 3, 4, 5],
    own: (w, ...xs) =>
      mix(
        xs.map((x) => ({ x })),
        w,
        xs.map((x, k) => (k % 2 === 0 ? statistics(16, x) : undefined)),
        true,
      ),
    oracle: (w, ...xs) =>
      xs.map((x, k) => mul(k % 2 === 0 ? norm(x) : x, slice(w, 0, k, k + 1))).reduce((a, b) => add(a, b)),
  },
  {
    name: 'relu_pointwise of two parts',
    shapes: [
      [16, 24, 1, 1],
      [64, 16, 16, 16],
      [64, 8, 16, 16],
    ],
    images: [1, 2],
    own: (w, ...xs) => reluPointwise(xs, w).x,
    oracle: (w, ...xs) => conv2d(relu(cat(xs, 1)), w),
  },
  {
    name: 'factorized_reduce',
    shapes: [
      [16, 24, 1, 1],
      [16, 24, 1, 1],
      [64, 24, 16, 16],
    ],
    images: [2],
    own: (a, b, x) => factorizedReduce([x], a, b).x,
    oracle: (a, b, x) => {
      const y = relu(x)
      const every = (from: number) => slice(slice(y, 2, from, 16, 2), 3, from, 16, 2)
      return cat([conv2d(every(0), a), conv2d(every(1), b)], 1)
    },
  },
  ...[1, 2].map((stride) => ({
    name: `max_pool3, stride ${stride}`,
    shapes: [[64, 16, 15, 15]],
    images: [0],
    own: (x: Tensor) => maxPool3(x, stride),
    oracle: (x: Tensor) => maxPool2d(x, 3, stride, 1),
  })),
  ...[1, 2].map((stride) => ({
    name: `avg_pool3, stride ${stride}`,
    shapes: [[64, 16, 15, 15]],
    images: [0],
    own: (x: Tensor) => avgPool3(x, stride),
    oracle: (x: Tensor) => avgPool2d(x, 3, stride, 1),
  })),
  {
    name: 'fan_out to three',
    shapes: [[64, 16, 8, 8]],
    images: [0],
    own: (x) =>
      fanOut(x, 3)
        .map((y, i) => mul(y, i + 1))
        .reduce((a, b) => add(a, b)),
    oracle: (x) => mul(x, 6),
  },
]

const double = (x: Tensor) => to(x, { device: 'cpu', dtype: 'float64' })

/** |own - wanted| / |wanted|, Euclidean. */
function distance(own: Tensor | null, wanted: Tensor | null): number {
  if (own === null || wanted === null) return Number.NaN
  return tidy(() => {
    const [a, b] = [double(own), double(wanted)]
    const square = (x: Tensor) => sum(mul(x, x)).item()
    return Math.sqrt(square(add(a, mul(b, -1))) / square(b))
  })
}

/** Values that bfloat16 holds exactly, so that both precisions get the same inputs and take the same sides of ReLUs. */
function draw(shape: readonly number[], generator: Generator): Tensor {
  const count = shape.reduce((product, length) => product * length, 1)
  return Tensor.from(
    Float32Array.from({ length: count }, () => (generator.below(255) - 127) / 64),
    shape,
  )
}

/** Worst relative error of the value and all gradients. */
function worstError(
  { shapes, images, own, oracle }: Case,
  device: string,
  dtype: 'float32' | 'bfloat16',
): number {
  return tidy(() => {
    const generator = new Generator(3)
    const drawn = shapes.map((shape) => draw(shape, generator))
    const inputs = drawn.map((x, i) => {
      const there = to(x, { device, dtype: images.includes(i) ? dtype : 'float32' })
      return images.includes(i) ? channelsLast(there) : there
    })
    const twins = drawn.map(double)
    setRequiresGrad([...inputs, ...twins], true)
    const [y, wanted] = [own(...inputs), oracle(...twins)]
    const upstream = draw(wanted.shape, generator)
    const weighed = (x: Tensor, by: Tensor) => sum(mul(x, by))
    const found = grad(weighed(y, to(upstream, { device, dtype: y.dtype })), inputs)
    const expected = grad(weighed(wanted, double(upstream)), twins)
    return Math.max(distance(y, wanted), ...found.map((gradient, i) => distance(gradient, expected[i])))
  })
}

const bounds = { float32: 2e-5, bfloat16: 3e-2 } as const

export function checkOperators(device: string): string[] {
  const worst = { float32: 0, bfloat16: 0 }
  const failed: string[] = []
  for (const one of cases)
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const error = worstError(one, device, dtype)
      const fine = error <= bounds[dtype]
      console.log(`${fine ? 'ok    ' : 'WRONG '} ${error.toExponential(1)}  ${dtype.padEnd(8)}  ${one.name}`)
      if (fine) worst[dtype] = Math.max(worst[dtype], error)
      else failed.push(`${one.name}, ${dtype}: ${error.toExponential(1)}`)
    }
  if (failed.length > 0) throw new Error(`${failed.length} operators are wrong: ${failed.join('; ')}`)
  return [
    `operators: ${cases.length} cases agree with float64, worst ${worst.float32.toExponential(1)} in float32, ${worst.bfloat16.toExponential(1)} in bfloat16`,
  ]
}

/** The losses of ten steps, replayed and computed anew. */
export function checkReplay(device: string): string[] {
  const shape = { channels: 16, cells: 5, batch: 32, subspace: 28, device }
  const [replayed, anew] = [ReplayedStep.on(device), new ReplayedStep(undefined)].map((replay) => {
    const contestant = ourStep(shape, replay)
    return Array.from({ length: 10 }, () => tidy(() => [...contestant.step().floats()]))
  })
  const differences = replayed.flatMap((row, i) => row.map((value, j) => Math.abs(value / anew[i][j] - 1)))
  const worst = Math.max(...differences)
  console.log(replayed.map((row) => row.map((x) => x.toFixed(5)).join(' ')).join('\n'))
  if (!(worst < 1e-4)) throw new Error(`replayed steps differ by ${worst.toExponential(1)}`)
  return [
    `graphs: ten replayed steps differ from computed ones by ${worst === 0 ? 'no bit' : worst.toExponential(1)}`,
  ]
}
