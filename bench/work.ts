/**
 * What an operator has to do at least: bytes to and from memory, and floating point operations, forward and backward.
 *
 * Bytes: everything an operator reads and writes crosses the memory bus once, nothing inside it does, and nothing stays in
 * the cache for the next operator. A batch norm by the batch's own moments parts its backward pass in two, since all sums
 * must be known before the first gradient is. Operations: a multiply-add counts two; comparisons, and what a kernel
 * computes twice in order not to store it, count nothing.
 */

/** Bytes of memory traffic and floating point operations. */
export interface Work {
  readonly bytes: number
  readonly flops: number
}

/** Work of both passes; `weights`: how many the operator has. */
export interface BothWays {
  readonly forward: Work
  readonly backward: Work
  readonly weights: number
}

/** Which gradients are taken. */
export interface Wanted {
  readonly x: boolean
  readonly weights: boolean
}

/** A batch of square images; `channels` of one tensor, or of all parts together. */
export interface Extent {
  readonly batch: number
  readonly channels: number
  readonly side: number
}

/** Bytes of a float32. */
export const float = 4

export const nothing: Work = { bytes: 0, flops: 0 }

/** All of some operators. */
export function addBothWays(all: readonly BothWays[]): BothWays {
  return {
    forward: addWork(all.map(({ forward }) => forward)),
    backward: addWork(all.map(({ backward }) => backward)),
    weights: all.reduce((sum, { weights }) => sum + weights, 0),
  }
}

export function addWork(all: readonly Work[]): Work {
  return all.reduce(
    (sum, { bytes, flops }) => ({ bytes: sum.bytes + bytes, flops: sum.flops + flops }),
    nothing,
  )
}

export function elements({ batch, channels, side }: Extent): number {
  return batch * channels * side * side
}

function outputOf(input: Extent, channels: number, stride: number): Extent {
  return { batch: input.batch, channels, side: Math.ceil(input.side / stride) }
}

/** An operator that a norm follows. */
interface Normed {
  /** Whether the norm leaves it to compute its gradient, from its result and the gradient of the norm's sum. */
  readonly left?: boolean
}

export interface Convolution extends Normed {
  readonly input: Extent
  readonly outputs: number
  readonly kernel: number
  readonly stride: number
}

/** What is read and computed of `written` results whose gradients are left to the operator that made them. */
function throughNorm(written: number, wanted: Wanted): Work {
  return wanted.x || wanted.weights ? { bytes: float * written, flops: 4 * written } : nothing
}

/** A convolution over all channels, 1x1 or larger, of one input or of parts side by side. */
export function convolutionWork(convolution: Convolution, wanted: Wanted): BothWays {
  const { input, outputs, kernel, stride, left = false } = convolution
  const output = outputOf(input, outputs, stride)
  const [read, written] = [elements(input), elements(output)]
  const weights = outputs * input.channels * kernel * kernel
  const multiplyAdds = elements(output) * input.channels * kernel * kernel
  const gradients = gradientWork(read, written, weights, { x: multiplyAdds, weights: multiplyAdds }, wanted)
  const through = left ? throughNorm(written, wanted) : nothing
  return {
    forward: { bytes: float * (read + written + weights), flops: 2 * multiplyAdds },
    backward: { bytes: gradients.bytes + through.bytes, flops: gradients.flops + through.flops },
    weights,
  }
}

/** Reads the input, the output's gradient and the weights; writes what is wanted, at that many multiply-adds each. */
export function gradientWork(
  read: number,
  written: number,
  weights: number,
  multiplyAdds: { readonly x: number; readonly weights: number },
  wanted: Wanted,
): Work {
  if (!wanted.x && !wanted.weights) return nothing
  const [x, w] = [Number(wanted.x), Number(wanted.weights)]
  return {
    bytes: float * (read + written + weights + x * read + w * weights),
    flops: 2 * (x * multiplyAdds.x + w * multiplyAdds.weights),
  }
}

/** A 1x1 convolution of every second pixel and one of those one further: as much as one of stride 2 that reads all. */
export function factorizedReduceWork(
  reduce: Omit<Convolution, 'kernel' | 'stride'>,
  wanted: Wanted,
): BothWays {
  return convolutionWork({ ...reduce, kernel: 1, stride: 2 }, wanted)
}

export interface Separable extends Normed {
  readonly input: Extent
  readonly outputs: number
  readonly kernel: number
  readonly stride: number
  /** Whether a batch norm by the batch's moments comes before the ReLU. */
  readonly normed: boolean
  /** One of several that read the same input: that, and its gradient, are counted with `fanOutWork`. */
  readonly shared?: boolean
}

/** Depthwise, then 1x1 convolution. */
export function separableWork(convolution: Separable, wanted: Wanted): BothWays {
  const { input, outputs, kernel, stride, normed, shared = false, left = false } = convolution
  const [read, written] = [elements(input), elements(outputOf(input, outputs, stride))]
  const weights = input.channels * (kernel * kernel + outputs)
  const spatial = elements(outputOf(input, input.channels, stride)) * kernel * kernel
  const pointwise = written * input.channels
  // the gradient between the two convolutions serves both that of x and that of the depthwise weight
  const between = wanted.x || wanted.weights ? 2 * pointwise : 0
  const own = { x: spatial, weights: spatial + pointwise }
  const gradients = gradientWork(read, written, weights, own, wanted)
  const some = wanted.x || wanted.weights
  const elsewhere = shared && some ? float * read * (wanted.x ? 2 : 1) : 0
  const through = left ? throughNorm(written, wanted) : nothing
  return {
    forward: {
      bytes: float * ((shared ? 0 : read) + written + weights),
      flops: 2 * (spatial + pointwise) + (normed ? 2 * read : 0),
    },
    backward: {
      bytes: gradients.bytes - elsewhere + through.bytes,
      // with a norm the sums of the gradient and of its product with what was normalised
      flops: gradients.flops + between + through.flops + (normed && wanted.x ? 3 * read : 0),
    },
    weights,
  }
}

export interface Pooling {
  readonly kind: 'max' | 'avg'
  readonly input: Extent
  readonly stride: number
  readonly readers: number
  /** How many of them are norms, which leave their gradients to the pooling. */
  readonly norms: number
}

/**
 * 3x3 pooling together with other readers of its input: that, and its gradient, are counted with `fanOutWork`. A maximum
 * keeps a byte for each output, and its gradient goes to one of nine pixels.
 */
export function poolWork({ kind, input, stride, readers, norms }: Pooling, wanted: Wanted): BothWays {
  const written = elements(outputOf(input, input.channels, stride))
  const choice = kind === 'max' ? written : 0
  const adds = kind === 'max' ? written : 9 * written
  const through = throughNorm(norms * written, wanted)
  const summed = (readers - 1) * written
  return {
    forward: { bytes: float * written + choice, flops: kind === 'max' ? 0 : adds },
    backward: wanted.x
      ? { bytes: float * readers * written + through.bytes + choice, flops: adds + summed + through.flops }
      : nothing,
    weights: 0,
  }
}

/** One term of a weighted sum: whether it passes a batch norm, and whether its own gradient is wanted. */
export interface Term {
  readonly normed: boolean
  readonly wanted: boolean
  /** Whether that is left to the operator that made the term. */
  readonly left?: boolean
}

/** Batch norms and weighted sum of terms of one extent; `weights`: whether the gradient of the mixing weights is wanted. */
export function mixWork(extent: Extent, terms: readonly Term[], weights: boolean): BothWays {
  const size = elements(extent)
  const count = (test: (term: Term) => boolean | undefined) => terms.filter(test).length
  const normed = count((term) => term.normed)
  const both = count((term) => term.wanted && term.normed)
  const written = count((term) => term.wanted && !term.left)
  const read = count((term) => term.wanted && term.normed && !term.left)
  // sums of dy and of dy x, which the weights' gradient asks of all terms and a norm's of its own
  const summed = weights ? terms.length : both
  const first = summed > 0 ? size * (1 + summed) : 0
  const second = written > 0 ? size * (1 + written + read) : 0
  return {
    // moments: a sum and a square, both over all pixels
    forward: { bytes: float * size * (terms.length + 1), flops: size * (2 * terms.length + 3 * normed) },
    backward: {
      bytes: float * (first + second),
      flops: size * ((summed > 0 ? 1 : 0) + 2 * summed + written + 3 * read),
    },
    weights: 0,
  }
}

/** Who reads one tensor: those that take it as it is, and those that are computed together. */
export interface ReadersOf {
  readonly copies: number
  readonly convolutions: number
  readonly pools: number
}

/** One tensor for several readers: those that are computed read it together, and the sum of all gradients is written once. */
export function fanOutWork(extent: Extent, readers: ReadersOf, wanted: Wanted): BothWays {
  const { copies, convolutions, pools } = readers
  const size = elements(extent)
  const together = convolutions + pools
  const read = { bytes: float * size, flops: 0 }
  const sum = { bytes: float * size * (copies + 1), flops: size * (copies + together - 1) }
  const adds = wanted.x && (together > 0 || copies > 1)
  // the ReLU of the convolutions, and their weights' gradients
  const again = convolutions > 0 && (wanted.x || wanted.weights) ? read.bytes : 0
  return {
    forward: together > 0 ? read : nothing,
    backward: { bytes: again + (adds ? sum.bytes : 0), flops: adds ? sum.flops : 0 },
    weights: 0,
  }
}

/** SGD with momentum on `all` weights, of which `active` have a gradient that is read for its norm and for the update. */
export function sgdWork(all: number, active: number): Work {
  return { bytes: float * (4 * all + 2 * active), flops: 6 * all + 2 * active }
}
