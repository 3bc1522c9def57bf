/** Small networks of any genotype with random weights and statistics, as they are after some training. */

import type { TrainedNetwork } from '../../../src/export/trained.ts'
import { Network, namedBuffers, stateDict } from '../../../src/nn/index.ts'
import type { Genotype } from '../../../src/spaces/darts/genotype.ts'
import { type NetworkShape, programOf } from '../../../src/spaces/network-shape.ts'
import { copy, Generator, noGrad, Tensor } from '../../../src/torch/index.ts'

/** Every operation of the space, with stride 1 and 2. */
export const everyOperation: Genotype = {
  normal: [
    ['sep_conv_3x3', 0],
    ['max_pool_3x3', 1],
    ['avg_pool_3x3', 0],
    ['dil_conv_3x3', 2],
    ['skip_connect', 0],
    ['dil_conv_5x5', 3],
    ['sep_conv_5x5', 4],
    ['skip_connect', 2],
  ],
  normal_concat: [2, 3, 4, 5],
  reduce: [
    ['sep_conv_5x5', 0],
    ['skip_connect', 1],
    ['avg_pool_3x3', 1],
    ['max_pool_3x3', 0],
    ['dil_conv_5x5', 0],
    ['sep_conv_3x3', 1],
    ['dil_conv_3x3', 1],
    ['skip_connect', 4],
  ],
  reduce_concat: [3, 4, 5],
}

export const smallShape: NetworkShape = {
  kind: 'cifar',
  genotype: everyOperation,
  channels: 4,
  cells: 5,
  classes: 7,
  auxiliary: true,
}

export const normalisation = { mean: [0.49, 0.48, 0.44], std: [0.25, 0.24, 0.26] } as const

/** A network, and the same as the exporters take it. */
export function trainedNetwork(
  shape: NetworkShape = smallShape,
  imageSide = 32,
): { network: Network; trained: TrainedNetwork } {
  const generator = new Generator(1)
  const network = new Network(programOf(shape), { device: 'cpu', generator })
  randomStatistics(network, generator)
  return { network, trained: { shape, tensors: stateDict(network), imageSide, normalisation } }
}

/** Draws the statistics of all batch norms. */
export function randomStatistics(network: Network, generator: Generator): void {
  noGrad(() => {
    for (const [name, buffer] of namedBuffers(network)) {
      const values = Float32Array.from({ length: buffer.size }, () =>
        name.endsWith('var') ? 0.5 + generator.uniform() : 0.2 * generator.normal(),
      )
      copy(buffer, Tensor.from(values, buffer.shape))
    }
  })
}

/** Random normalised images [count, 3, side, side]. */
export function randomImages(count: number, side: number): Float32Array {
  const generator = new Generator(2)
  return Float32Array.from({ length: count * 3 * side * side }, () => generator.normal())
}
