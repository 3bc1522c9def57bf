/** What each operator of a supernet allocates and keeps for its backward pass: as kernels of our own, and as ATen's operators. */
import type { Step, Tape, Value } from './memory-tape.ts'

/** Images of one size in a pass. */
export interface Extent {
  readonly images: number
  readonly channels: number
  readonly side: number
  /** Bytes of one number: 4 in float32, 2 in bfloat16. */
  readonly element: number
}

/** A term of a node's sum. */
export interface Term {
  readonly x: Value
  /** Whether it passes a batch norm first. */
  readonly normed: boolean
}

/** What reads a state: a separable convolution, `before` being the extent of what it reads, or a pooling. */
export type Beginning =
  | { readonly before: Extent; readonly out: Extent; readonly kernel: number }
  | { readonly pool: 'max' | 'avg'; readonly out: Extent }

/** The operators of `src/torch/functional.ts` that a cell consists of; `out`: the extent of the result. */
export interface Operators {
  /** What each reader takes: x itself, or what it begins with. */
  fanOut(x: Value, readers: readonly (Beginning | undefined)[]): readonly Value[]
  /** ReLU and 1x1 convolutions; `inputs`: channels of all parts together; of stride 2: `factorizedReduce`. */
  pointwise(parts: readonly Value[], inputs: number, out: Extent, stride: number): Value
  /** `before`: extent of the input; `normed`: whether a batch norm comes first. */
  separable(x: Value, before: Extent, out: Extent, kernel: number, normed: boolean): Value
  maxPool(x: Value, out: Extent): Value
  avgPool(x: Value, out: Extent): Value
  /** `mixes`: whether the weights of the sum are those of the architecture. */
  mix(terms: readonly Term[], out: Extent, mixes: boolean): Value
}

const float = 4

const numbersOf = ({ images, channels, side }: Extent) => images * channels * side ** 2

/** Bytes of images. */
export function bytesOf(extent: Extent): number {
  return extent.element * numbersOf(extent)
}

type Kept = Pick<Step, 'kept' | 'weights' | 'scratch' | 'mixes' | 'leaves'> & Pick<Value, 'defers'>

/** Bytes of numbers for each channel, as norms keep them. */
const normsOf = ({ channels }: Extent) => 4 * float * channels

/** Records an operator with one result; besides what it names it keeps some numbers for each channel, as norms do. */
function apply(
  tape: Tape,
  inputs: readonly Value[],
  saved: readonly Value[],
  out: Extent,
  { kept = 0, defers = false, ...more }: Kept = {},
): Value {
  const y = { ...tape.value(bytesOf(out)), defers }
  tape.record({ inputs, outputs: [y], saved, ...more, kept: kept + normsOf(out) })
  return y
}

/** Bytes of the weights of a separable convolution without biases. */
const separableWeights = (channels: number, kernel: number) => float * channels * (kernel ** 2 + channels)

/** A handle for each reader, whose gradients are added in one pass. */
function handles(tape: Tape, x: Value, count: number, scratch: number): readonly Value[] {
  if (count < 2) return [x]
  const outputs = Array.from({ length: count }, () => handle(x))
  tape.record({ inputs: [x], outputs, saved: [], scratch })
  return outputs
}

/** The same tensor for one more reader. */
const handle = ({ block, tracked }: Value): Value => ({ block, tracked })

/** The same, whose gradient is left to the operator that handed it out. */
const left = (x: Value): Value => ({ ...handle(x), defers: true })

/** Same poolings are computed once: the first reader of one makes it, for all. */
function oncePerPool(
  readers: readonly (Beginning | undefined)[],
  make: (pool: 'max' | 'avg', out: Extent, count: number) => readonly Value[],
): (pool: 'max' | 'avg', out: Extent) => Value {
  const made = new Map<string, Value[]>()
  const same = (by: Beginning | undefined, pool: string, side: number) =>
    by !== undefined && 'pool' in by && by.pool === pool && by.out.side === side
  return (pool, out) => {
    const key = `${pool} ${out.side}`
    const handed = made.get(key) ?? [
      ...make(pool, out, readers.filter((by) => same(by, pool, out.side)).length),
    ]
    made.set(key, handed)
    const [next] = handed.splice(0, 1)
    return next
  }
}

/** Each reader by itself, of handles that `hand` makes. */
function oneByOne(
  x: Value,
  readers: readonly (Beginning | undefined)[],
  hand: (x: Value, count: number) => readonly Value[],
  { separable, maxPool, avgPool }: Pick<Operators, 'separable' | 'maxPool' | 'avgPool'>,
): readonly Value[] {
  const pools = readers.flatMap((by) =>
    by !== undefined && 'pool' in by ? [`${by.pool} ${by.out.side}`] : [],
  )
  const xs = hand(x, readers.length - pools.length + new Set(pools).size)[Symbol.iterator]()
  const next = () => xs.next().value ?? x
  const pooled = oncePerPool(readers, (pool, out, count) =>
    hand((pool === 'max' ? maxPool : avgPool)(next(), out), count),
  )
  return readers.map((by) => {
    if (by === undefined) return next()
    if ('pool' in by) return pooled(by.pool, by.out)
    return separable(next(), by.before, by.out, by.kernel, false)
  })
}

/** The kernels of `native/kernels/`: each keeps as little as it can. */
export function kernelOperators(tape: Tape): Operators {
  // of a weight's gradient there is a part for each image before they are added up, and a copy or two
  const gradient = (weights: number, images: number) => ({ weights, scratch: (images + 2) * weights })
  return {
    fanOut: (x, readers) => {
      const begins = readers.some((by) => by !== undefined)
      if (!begins && (readers.length < 2 || !x.tracked)) return readers.map(() => x)
      let [weights, images, kept] = [0, 0, 0]
      const pooled = oncePerPool(readers, (pool, out, count) => {
        const y = tape.value(bytesOf(out))
        // a byte for each pixel: which of the nine a maximum took
        kept += normsOf(out) + (pool === 'max' ? numbersOf(out) : 0)
        return Array.from({ length: count }, () => left(y))
      })
      const outputs = readers.map((by) => {
        if (by === undefined) return x.tracked ? left(x) : x
        if ('pool' in by) return pooled(by.pool, by.out)
        weights += separableWeights(by.out.channels, by.kernel)
        images = by.out.images
        kept += normsOf(by.out)
        return left(tape.value(bytesOf(by.out)))
      })
      tape.record({ inputs: [x], outputs, saved: [x], kept, ...gradient(weights, images) })
      return outputs
    },
    pointwise: (parts, inputs, out) => {
      const kept = gradient(float * inputs * out.channels, out.images)
      return apply(tape, parts, parts, out, { ...kept, defers: true })
    },
    separable: (x, _before, out, kernel) => {
      const weights = gradient(separableWeights(out.channels, kernel), out.images)
      return apply(tape, [x], [x], out, { ...weights, defers: true, leaves: 'own' })
    },
    // a byte for each pixel: which of the nine it took
    maxPool: (x, out) => apply(tape, [x], [], out, { kept: numbersOf(out) }),
    avgPool: (x, out) => apply(tape, [x], [], out),
    mix: (terms, out, mixes) => {
      const xs = terms.map(({ x }) => x)
      return apply(tape, xs, xs, out, { mixes, leaves: 'upstream' })
    },
  }
}

/** The kernels of `native/kernels/grid/`: on CUDA, and on the CPU in bfloat16; 1x1 convolutions are products of libtorch's. */
export function gridOperators(tape: Tape): Operators {
  const separable: Operators['separable'] = (x, _before, out, kernel) =>
    tape.scope(() => {
      // the depthwise result, there and once more on the way back, where its gradient is, too
      const spatial = bytesOf(out)
      tape.value(spatial)
      const weights = separableWeights(out.channels, kernel)
      // and the weights and their gradients in the type of the images
      const scratch = (x.tracked ? spatial : 2 * spatial) + weights
      return [apply(tape, [x], [x], out, { weights, scratch })]
    })[0]
  const kernels = kernelOperators(tape)
  // a gradient that is part of one for several nodes side by side is copied first
  const hand = (x: Value, count: number) => handles(tape, x, count, x.block.bytes)
  return {
    ...kernels,
    fanOut: (x, readers) => oneByOne(x, readers, hand, { ...kernels, separable }),
    pointwise: composedOperators(tape, true).pointwise,
    separable,
  }
}

/**
 * The compositions of ATen's operators that other devices take: each operator of them keeps its own. `products`: a 1x1
 * convolution is a product of matrices, which keeps a copy of the pixels that each of two weights reads at stride 2.
 */
export function composedOperators(tape: Tape, products = false): Operators {
  const relu = (x: Value, extent: Extent) => {
    const y = tape.value(bytesOf(extent))
    tape.record({ inputs: [x], outputs: [y], saved: [y] })
    return y
  }
  const convolve = (x: Value, out: Extent, weights: number, kept = 0) =>
    apply(tape, [x], [x], out, { weights, kept })
  const one = (body: () => Value) => tape.scope(() => [body()])[0]
  const separable: Operators['separable'] = (x, before, out, kernel, normed) =>
    one(() => {
      const rectified = one(() => relu(normed ? apply(tape, [x], [x], before) : x, before))
      const spatial = convolve(rectified, out, float * out.channels * kernel ** 2)
      return convolve(spatial, out, float * out.channels ** 2)
    })
  // positions as 64-bit integers
  const maxPool: Operators['maxPool'] = (x, out) => apply(tape, [x], [x], out, { kept: 8 * numbersOf(out) })
  const avgPool: Operators['avgPool'] = (x, out) => apply(tape, [x], [x], out)
  // one tensor for all readers: a gradient is added to those before as soon as it comes
  const hand = (x: Value, count: number) => Array<Value>(count).fill(x)
  return {
    fanOut: (x, readers) => oneByOne(x, readers, hand, { separable, maxPool, avgPool }),
    pointwise: (parts, inputs, out, stride) =>
      one(() => {
        const before = { ...out, channels: inputs, side: stride * out.side }
        const whole = parts.length === 1 ? parts[0] : one(() => apply(tape, parts, [], before))
        const rectified = relu(whole, before)
        const copies = products && stride > 1 ? 2 * bytesOf({ ...out, channels: inputs }) : 0
        return convolve(rectified, out, float * inputs * out.channels, copies)
      }),
    separable,
    maxPool,
    avgPool,
    mix: (terms, out, mixes) => composedMix(tape, terms, out, mixes),
  }
}

/**
 * Norm, product and sum, term by term. Going back, the gradient of the sum serves all terms and goes with the first of
 * them; where gradients of the weights of the sum are wanted, a product keeps its other factor.
 */
function composedMix(tape: Tape, terms: readonly Term[], out: Extent, mixes: boolean): Value {
  const sum = tape.value(bytesOf(out))
  for (const [index, { x, normed }] of terms.entries())
    tape.scope(() => {
      const factor = normed ? apply(tape, [x], [x], out) : x
      const outputs = index === 0 ? [sum] : []
      const saved = mixes && tape.wanted === 'architecture' ? [factor] : []
      tape.record({ inputs: [factor], outputs, saved, mixes })
      // the product, and the sum so far with it
      tape.value(bytesOf(out))
      tape.value(bytesOf(out))
      return []
    })
  return sum
}
