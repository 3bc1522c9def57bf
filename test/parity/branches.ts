/**
 * Records which way each kink of a search went, and makes another search go the same way: what each ReLU let through and
 * which pixel each maximum took. Between kinks a search is smooth, so that two of them differ by rounding alone.
 */
import assert from 'node:assert/strict'
import {
  avgPool2d,
  batchNorm,
  call,
  callMany,
  cat,
  conv2d,
  keep,
  mul,
  noGrad,
  reshape,
  slice,
  sum,
  Tensor,
  tidy,
  to,
} from '../../src/torch/index.ts'
import type { NativeValue } from '../../src/torch/native.ts'
import { type Arguments, given, type Handler, intercept } from './intercept.ts'

/** For a ReLU a mask for each part of its input, then for each maximum the pixel of each window. */
export interface Branch {
  readonly operator: string
  readonly taken: readonly Tensor[]
}

/** What decides the kinks of one operator: the input of each ReLU, then the images that each maximum is taken of. */
export interface Kinks {
  readonly read: readonly Tensor[]
  readonly maxima: readonly { readonly x: Tensor; readonly stride: number }[]
}

const watched = /^ddsas::(fan_out|separable|relu_pointwise|factorized_reduce)$/

const listed = (value: NativeValue): Tensor[] => (Array.isArray(value) ? value.map(given) : [given(value)])

/** Whether a kernel that normalises first was handed the moments by the kernel before. */
export const hasMoments = ([, , , , , moments]: Arguments): boolean =>
  moments !== null && given(moments).shape[0] > 0

/** What the kernel's ReLU reads, as it finds it: scale and shift in float32, then one product and sum rounded once. */
function normalisedByKernel([image, , , , , moments, , , , , , , eps]: Arguments): Tensor {
  const x = given(image)
  const [mean, variance] = given(moments).matrix()
  assert.equal(mean.length, x.shape[1], 'no kernel handed its moments on')
  const scale = variance.map((value) => 1 / Math.sqrt(value + Number(eps)))
  const perChannel = (values: readonly number[]) =>
    Tensor.from(Float64Array.from(values, Math.fround), [1, values.length, 1, 1])
  const shift = mean.map((value, c) => -value * scale[c])
  return call('aten::add.Tensor', mul(to(x, { dtype: 'float64' }), perChannel(scale)), perChannel(shift))
}

/** What a separable convolution's ReLU reads, by ATen. `moves`: whether the running statistics move. */
function normalised(args: Arguments, moves: boolean): Tensor {
  const [x, , , , , , runningMean, runningVar, , , training] = args
  if (runningMean === null) return given(x)
  const statistic = (value: NativeValue) => (moves ? given(value) : call('aten::clone', given(value)))
  const statistics = { runningMean: statistic(runningMean), runningVar: statistic(runningVar) }
  return batchNorm(given(x), { ...statistics, training: training === true })
}

const numbers = (values: NativeValue) => (Array.isArray(values) ? values.map(Number) : [])

/** Handing a tensor out has one where convolutions or maxima of it are computed. */
function hasKink(operator: string, [, , spatials, , , , maxima]: Arguments): boolean {
  return operator !== 'ddsas::fan_out' || listed(spatials).length > 0 || numbers(maxima).length > 0
}

/** What decides the kinks of a call. `byKernel`: the vector kernels compute it, and hand their moments on. */
function kinksOf(operator: string, args: Arguments, byKernel: boolean): Kinks {
  const ownNorm = byKernel && args[6] !== null
  const separable = () => (ownNorm ? normalisedByKernel(args) : normalised(args, false))
  const strides = operator === 'ddsas::fan_out' ? numbers(args[6]) : []
  return {
    read: operator === 'ddsas::separable' ? [separable()] : listed(args[0]),
    maxima: strides.map((stride) => ({ x: given(args[0]), stride })),
  }
}

function chosenPixels(x: Tensor, stride: number): Tensor {
  const pair = (n: number) => [n, n]
  const found = callMany('aten::max_pool2d_with_indices', x, pair(3), pair(stride), pair(1), pair(1), false)
  assert.ok(found[1])
  return found[1]
}

/** The way each of them goes by itself. */
export function decide({ read, maxima }: Kinks): Tensor[] {
  return [
    ...read.map((x) => call('aten::gt.Scalar', x, 0)),
    ...maxima.map(({ x, stride }) => chosenPixels(x, stride)),
  ]
}

/** The maxima of windows whose pixels are known. */
export function pick(x: Tensor, pixels: Tensor): Tensor {
  const flat = (y: Tensor) => reshape(y, [y.shape[0], y.shape[1], -1])
  return reshape(call('aten::gather', flat(x), 2, flat(pixels), false), pixels.shape)
}

/** Both convolutions of a separable one, of what a ReLU let through. */
function convolved(
  x: Tensor,
  [spatial, pointwise]: readonly Tensor[],
  stride: number,
  dilation: number,
): Tensor {
  const side = spatial.shape[2]
  const padding = ((side - 1) / 2) * dilation
  if (x.dtype !== 'float64')
    return conv2d(conv2d(x, spatial, { stride, dilation, padding, groups: spatial.shape[0] }), pointwise)
  // in float64 ATen would take one channel of one image after the other
  const pair = (n: number) => [n, n]
  const [n, channels, ...size] = x.shape
  const [rows, columns] = size.map((pixels) => Math.ceil(pixels / stride))
  const windows = call('aten::im2col', x, pair(side), pair(dilation), pair(padding), pair(stride))
  const products = mul(
    reshape(windows, [n, channels, side * side, rows * columns]),
    reshape(spatial, [channels, side * side, 1]),
  )
  return conv2d(reshape(sum(products, [2]), [n, channels, rows, columns]), pointwise)
}

/** `ddsas::fan_out` with its kinks taken as given: copies, results, moments that nobody found. */
function followFanOut(
  [x, copies, spatials, pointwises, strides, dilations, , averages]: Arguments,
  [mask, ...pixels]: readonly Tensor[],
): Tensor[] {
  const through = mul(given(x), mask)
  const across = listed(pointwises)
  const results = listed(spatials).map((spatial, k) =>
    convolved(through, [spatial, across[k]], numbers(strides)[k], numbers(dilations)[k]),
  )
  const pooled = [
    ...pixels.map((chosen) => pick(given(x), chosen)),
    ...numbers(averages).map((stride) => avgPool2d(given(x), 3, stride, 1)),
  ]
  const own = Array.from({ length: Number(copies) }, () => given(x))
  return [...own, ...results, ...pooled, ...[...results, ...pooled].map(unknown)]
}

const unknown = () => Tensor.from(new Float64Array(0), [0])

/** A watched operator with its kinks taken as given. */
function follow(operator: string, args: Arguments, taken: readonly Tensor[]): Tensor {
  const separable = operator === 'ddsas::separable'
  const read = separable ? [normalised(args, true)] : listed(args[0])
  const through = read.map((x, part) => mul(x, taken[part]))
  const weights = args.slice(1, 3)
  if (separable) {
    const [spatial, pointwise] = weights.map(given)
    return convolved(through[0], [spatial, pointwise], Number(args[3]), Number(args[4]))
  }
  const x = through.length === 1 ? through[0] : cat(through, 1)
  if (operator === 'ddsas::relu_pointwise') return conv2d(x, given(weights[0]))
  const every = (first: number) => slice(slice(x, 2, first, x.shape[2], 2), 3, first, x.shape[3], 2)
  return cat([conv2d(every(0), given(weights[0])), conv2d(every(1), given(weights[1]))], 1)
}

/** What a call returns that takes its kinks as given. */
export function answer(operator: string, args: Arguments, taken: readonly Tensor[]): NativeValue {
  if (operator === 'ddsas::fan_out') return followFanOut(args, taken).map((tensor) => keep(tensor).slot)
  return [keep(follow(operator, args, taken)).slot, keep(unknown()).slot]
}

/** Runs `body` with every call that has a kink given to a handler first. */
export function atKinks(by: Handler, body: () => void): void {
  intercept(watched, (operator, args) => (hasKink(operator, args) ? by(operator, args) : undefined), body)
}

/** Gives what decides a call's kinks to `use`, and frees it after; gradients do not pass. */
export function inspect<Found>(
  operator: string,
  args: Arguments,
  byKernel: boolean,
  use: (kinks: Kinks) => Found,
): Found {
  return noGrad(() => tidy(() => use(kinksOf(operator, args, byKernel))))
}

/** Runs `body` and says which way each kink went. `byKernel`: whether the vector kernels compute it, not ATen. */
export function recordBranches(byKernel: boolean, body: () => void): Branch[] {
  const branches: Branch[] = []
  atKinks((operator, args) => {
    branches.push({
      operator,
      taken: inspect(operator, args, byKernel, (kinks) => decide(kinks).map(keep)),
    })
    return undefined
  }, body)
  return branches
}

/** Runs `body`, which must call the same operators, along recorded branches. */
export function followBranches(branches: readonly Branch[], body: () => void): void {
  let next = 0
  atKinks((operator, args) => {
    const branch = branches[next++]
    assert.equal(branch?.operator, operator, 'the other search called other operators')
    return answer(operator, args, branch.taken)
  }, body)
  assert.equal(next, branches.length)
}

export function disposeBranches(branches: readonly Branch[]): void {
  for (const tensor of branches.flatMap(({ taken }) => taken)) tensor.dispose()
}
