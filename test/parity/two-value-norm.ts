/**
 * The one place where a golden network magnifies rounding: the last batch norm of its auxiliary head, which normalises
 * two values a channel, z + d and z - d, to ±d / sqrt(d² + eps).
 *
 * Where |d| is near sqrt(eps) that moves by 1 / sqrt(eps) = 316 times what d does, and its gradient as much. Elsewhere
 * it is ±1 whatever d is. So the float32 in which the golden values were computed shows in the two dozen channels with
 * |d| < 0.01 alone, where d can be read from the golden gradient of the classifier that follows. A pass that is given
 * the golden d there agrees with the golden gradients as closely as if the norm were not there.
 */
import assert from 'node:assert/strict'
import { add, call, keep, Tensor, tidy, to } from '../../src/torch/index.ts'
import { tensorOf } from './fixtures.ts'
import { given, intercept } from './intercept.ts'

const eps = 1e-5
/** Below this a channel magnifies rounding. */
const near = 0.01
const channels = 768

/** Half the distance of the two golden values of each channel before the norm. `weight`: of the auxiliary loss. */
export function goldenDistances(golden: ReadonlyMap<string, Tensor>, weight: number): Float64Array {
  const labels = new BigInt64Array(tensorOf(golden, 'y').bytes().buffer)
  const upstream = tensorOf(golden, 'logits_aux')
    .matrix()
    .map((row, image) => slopes(row, Number(labels[image])).map((slope) => (weight * slope) / labels.length))
  const gradient = tensorOf(golden, 'grad/auxiliary_head.classifier.weight').matrix()
  const [[a, b], [, c]] = upstream.map((p) => upstream.map((q) => dot(p, q)))
  return Float64Array.from({ length: channels }, (_, channel) => {
    // gradient = first * activation of image 0 + second * that of image 1: two unknowns, one equation for each class
    const column = gradient.map((row) => row[channel])
    const [r, s] = upstream.map((p) => dot(p, column))
    const [first, second] = [c * r - b * s, a * s - b * r].map((part) => part / (a * c - b * b))
    // scale 1, shift 0, ReLU: one of the two is zero
    const normalised = first - second
    return (normalised * Math.sqrt(eps)) / Math.sqrt(Math.max(1e-12, 1 - normalised ** 2))
  })
}

/** Gradient of one image's cross entropy for its logits. */
function slopes(logits: readonly number[], label: number): number[] {
  const exponentials = logits.map(Math.exp)
  const total = exponentials.reduce((sum, value) => sum + value, 0)
  return exponentials.map((value, index) => value / total - (index === label ? 1 : 0))
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0)
}

/**
 * Runs `body` with the distances of those channels moved to the golden ones.
 * @returns how many channels were moved, and how far at most
 */
export function withGoldenDistances(
  wanted: Float64Array,
  body: () => void,
): { moved: number; furthest: number } {
  let [moved, furthest] = [0, 0]
  const shifts = (x: Tensor) => {
    const values = to(x, { dtype: 'float64' }).floats()
    return Float64Array.from(wanted, (distance, channel) => {
      const own = (values[channel] - values[channels + channel]) / 2
      if (Math.abs(own) >= near) return 0
      moved += 1
      furthest = Math.max(furthest, Math.abs(distance - own))
      return distance - own
    })
  }
  intercept(
    /^aten::batch_norm$/,
    (operator, args) => {
      if (given(args[0]).shape[1] !== channels) return undefined
      const shifted = tidy(() => {
        const x = given(args[0])
        assert.deepEqual(x.shape, [2, channels, 1, 1])
        const shift = shifts(x)
        const both = Float64Array.of(...shift, ...shift.map((value) => -value))
        return add(x, to(Tensor.from(both, x.shape), { dtype: x.dtype }))
      })
      return keep(call(operator, shifted, ...args.slice(1))).slot
    },
    body,
  )
  assert.ok(moved > 0, 'no norm of two values was met')
  return { moved, furthest }
}
