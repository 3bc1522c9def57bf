/** What is checked on a GPU: all kernels of the benchmark, and those that only searches and trainings call. */
import { add, type Entry, fanOut, mix, mul, Tensor, to } from '../../src/torch/index.ts'
import {
  freshStatistics,
  type OperatorCase,
  operatorCases,
  randomTensor,
  separableCase,
} from '../operator-cases.ts'

/** One state for several readers of each kind, and the sum of what they take, each by a factor of its own. */
function fanOutCase(shape: readonly number[], stride: number): OperatorCase {
  const channels = shape[1]
  const copies = stride === 1 ? [undefined, undefined] : []
  return {
    operator: 'fan_out',
    variant: `stride ${stride}`,
    shape,
    inputs: (generator) => ({
      images: [randomTensor(shape, generator)],
      weights: [3, 5].flatMap((kernel) => [
        randomTensor([channels, 1, kernel, kernel], generator),
        randomTensor([channels, channels, 1, 1], generator),
      ]),
    }),
    apply: ({ images: [x], weights: [spatial, pointwise, wide, across] }) => {
      const readers: Entry[] = [
        ...copies,
        { spatial, pointwise, stride, dilation: 1 },
        { pool: 'max', stride },
        { spatial: wide, pointwise: across, stride, dilation: 2 },
        { pool: 'avg', stride },
        { pool: 'max', stride },
      ]
      const taken = fanOut(x, readers).map((reader, index) => mul(reader.x, 1 - index / 8))
      return taken.reduce((sum, one) => add(sum, one))
    },
  }
}

/** How many terms a node of a network to be trained adds up. */
const terms = 2

/** A node of such a network: norms with weights and biases, and drop-path where it is asked for. */
function affineCase(shape: readonly number[], drops: boolean): OperatorCase {
  const [images, channels] = shape
  return {
    operator: 'mix',
    variant: drops ? 'affine, drop-path' : 'affine',
    shape,
    inputs: (generator) => ({
      images: Array.from({ length: terms }, () => randomTensor(shape, generator)),
      weights: Array.from({ length: 2 * terms }, () => randomTensor([channels], generator)),
    }),
    apply: ({ images: xs, weights }) => {
      // a third of the images loses a term, as a rate of 1/3 would have it
      const mask = Array.from({ length: terms * images }, (_, index) => (index % 3 === 1 ? 0 : 1.5))
      const { device, dtype } = xs[0]
      const kept = to(Tensor.from(Float32Array.from(mask), [terms, images]), {
        device,
        dtype: dtype === 'float64' ? dtype : 'float32',
      })
      const norms = xs.map((x, k) => ({
        ...freshStatistics(x),
        weight: weights[2 * k],
        bias: weights[2 * k + 1],
      }))
      const options = { training: true, ...(drops && { kept }) }
      return mix(
        xs.map((x) => ({ x })),
        null,
        norms,
        options,
      )
    },
  }
}

/** Of `batch` images with `channels`, and of shapes that are not halved evenly. */
export function checkedCases(batch: number, channels: number): OperatorCase[] {
  const shapes = [
    [batch, channels, 16, 16],
    [3 + Math.floor(batch / 4), 21, 9, 7],
  ]
  return [
    ...operatorCases(batch, channels),
    // channels that four does not divide
    ...operatorCases(8, 6),
    ...[3, 5].flatMap((kernel) =>
      [1, 2].flatMap((stride) => [
        separableCase(shapes[0], kernel, stride, 1, true),
        separableCase(shapes[1], kernel, stride, 2, true),
      ]),
    ),
    ...shapes.flatMap((shape) => [1, 2].map((stride) => fanOutCase(shape, stride))),
    ...shapes.flatMap((shape) => [false, true].map((drops) => affineCase(shape, drops))),
  ]
}
