/** What each kernel that layers were matched to has to do at least, and the images it makes. */
import type { Kernel, SeparableKernel } from '../src/nn/fuse.ts'
import { extentAfter, layerWork, normWork, weightsOf } from './layer-work.ts'
import {
  type BothWays,
  convolutionWork,
  type Extent,
  factorizedReduceWork,
  separableWork,
  type Wanted,
} from './work.ts'

/** Images on their way through kernels. */
export interface Flow {
  readonly extent: Extent
  /** Whether their gradient is taken, */
  readonly wanted: boolean
  /** and whether what made them can be left to compute it: a kernel of ours. */
  readonly leaves: boolean
}

/** One kernel's work, and what it makes. */
export interface Made {
  readonly work: BothWays
  readonly extent: Extent
  readonly leaves: boolean
}

/** `left`: a norm follows that leaves the gradient to the kernel. `shared`: other kernels read the same images with it. */
export function separableMade(
  { norm, spatial, pointwise }: SeparableKernel,
  input: Extent,
  { left, shared }: { readonly left: boolean; readonly shared: boolean },
  wanted: Wanted,
): Made {
  const { kernel, stride } = spatial.layer
  const { outputs } = pointwise.layer
  const own = { input, outputs, kernel, stride, normed: norm !== undefined, shared, left }
  const work = separableWork(own, wanted)
  const weights = work.weights + (norm ? weightsOf(norm.layer) : 0)
  const extent = extentAfter(pointwise.layer, extentAfter(spatial.layer, input))
  return { work: { ...work, weights }, extent, leaves: true }
}

export function kernelMade(found: Kernel, from: Flow, left: boolean, wanted: Wanted): Made {
  const input = from.extent
  switch (found.kernel) {
    case 'separable':
      return separableMade(found, input, { left, shared: false }, wanted)
    case 'relu_pointwise': {
      const { layer } = found.convolution
      const convolution = { input, outputs: layer.outputs, kernel: 1, stride: 1, left }
      return { work: convolutionWork(convolution, wanted), extent: extentAfter(layer, input), leaves: true }
    }
    case 'factorized_reduce': {
      const [first, second] = [found.first.layer, found.second.layer]
      const outputs = first.outputs + second.outputs
      const extent = { ...extentAfter(first, input), channels: outputs }
      return { work: factorizedReduceWork({ input, outputs, left }, wanted), extent, leaves: true }
    }
    case 'norm':
      return { work: normWork(found.norm.layer, input, from.leaves, wanted), extent: input, leaves: false }
    case 'aten': {
      const { layer } = found.layer
      return { work: layerWork(layer, input, wanted), extent: extentAfter(layer, input), leaves: false }
    }
  }
}
