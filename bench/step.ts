/** One search step, ours and plain, built for comparison: the same shape, subspace, data and optimizers. */
import { Adam, clipGradNorm, type Maker, namedParameters, Sgd, stateDict } from '../src/nn/index.ts'
import type { EdgeMask } from '../src/search/mixture.ts'
import { darts } from '../src/spaces/darts.ts'
import { cellTypes } from '../src/spaces/genotype.ts'
import { mixingWeights } from '../src/spaces/mixing-weights.ts'
import { Supernet } from '../src/spaces/supernet.ts'
import { Ddsas, type DdsasOptions } from '../src/strategies/ddsas.ts'
import type { Batch } from '../src/strategies/strategy.ts'
import { channelsLast, contiguous, crossEntropy, Generator, grad, keep, setRequiresGrad, Tensor, tidy } from '../src/torch/index.ts'
import { searchPresets } from '../src/train/presets.ts'
import { weightStep } from '../src/train/weight-step.ts'
import { plainForward } from './plain.ts'

export interface StepShape {
  readonly channels: number
  readonly cells: number
  readonly batch: number
  /** L. */
  readonly subspace: number
}

/** Something whose steps are timed. */
export interface Contestant {
  readonly name: string
  step(): void
}

const { weights: sgdSettings, architecture } = searchPresets.cifar10

function ddsasOptions(subspace: number): DdsasOptions {
  return { ...searchPresets.cifar10.ddsas, subspace, optimizer: architecture }
}

function randomBatch(batch: number, generator: Generator): Batch {
  const pixels = Float32Array.from({ length: batch * 3 * 32 * 32 }, () => generator.normal())
  const labels = BigInt64Array.from({ length: batch }, () => BigInt(generator.below(10)))
  return tidy(() => ({
    images: keep(channelsLast(Tensor.from(pixels, [batch, 3, 32, 32]))),
    labels: keep(Tensor.from(labels, [batch])),
  }))
}

function makeSupernet({ channels, cells }: StepShape, subspace: number) {
  const maker: Maker = { device: 'cpu', generator: new Generator(0) }
  const supernet = new Supernet({ space: darts, channels, cells, classes: 10 }, maker)
  return { supernet, strategy: new Ddsas(supernet, ddsasOptions(subspace), maker) }
}

/** Our step: the strategy's update, then the weight step. */
export function ourStep(shape: StepShape): Contestant {
  const { supernet, strategy } = makeSupernet(shape, shape.subspace)
  const generator = new Generator(1)
  const [train, valid] = [randomBatch(shape.batch, generator), randomBatch(shape.batch, generator)]
  const optimizer = new Sgd(namedParameters(supernet), sgdSettings)
  let step = 0
  return {
    name: 'ours',
    step() {
      tidy(() => {
        strategy.update(train, valid, { epoch: 0, step, total: step })
        weightStep(supernet, strategy, train, optimizer, sgdSettings)
      })
      // the subspace of the first step throughout, so that all contestants compute the same operations
      step = 1
    },
  }
}

/** The published way: all gradients in both steps, with `layout` NCHW or channels last. */
export function plainStep(shape: StepShape, layout: 'NCHW' | 'channels last'): Contestant {
  const { supernet, strategy } = makeSupernet(shape, shape.subspace)
  const arrange = layout === 'NCHW' ? contiguous : channelsLast
  const generator = new Generator(1)
  const batches = [randomBatch(shape.batch, generator), randomBatch(shape.batch, generator)].map(
    ({ images, labels }) => ({ images: keep(arrange(images)), labels }),
  )
  const [train, valid] = batches
  strategy.openWindow()
  const masks: Record<string, EdgeMask> = { normal: strategy.memory('normal').mask, reduce: strategy.memory('reduce').mask }
  const alphas = strategy.parameters()
  const weights = namedParameters(supernet)
  const everything = [...alphas.values(), ...weights.values()]
  setRequiresGrad(everything, true)
  const sgd = new Sgd(weights, sgdSettings)
  const adam = new Adam(alphas, architecture)
  const tensors = stateDict(supernet)
  const mixing = (cell: 'normal' | 'reduce') => {
    const [alpha, zeta] = [alphas.get(`alpha.${cell}`), alphas.get(`zeta.${cell}`)]
    if (!alpha || !zeta) throw new Error(`no parameters for ${cell}`)
    return { weights: mixingWeights(alpha, zeta, masks[cell], 'simple'), mask: masks[cell] }
  }
  const gradients = (batch: Batch) => {
    const mixings = { normal: mixing(cellTypes[0]), reduce: mixing(cellTypes[1]) }
    const logits = plainForward(tensors, { space: darts, cells: shape.cells }, batch.images, mixings)
    return grad(crossEntropy(logits, batch.labels), everything)
  }
  return {
    name: `plain, ${layout}`,
    step() {
      tidy(() => adam.step(gradients(valid).slice(0, alphas.size)))
      tidy(() => {
        const all = gradients(train).slice(alphas.size)
        clipGradNorm(all, sgdSettings.clip)
        sgd.step(all, sgdSettings.rate)
      })
    },
  }
}
