/** A search as small as it can be: C = 4, 3 cells, images of 8 x 8 pixels, two in a batch. */
import { disposeModule, type Maker, namedParameters, Sgd } from '../../../src/nn/index.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { Supernet } from '../../../src/spaces/darts/supernet.ts'
import { Ddsas, type DdsasOptions } from '../../../src/strategies/ddsas/ddsas.ts'
import type { Batch, Progress } from '../../../src/strategies/strategy.ts'
import { channelsLast, Generator, keep, setThreads, Tensor, tidy } from '../../../src/torch/index.ts'

// so little work is slower on several threads, far slower where others compute
setThreads(1)

export const usual: DdsasOptions = {
  variant: 'authors-code',
  subspace: 28,
  window: 3,
  mixture: 'simple',
  optimizer: { lr: 0.05, betas: [0.5, 0.999], weightDecay: 1e-3 },
  changes: [],
}

export function makeSupernet(): Supernet {
  const maker: Maker = { device: 'cpu', generator: new Generator(5, 'supernet') }
  return new Supernet({ space: darts, channels: 4, cells: 3, classes: 10 }, maker)
}

export function makeStrategy(supernet: Supernet, options: Partial<DdsasOptions> = {}, seed = 6): Ddsas {
  const maker: Maker = { device: 'cpu', generator: new Generator(seed, 'strategy') }
  return new Ddsas(supernet, { ...usual, ...options }, maker)
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

export interface Tiny {
  readonly supernet: Supernet
  readonly strategy: Ddsas
  readonly optimizer: Sgd
  readonly train: Batch
  readonly valid: Batch
}

/** Runs `use` with a search and frees all of it after. */
export function withTiny(options: Partial<DdsasOptions>, use: (tiny: Tiny) => void): void {
  const supernet = makeSupernet()
  const strategy = makeStrategy(supernet, options)
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
