/** What a layer has to do at least where no kernel takes it: ATen's operator of it, by itself. */
import { DdsasError } from '../src/errors.ts'
import {
  type BatchNorm2d,
  type Layer,
  layerShape,
  parameterCount,
  type Sequence,
  type Shape,
  sequenceCost,
} from '../src/nn/index.ts'
import {
  addBothWays,
  type BothWays,
  type Extent,
  elements,
  float,
  gradientWork,
  mixWork,
  nothing,
  type Wanted,
} from './work.ts'

function shapeOf({ channels, side }: Extent): Shape {
  return [channels, side, side]
}

/** What a layer makes of images. */
export function extentAfter(layer: Layer, input: Extent): Extent {
  const [channels, side] = layerShape(layer, shapeOf(input))
  return { batch: input.batch, channels, side }
}

/** Trained numbers of a layer's own. */
export function weightsOf(layer: Layer): number {
  return parameterCount([{ name: '', layer }])
}

/** How many numbers an operator without weights reads and writes; `kept`: those that it reads again going back. */
interface Passing {
  readonly read: number
  readonly written: number
  readonly kept?: number
}

function passingWork(
  { read, written, kept = 0 }: Passing,
  flops: { readonly forward: number; readonly backward: number },
  wanted: Wanted,
): BothWays {
  const bytes = float * (read + written)
  return {
    forward: { bytes, flops: flops.forward },
    backward: wanted.x ? { bytes: bytes + float * kept, flops: flops.backward } : nothing,
    weights: 0,
  }
}

/** A convolution or linear layer. */
function weightedWork(layer: Layer, input: Extent, wanted: Wanted): BothWays {
  const [read, written] = [elements(input), elements(extentAfter(layer, input))]
  const weights = weightsOf(layer)
  const each = sequenceCost([{ name: '', layer }], shapeOf(input)).multiplyAdds
  const multiplyAdds = input.batch * each
  return {
    forward: { bytes: float * (read + written + weights), flops: 2 * multiplyAdds },
    backward: gradientWork(read, written, weights, { x: multiplyAdds, weights: multiplyAdds }, wanted),
    weights,
  }
}

/** A batch norm, as a sum of one term; `left`: its gradient is left to what made its input. */
export function normWork(layer: BatchNorm2d, input: Extent, left: boolean, wanted: Wanted): BothWays {
  const term = { normed: true, wanted: wanted.x, left }
  return { ...mixWork(input, [term], layer.affine && wanted.weights), weights: weightsOf(layer) }
}

/** Tensors side by side in a new one of an extent. */
export function joinWork(output: Extent, wanted: Wanted): BothWays {
  const size = elements(output)
  return passingWork({ read: size, written: size }, { forward: 0, backward: 0 }, wanted)
}

/** Which gradients are taken after some work: that of its result, too, where it has weights to train. */
export function wantedAfter({ weights }: BothWays, { x, weights: train }: Wanted): Wanted {
  return { x: x || (train && weights > 0), weights: train }
}

function sequenceWork(layers: Sequence, input: Extent, given: Wanted): BothWays {
  let [all, extent, wanted] = [addBothWays([]), input, given]
  for (const { layer } of layers) {
    const own = layerWork(layer, extent, wanted)
    all = addBothWays([all, own])
    extent = extentAfter(layer, extent)
    wanted = wantedAfter(own, wanted)
  }
  return all
}

/** @throws {DdsasError} `input` for a layer of one's own: nobody knows what it does. */
export function layerWork(layer: Layer, input: Extent, wanted: Wanted): BothWays {
  const size = elements(input)
  const written = elements(extentAfter(layer, input))
  switch (layer.type) {
    case 'conv2d':
    case 'linear':
      return weightedWork(layer, input, wanted)
    case 'batch_norm2d':
      return normWork(layer, input, false, wanted)
    case 'relu':
      return passingWork({ read: size, written, kept: size }, { forward: 0, backward: 0 }, wanted)
    case 'sigmoid':
      return passingWork({ read: size, written, kept: size }, { forward: size, backward: 2 * size }, wanted)
    case 'max_pool2d':
      // with each maximum its place, int64, which the way back reads
      return passingWork({ read: size, written: 3 * written }, { forward: 0, backward: written }, wanted)
    case 'avg_pool2d': {
      const flops = layer.kernel ** 2 * written
      return passingWork({ read: size, written }, { forward: flops, backward: flops }, wanted)
    }
    case 'global_avg_pool2d':
      return passingWork({ read: size, written }, { forward: size, backward: written }, wanted)
    case 'zero':
      return passingWork({ read: written, written }, { forward: written, backward: written }, wanted)
    case 'channels':
    case 'channel_shuffle':
      return passingWork({ read: written, written }, { forward: 0, backward: 0 }, wanted)
    // another view of the same memory
    case 'shift':
    case 'flatten':
    // in a pass without it
    case 'dropout':
      return addBothWays([])
    case 'concat': {
      const branches = addBothWays(layer.branches.map((branch) => sequenceWork(branch, input, wanted)))
      return addBothWays([branches, joinWork(extentAfter(layer, input), wantedAfter(branches, wanted))])
    }
    case 'gate': {
      const product = { read: size, written: size, kept: size }
      const scales = sequenceWork(layer.layers, input, wanted)
      const flops = { forward: size, backward: 2 * size }
      return addBothWays([scales, passingWork(product, flops, wantedAfter(scales, wanted))])
    }
    case 'opaque':
      throw new DdsasError(
        'input',
        `the layer '${layer.name}' is one of its own: what it has to do at least is not known`,
      )
  }
}
