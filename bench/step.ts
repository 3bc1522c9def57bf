/** One search step, ours and plain, built for comparison: the same shape, subspace, data and optimizers. */

import { ReplayedStep } from '../src/loop/replay.ts'
import { Adam, type InitContext, Network, namedParameters, Sgd, stateDict } from '../src/nn/index.ts'
import type { Precision } from '../src/nn/precision.ts'
import { searchPresets } from '../src/search/presets.ts'
import { bothUpdates } from '../src/search/search.ts'
import type { SearchSpace } from '../src/spaces/space.ts'
import { Ddsas } from '../src/strategies/ddsas/ddsas.ts'
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
  to,
} from '../src/torch/index.ts'
import type { Contestant } from './measure.ts'
import { plainForward } from './plain.ts'
import { benchSpaces, type ImageKind, type SpaceName } from './spaces.ts'

export interface StepShape {
  readonly space: SpaceName
  readonly channels: number
  readonly cells: number
  readonly batch: number
  /** L. */
  readonly subspace: number
  /** `cpu` where not said. */
  readonly device?: string
  readonly precision?: Precision
}

const { weightOptimizer: sgdSettings, archOptimizer, ddsas } = searchPresets.cifar10

type Arrange = (x: Tensor) => Tensor

/** Random images and labels of a kind. */
export function randomBatch(
  { batch, device = 'cpu' }: Pick<StepShape, 'batch' | 'device'>,
  { classes, side }: ImageKind,
  arrange: Arrange,
  generator: Generator,
): Batch {
  const pixels = Float32Array.from({ length: batch * 3 * side * side }, () => generator.normal())
  const labels = BigInt64Array.from({ length: batch }, () => BigInt(generator.below(classes)))
  return tidy(() => ({
    images: keep(arrange(to(Tensor.from(pixels, [batch, 3, side, side]), { device }))),
    labels: keep(to(Tensor.from(labels, [batch]), { device })),
  }))
}

function makeBatches(shape: StepShape, arrange: Arrange): Record<'train' | 'valid', Batch> {
  const generator = new Generator(1)
  const { images } = benchSpaces[shape.space]
  const one = () => randomBatch(shape, images, arrange, generator)
  return { train: one(), valid: one() }
}

/** The supernet that all contestants compute, and the strategy that samples its subspace. */
export function makeSupernet({
  space: name,
  channels,
  cells,
  subspace,
  device = 'cpu',
  precision,
}: StepShape) {
  const init: InitContext = { device, generator: new Generator(0) }
  const row = benchSpaces[name]
  const space: SearchSpace = row.space
  const { classes } = row.images
  const program = space.supernet({ channels, cells, classes, stem: row.stem })
  const supernet = new Network(program, init, { precision })
  const settings = { ddsas: { ...ddsas, subspace, changes: [] }, archOptimizer }
  const groups = space.choices.map((group) => group.name)
  return { supernet, groups, strategy: new Ddsas({ space, init, seed: 0, epochs: 50 }, settings) }
}

/**
 * Our step: the strategy's update, then the weight step, in one subspace throughout, so that all contestants compute the
 * same operations. `replay`: how it is repeated; by default as a search does on that device.
 */
export function ourStep(
  shape: StepShape,
  replay = ReplayedStep.on(shape.device ?? 'cpu'),
  name = 'ours',
): Omit<Contestant, 'step'> & { step(): Tensor } {
  const { supernet, strategy } = makeSupernet(shape)
  const { train, valid } = makeBatches(shape, channelsLast)
  const optimizer = new Sgd(namedParameters(supernet), sgdSettings)
  strategy.openWindow()
  return {
    name,
    device: shape.device,
    step() {
      return tidy(() =>
        replay.run('step', [train, valid], (batches) =>
          bothUpdates({ supernet, strategy, optimizer }, batches, sgdSettings),
        ),
      )
    },
  }
}

/** The published way: all gradients in both steps, with `layout` NCHW or channels last. */
export function plainStep(shape: StepShape, layout: 'NCHW' | 'channels last'): Contestant {
  const plain = makePlain(shape, layout === 'NCHW' ? contiguous : channelsLast)
  const sgd = new Sgd(plain.weights, sgdSettings)
  const adam = new Adam(plain.alphas, archOptimizer)
  const split = plain.alphas.size
  return {
    name: `plain, ${layout}`,
    device: shape.device,
    step() {
      tidy(() => adam.step(plain.gradients('valid').slice(0, split)))
      tidy(() => {
        const gradients = plain.gradients('train').slice(split)
        sgd.step(gradients, sgdSettings.lr, sgdSettings.gradClip)
      })
    },
  }
}

/** A plain supernet in a sampled subspace, and the gradients of everything on one of its two batches. */
function makePlain(shape: StepShape, arrange: (x: Tensor) => Tensor) {
  const { supernet, groups, strategy } = makeSupernet(shape)
  strategy.openWindow()
  const batches = makeBatches(shape, arrange)
  const alphas = strategy.parameters()
  const weights = namedParameters(supernet)
  const everything = [...alphas.values(), ...weights.values()]
  setRequiresGrad(everything, true)
  const tensors = stateDict(supernet)
  const gradients = (half: keyof typeof batches) => {
    const { images, labels } = batches[half]
    const mixings = Object.fromEntries(
      groups.map((group) => {
        const { mask } = strategy.memory(group)
        return [group, { weights: strategy.archWeights(group).weights, mask }]
      }),
    )
    const logits = plainForward(supernet.program, tensors, images, (group) => mixings[group])
    return grad(crossEntropy(logits, labels), everything)
  }
  return { alphas, weights, gradients }
}
