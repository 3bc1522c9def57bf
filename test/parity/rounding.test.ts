/**
 * A search of 120 steps with the kernels goes the way that float64 goes, as closely as float32 with ATen's operators does.
 *
 * Left to themselves, searches in different arithmetic part for good: sooner or later an activation lies within rounding
 * of a ReLU's kink, or two within rounding of each other under a maximum, and one of them takes the other branch. That
 * happens to ATen's float32 as to the kernels, to either first, so that neither can be held to the other. Here the
 * kernels choose, and float64 and ATen's float32 follow their branches (branches.ts). What is left is rounding and how the
 * search amplifies it, the same for all three: at every step the kernels' distance from float64 may be three times the
 * largest that ATen's float32 has had, and 1e-3, in losses and in alpha and zeta; subspaces and genotype must be equal.
 * Seen, by instruction set: at most 5e-5, and 1.7 times ATen's; a search on other branches is off by 0.1 and more.
 *
 * Alpha and zeta of an operation alone on its edge are left out once they were that: its weight is 1 whatever they are, so
 * their gradient is rounding, which Adam scales up to a part of its step. For the same reason distances of alpha and zeta
 * below 1/300 of Adam's step count as that much: at step 40 one entry, sampled for the first time, moves by
 * 0.2 % of a step more or less, the others by none.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { disposeModule, type InitContext, Network, namedParameters, Sgd } from '../../src/nn/index.ts'
import { weightStep } from '../../src/search/weight-step.ts'
import { dartsSpace } from '../../src/spaces/darts/cell-space.ts'
import { cellTypes, type Genotype } from '../../src/spaces/darts/genotype.ts'
import { Ddsas } from '../../src/strategies/ddsas/ddsas.ts'
import type { DdsasSettings } from '../../src/strategies/ddsas/settings.ts'
import type { Batch } from '../../src/strategies/strategy.ts'
import {
  channelsLast,
  copy,
  type Dtype,
  Generator,
  setThreads,
  Tensor,
  tidy,
  to,
  withoutKernels,
} from '../../src/torch/index.ts'
import { disposeBranches, followBranches, recordBranches } from './branches.ts'

setThreads(1)

const steps = 120
/** Adam's. */
const lr = 0.003
const images = 16
const size = 8
const values = images * 3 * size * size

/** Noise over a pattern that tells the class. */
function batch(seed: number, dtype: Dtype): Batch {
  const generator = new Generator(seed, 'batch')
  const labels = Array.from({ length: images }, () => generator.below(10))
  const pixels = Float64Array.from({ length: values }, (_, i) => {
    const pixel = i % (values / images)
    return generator.normal() + Math.sin(labels[Math.floor((i * images) / values)] * pixel)
  })
  return {
    images: channelsLast(to(Tensor.from(pixels, [images, 3, size, size]), { dtype })),
    labels: Tensor.from(BigInt64Array.from(labels, BigInt), [images]),
  }
}

class Search {
  readonly #dtype: Dtype
  readonly supernet: Network
  readonly strategy: Ddsas<Genotype>
  readonly #sgd: Sgd
  losses: readonly number[] = []

  constructor(dtype: Dtype) {
    const context: InitContext = { device: 'cpu', generator: new Generator(5, 'search'), dtype }
    this.#dtype = dtype
    this.supernet = new Network(dartsSpace.supernet({ channels: 4, cells: 3, classes: 10 }), context)
    const settings: DdsasSettings = {
      ddsas: {
        variant: 'authors-code',
        subspace: 28,
        window: 20,
        fill: 'operations',
        mixture: 'simple',
        changes: [],
      },
      archOptimizer: { lr, betas: [0.5, 0.999], weightDecay: 1e-3 },
    }
    this.strategy = new Ddsas({ space: dartsSpace, init: context, seed: 0, epochs: 50 }, settings)
    this.#sgd = new Sgd(namedParameters(this.supernet), { momentum: 0.9, weightDecay: 3e-4 })
  }

  tensors(): Map<string, Tensor> {
    return new Map([...namedParameters(this.supernet), ...this.strategy.parameters()])
  }

  /** Starts where another search does: drawn in float64, weights would not be those drawn in float32. */
  startAt(other: Search): void {
    const from = other.tensors()
    for (const [name, tensor] of this.tensors()) {
      const value = from.get(name)
      assert.ok(value)
      tidy(() => copy(tensor, to(value, { dtype: this.#dtype })))
    }
  }

  /** Both updates of a step, on 64 batches in turn. */
  step(step: number): void {
    tidy(() => {
      const [train, valid] = [0, 1].map((half) => batch((2 * step + half) % 64, this.#dtype))
      this.strategy.prepareStep({ epoch: 0, step, globalStep: step })
      const { supernet, strategy } = this
      const rates = { lr: 0.01, gradClip: 5 }
      const context = { supernet, weightOptimizer: this.#sgd, lr: rates.lr }
      const architecture = strategy.archStep(context, train, valid)
      const weights = weightStep(supernet, strategy, train, this.#sgd, rates)
      this.losses = [architecture.loss.item(), weights.loss.item()]
    })
  }

  /** Alpha and zeta, but for those entries. */
  architecture(without: ReadonlySet<string>): number[] {
    return [...this.strategy.parameters()].flatMap(([name, tensor]) =>
      tensor
        .matrix()
        .flatMap((row, edge) => row.filter((_, k) => !without.has(`${name.split('.')[1]} ${edge} ${k}`))),
    )
  }

  masks() {
    return cellTypes.map((cell) => this.strategy.memory(cell).mask)
  }

  /** Adds the operations that are the only one on their edge, as `cell edge operation`. */
  addAlone(to: Set<string>): void {
    for (const [i, mask] of this.masks().entries())
      for (const [edge, row] of mask.entries())
        if (row.filter(Boolean).length === 1) to.add(`${cellTypes[i]} ${edge} ${row.indexOf(true)}`)
  }

  dispose(): void {
    this.strategy.dispose()
    this.#sgd.dispose()
    disposeModule(this.supernet)
  }
}

const distance = (one: readonly number[], other: readonly number[]) =>
  Math.max(...one.map((value, i) => Math.abs(value - other[i])))

/** Float32 holds numbers of the size of a loss to 2e-7: what is smaller than some of those is no distance. */
const floor = 1e-6

test('120 steps with the kernels, float32 with ATen and float64 along the same branches', () => {
  const [kernels, plain, precise] = (['float32', 'float32', 'float64'] as const).map(
    (dtype) => new Search(dtype),
  )
  for (const search of [plain, precise]) search.startAt(kernels)
  const alone = new Set<string>()
  const largest = { losses: floor, architecture: lr / 300 }
  for (let step = 0; step < steps; step += 1) {
    const branches = recordBranches(true, () => kernels.step(step))
    withoutKernels(() => followBranches(branches, () => plain.step(step)))
    followBranches(branches, () => precise.step(step))
    disposeBranches(branches)
    kernels.addAlone(alone)
    const measure = {
      losses: (search: Search) => distance(search.losses, precise.losses),
      architecture: (search: Search) => distance(search.architecture(alone), precise.architecture(alone)),
    }
    for (const what of ['losses', 'architecture'] as const) {
      largest[what] = Math.max(largest[what], measure[what](plain))
      const own = measure[what](kernels)
      assert.ok(own <= 3 * largest[what], `${what} of step ${step}: ${own}, ATen's float32 ${largest[what]}`)
      assert.ok(own <= 1e-3, `${what} of step ${step}: ${own}`)
    }
    for (const search of [plain, precise])
      assert.deepEqual(search.masks(), kernels.masks(), `subspaces of step ${step}`)
  }
  for (const search of [plain, precise]) assert.deepEqual(search.strategy.derive(), kernels.strategy.derive())
  for (const search of [kernels, plain, precise]) search.dispose()
})
