/** A search as small as it can be: C = 4, 3 cells, images of 8 x 8 pixels, two in a batch. */
import { disposeModule, type InitContext, Network, namedParameters, Sgd } from '../../../src/nn/index.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import type { Genotype } from '../../../src/spaces/darts/genotype.ts'
import { Ddsas } from '../../../src/strategies/ddsas/ddsas.ts'
import type { DdsasSettings } from '../../../src/strategies/ddsas/settings.ts'
import type { Batch, Outcome, Progress } from '../../../src/strategies/strategy.ts'
import { channelsLast, Generator, keep, setThreads, Tensor, tidy } from '../../../src/torch/index.ts'

// so little work is slower on several threads, far slower where others compute
setThreads(1)

/** What differs from the usual settings. */
export type DdsasOptions = Partial<DdsasSettings['ddsas']>

const usual: DdsasSettings = {
  ddsas: {
    variant: 'authors-code',
    subspace: 28,
    window: 3,
    fill: 'operations',
    mixture: 'simple',
    changes: [],
  },
  archOptimizer: { lr: 0.05, betas: [0.5, 0.999], weightDecay: 1e-3 },
}

export function makeSupernet(): Network {
  const context: InitContext = { device: 'cpu', generator: new Generator(5, 'supernet') }
  return new Network(dartsSpace.supernet({ channels: 4, cells: 3, classes: 10 }), context)
}

export function makeStrategy(options: DdsasOptions = {}, seed = 6): Ddsas<Genotype> {
  const init: InitContext = { device: 'cpu', generator: new Generator(seed, 'strategy') }
  const settings = { ...usual, ddsas: { ...usual.ddsas, ...options } }
  return new Ddsas({ space: dartsSpace, init, seed, epochs: 50 }, settings)
}

export function makeBatch(seed: number): Batch {
  const generator = new Generator(seed, 'batch')
  const pixels = Float32Array.from({ length: 2 * 3 * 64 }, () => generator.normal())
  return tidy(() => ({
    images: keep(channelsLast(Tensor.from(pixels, [2, 3, 8, 8]))),
    labels: keep(Tensor.from(BigInt64Array.of(3n, 8n), [2])),
  }))
}

/** The position of a step where every epoch has `perEpoch` of them. */
export function progressOf(globalStep: number, perEpoch: number): Progress {
  return { epoch: Math.floor(globalStep / perEpoch), step: globalStep % perEpoch, globalStep }
}

/** Logits in training mode, with the operations and weights that a strategy has now. */
export function supernetLogits(supernet: Network, strategy: Ddsas<Genotype>, images: Tensor): Tensor {
  const archWeights = (group: string) => strategy.archWeights(group)
  return supernet.forward(images, { training: true, archWeights }).logits
}

export interface Tiny {
  readonly supernet: Network
  readonly strategy: Ddsas<Genotype>
  readonly optimizer: Sgd
  readonly train: Batch
  readonly valid: Batch
}

/** The architecture step of a search. */
export function archStep({ supernet, strategy, optimizer, train, valid }: Tiny): Outcome {
  return strategy.archStep({ supernet, weightOptimizer: optimizer, lr: 0.1 }, train, valid)
}

/** Runs `use` with a search and frees all of it after. */
export function withTiny(options: DdsasOptions, use: (tiny: Tiny) => void): void {
  const supernet = makeSupernet()
  const strategy = makeStrategy(options)
  const optimizer = new Sgd(namedParameters(supernet), { momentum: 0.9, weightDecay: 3e-4 })
  const [train, valid] = [makeBatch(1), makeBatch(2)]
  try {
    use({ supernet, strategy, optimizer, train, valid })
  } finally {
    for (const { images, labels } of [train, valid]) for (const tensor of [images, labels]) tensor.dispose()
    for (const owner of [strategy, optimizer]) owner.dispose()
    disposeModule(supernet)
  }
}
