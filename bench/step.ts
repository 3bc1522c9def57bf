/** One search step, ours and plain, built for comparison: the same shape, subspace, data and optimizers. */
import { Adam, clipGradNorm, type Maker, namedParameters, Sgd, stateDict } from '../src/nn/index.ts'
import { darts } from '../src/spaces/darts.ts'
import type { CellType } from '../src/spaces/genotype.ts'
import { Supernet } from '../src/spaces/supernet.ts'
import { Ddsas, type DdsasOptions } from '../src/strategies/ddsas.ts'
import type { Batch } from '../src/strategies/strategy.ts'
import {
  channelsLast,
  contiguous,
  crossEntropy,
  Generator,
  grad,
  keep,
  setRequiresGrad,
  Tensor,
  tidy,
} from '../src/torch/index.ts'
import { searchPresets } from '../src/train/presets.ts'
import { weightStep } from '../src/train/weight-step.ts'
import type { Contestant } from './measure.ts'
import { plainForward } from './plain.ts'

export interface StepShape {
  readonly channels: number
  readonly cells: number
  readonly batch: number
  /** L. */
  readonly subspace: number
}

const { weights: sgdSettings, architecture } = searchPresets.cifar10

function ddsasOptions(subspace: number): DdsasOptions {
  return { ...searchPresets.cifar10.ddsas, subspace, optimizer: architecture }
}

function randomBatch(batch: number, arrange: (x: Tensor) => Tensor, generator: Generator): Batch {
  const pixels = Float32Array.from({ length: batch * 3 * 32 * 32 }, () => generator.normal())
  const labels = BigInt64Array.from({ length: batch }, () => BigInt(generator.below(10)))
  return tidy(() => ({
    images: keep(arrange(Tensor.from(pixels, [batch, 3, 32, 32]))),
    labels: keep(Tensor.from(labels, [batch])),
  }))
}

function makeBatches({ batch }: StepShape, arrange: (x: Tensor) => Tensor): Record<'train' | 'valid', Batch> {
  const generator = new Generator(1)
  return { train: randomBatch(batch, arrange, generator), valid: randomBatch(batch, arrange, generator) }
}

function makeSupernet({ channels, cells, subspace }: StepShape) {
  const maker: Maker = { device: 'cpu', generator: new Generator(0) }
  const supernet = new Supernet({ space: darts, channels, cells, classes: 10 }, maker)
  return { supernet, strategy: new Ddsas(supernet, ddsasOptions(subspace), maker) }
}

/** Our step: the strategy's update, then the weight step. */
export function ourStep(shape: StepShape): Contestant {
  const { supernet, strategy } = makeSupernet(shape)
  const { train, valid } = makeBatches(shape, channelsLast)
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
  const plain = makePlain(shape, layout === 'NCHW' ? contiguous : channelsLast)
  const sgd = new Sgd(plain.weights, sgdSettings)
  const adam = new Adam(plain.alphas, architecture)
  const split = plain.alphas.size
  return {
    name: `plain, ${layout}`,
    step() {
      tidy(() => adam.step(plain.gradients('valid').slice(0, split)))
      tidy(() => {
        const gradients = plain.gradients('train').slice(split)
        clipGradNorm(gradients, sgdSettings.clip)
        sgd.step(gradients, sgdSettings.rate)
      })
    },
  }
}

/** A plain supernet in a sampled subspace, and the gradients of everything on one of its two batches. */
function makePlain(shape: StepShape, arrange: (x: Tensor) => Tensor) {
  const { supernet, strategy } = makeSupernet(shape)
  strategy.openWindow()
  const batches = makeBatches(shape, arrange)
  const alphas = strategy.parameters()
  const weights = namedParameters(supernet)
  const everything = [...alphas.values(), ...weights.values()]
  setRequiresGrad(everything, true)
  const tensors = stateDict(supernet)
  const mixing = (cell: CellType) => ({
    weights: strategy.mixing(cell).weights,
    mask: strategy.memory(cell).mask,
  })
  const gradients = (half: keyof typeof batches) => {
    const { images, labels } = batches[half]
    const mixings = { normal: mixing('normal'), reduce: mixing('reduce') }
    const logits = plainForward(tensors, { space: darts, cells: shape.cells }, images, mixings)
    return grad(crossEntropy(logits, labels), everything)
  }
  return { alphas, weights, gradients }
}
