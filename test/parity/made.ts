/** Where a small search begins and what it is fed, drawn from a seed: golden values can be made of it anywhere. */
import { drawn, type InitContext, Network, namedParameters } from '../../src/nn/index.ts'
import { cellTypes } from '../../src/spaces/darts/genotype.ts'
import { supernetProgram } from '../../src/spaces/darts/programs.ts'
import { darts } from '../../src/spaces/darts/space.ts'
import { Generator, Tensor } from '../../src/torch/index.ts'
import type { Golden } from './trajectory.ts'

export interface Made {
  readonly channels: number
  readonly cells: number
  readonly steps: number
  /** Of an image. */
  readonly side: number
}

const batch = 4
const classes = 10

/** Golden values without any value: settings, initial tensors and batches. */
export function beginning(seed: number, { channels, cells, steps, side }: Made): Golden {
  const generator = new Generator(seed, 'made')
  const context: InitContext = { device: 'cpu', generator }
  const supernet = new Network(supernetProgram(darts, { channels, cells, classes }), context)
  const small = () =>
    drawn([14, Object.keys(darts.operations).length], () => 1e-3 * generator.normal(), context)
  const strategy = cellTypes.flatMap((cell) =>
    ['alpha', 'zeta'].map((kind) => [`${kind}.${cell}`, small()] as const),
  )
  const images = () =>
    Tensor.from(
      Float32Array.from({ length: batch * 3 * side * side }, () => generator.normal()),
      [batch, 3, side, side],
    )
  const labels = () =>
    Tensor.from(
      BigInt64Array.from({ length: batch }, () => BigInt(generator.below(classes))),
      [batch],
    )
  const batches = Array.from({ length: steps }, (_, step) =>
    ['train', 'valid'].flatMap((half) => [
      [`step${step}/${half}.x`, images()] as const,
      [`step${step}/${half}.y`, labels()] as const,
    ]),
  )
  const init = [...namedParameters(supernet), ...strategy].map(([name, x]) => [`init/${name}`, x] as const)
  return {
    recorded: {
      C: channels,
      layers: cells,
      L: 28,
      M: 3,
      steps,
      classes,
      primitives: Object.keys(darts.operations),
      confidence: 1.44,
      saliency_type: 'simple',
      weights: { lr: 0.025, weight_decay: 3e-4, momentum: 0.9, grad_clip: 5 },
      arch: { lr: 3e-4, weight_decay: 1e-3, betas: [0.5, 0.999] },
      log: [],
    },
    tensors: new Map([...init, ...batches.flat()]),
  }
}
