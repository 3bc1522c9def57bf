/**
 * The plain supernet: what the published implementation computes and in its way. Every operation has its own ReLU, `none`
 * is computed, all gradients are taken in both steps. The yardstick of the benchmarks, and an oracle for the supernet.
 *
 * It shares nothing with `src/spaces` but the names of the weights, which are PyTorch's.
 */
import { type CellSpace, edgeIndex } from '../src/spaces/darts/space.ts'
import {
  add,
  avgPool2d,
  batchNorm,
  cat,
  conv2d,
  globalAvgPool2d,
  linear,
  maxPool2d,
  mul,
  relu,
  reshape,
  slice,
  type Tensor,
  tidy,
} from '../src/torch/index.ts'

/** The weights of a cell type's mixed operations [edges, operations], and which are in the subspace. */
export interface PlainMixing {
  readonly weights: Tensor
  readonly mask: readonly (readonly boolean[])[]
}

export interface PlainShape {
  readonly space: CellSpace
  readonly cells: number
}

type Weights = ReadonlyMap<string, Tensor>

function weight(weights: Weights, name: string): Tensor {
  const found = weights.get(name)
  if (found === undefined) throw new Error(`the plain supernet needs a weight '${name}'`)
  return found
}

function norm(weights: Weights, name: string, x: Tensor): Tensor {
  return batchNorm(x, {
    weight: weights.get(`${name}.weight`),
    bias: weights.get(`${name}.bias`),
    runningMean: weight(weights, `${name}.running_mean`),
    runningVar: weight(weights, `${name}.running_var`),
    training: true,
  })
}

function reluConvNorm(weights: Weights, name: string, x: Tensor): Tensor {
  return norm(weights, `${name}.op.2`, conv2d(relu(x), weight(weights, `${name}.op.1.weight`)))
}

function factorizedReduce(weights: Weights, name: string, x: Tensor): Tensor {
  const rectified = relu(x)
  const shifted = slice(slice(rectified, 2, 1, x.shape[2]), 3, 1, x.shape[3])
  const first = conv2d(rectified, weight(weights, `${name}.conv_1.weight`), { stride: 2 })
  const second = conv2d(shifted, weight(weights, `${name}.conv_2.weight`), { stride: 2 })
  return norm(weights, `${name}.bn`, cat([first, second], 1))
}

interface Depthwise {
  readonly kernel: number
  readonly stride: number
  readonly dilation: number
}

/** ReLU, depthwise and pointwise convolution, batch norm: layers `first` to `first` + 2 of `op`. */
function depthwise(weights: Weights, name: string, first: number, x: Tensor, how: Depthwise): Tensor {
  const { kernel, stride, dilation } = how
  const padding = ((kernel - 1) / 2) * dilation
  const spatial = weight(weights, `${name}.op.${first}.weight`)
  const y = conv2d(relu(x), spatial, { stride, padding, dilation, groups: x.shape[1] })
  const mixed = conv2d(y, weight(weights, `${name}.op.${first + 1}.weight`))
  return norm(weights, `${name}.op.${first + 2}`, mixed)
}

function separable(weights: Weights, name: string, x: Tensor, kernel: number, stride: number): Tensor {
  const once = depthwise(weights, name, 1, x, { kernel, stride, dilation: 1 })
  return depthwise(weights, name, 5, once, { kernel, stride: 1, dilation: 1 })
}

function zero(x: Tensor, stride: number): Tensor {
  if (stride === 1) return mul(x, 0)
  return mul(slice(slice(x, 2, 0, x.shape[2], 2), 3, 0, x.shape[3], 2), 0)
}

function operation(weights: Weights, name: string, kind: string, x: Tensor, stride: number): Tensor {
  switch (kind) {
    case 'none':
      return zero(x, stride)
    case 'max_pool_3x3':
      return norm(weights, `${name}.1`, maxPool2d(x, 3, stride, 1))
    case 'avg_pool_3x3':
      return norm(weights, `${name}.1`, avgPool2d(x, 3, stride, 1))
    case 'skip_connect':
      return stride === 1 ? x : factorizedReduce(weights, name, x)
    case 'sep_conv_3x3':
      return separable(weights, name, x, 3, stride)
    case 'sep_conv_5x5':
      return separable(weights, name, x, 5, stride)
    case 'dil_conv_3x3':
      return depthwise(weights, name, 1, x, { kernel: 3, stride, dilation: 2 })
    case 'dil_conv_5x5':
      return depthwise(weights, name, 1, x, { kernel: 5, stride, dilation: 2 })
    default:
      throw new Error(`the plain supernet has no operation '${kind}'`)
  }
}

/** The weighted sum of the sampled operations of one edge, each weight a scalar taken from the matrix. */
function mixedOperation(
  weights: Weights,
  name: string,
  x: Tensor,
  edge: number,
  stride: number,
  shape: PlainShape,
  mixing: PlainMixing,
) {
  const terms = Object.keys(shape.space.operations).flatMap((kind, k) => {
    if (!mixing.mask[edge][k]) return []
    return tidy(() => {
      const scalar = slice(slice(mixing.weights, 0, edge, edge + 1), 1, k, k + 1)
      return [mul(operation(weights, `${name}._ops.${k}`, kind, x, stride), scalar)]
    })
  })
  return terms.reduce((sum, term) => add(sum, term))
}

interface PlainCell {
  readonly name: string
  readonly reduction: boolean
  readonly afterReduction: boolean
}

function cell(
  weights: Weights,
  where: PlainCell,
  s0: Tensor,
  s1: Tensor,
  shape: PlainShape,
  mixing: PlainMixing,
): Tensor {
  const { name, reduction, afterReduction } = where
  const first = (afterReduction ? factorizedReduce : reluConvNorm)(weights, `${name}.preprocess0`, s0)
  const states = [first, reluConvNorm(weights, `${name}.preprocess1`, s1)]
  for (let node = 0; node < shape.space.nodes; node++) {
    const incoming = states.map((x, input) => {
      const edge = edgeIndex(node, input)
      const stride = reduction && input < 2 ? 2 : 1
      return tidy(() => mixedOperation(weights, `${name}._ops.${edge}`, x, edge, stride, shape, mixing))
    })
    states.push(tidy(() => incoming.reduce((sum, term) => add(sum, term))))
  }
  return cat(states.slice(2), 1)
}

/** Images [n, 3, h, w] -> logits [n, classes], in training mode. `weights` holds parameters and buffers by name. */
export function plainForward(
  weights: Weights,
  shape: PlainShape,
  images: Tensor,
  mixing: Readonly<Record<'normal' | 'reduce', PlainMixing>>,
): Tensor {
  const reductions = [Math.floor(shape.cells / 3), Math.floor((2 * shape.cells) / 3)]
  return tidy(() => {
    const stem = norm(weights, 'stem.1', conv2d(images, weight(weights, 'stem.0.weight'), { padding: 1 }))
    let [s0, s1] = [stem, stem]
    for (let index = 0; index < shape.cells; index++) {
      const reduction = reductions.includes(index)
      const where = { name: `cells.${index}`, reduction, afterReduction: reductions.includes(index - 1) }
      const out = tidy(() => cell(weights, where, s0, s1, shape, mixing[reduction ? 'reduce' : 'normal']))
      s0 = s1
      s1 = out
    }
    return linear(
      reshape(globalAvgPool2d(s1), [images.shape[0], -1]),
      weight(weights, 'classifier.weight'),
      weight(weights, 'classifier.bias'),
    )
  })
}
