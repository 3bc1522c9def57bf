/**
 * Kinks that rounding can decide. Golden values were computed in float32, and so is what is held to them: where an
 * activation lies within rounding of a ReLU's kink, or two within rounding of each other under a maximum, either may
 * have taken either branch, and gradients then differ by more than rounding, with them all later steps. Which kinks those are
 * depends on the golden values and on the order of rounding, so on the libtorch.
 *
 * So the branches that the golden values were computed along are found first: those of float64, but for such kinks as have
 * to be flipped for all golden values to be met. Whatever else is held to the golden values goes along them: where it would
 * decide a kink otherwise, which must then lie within rounding, it is made to decide as they did.
 */
import assert from 'node:assert/strict'
import { keep, Tensor } from '../../src/torch/index.ts'
import {
  answer,
  atKinks,
  type Branch,
  decide,
  disposeBranches,
  hasMoments,
  inspect,
  type Kinks,
  pick,
} from './branches.ts'
import type { Course } from './trajectory.ts'

/** What rounding explains, as a part of the largest activation. */
export const rounding = 1e-5

/** One that lies within rounding. */
export interface Kink {
  /** The how manyth pass through the supernet, and call with kinks in all of them, and which of its ReLUs and maxima. */
  readonly pass: number
  readonly call: number
  readonly part: number
  /** Place of the activation, or of the maximum. */
  readonly element: number
  /** The maximum's other pixel. */
  readonly pixel?: number
  /** Distance from the kink, as a part of the largest activation. */
  readonly distance: number
}

type Floats = Float32Array | Float64Array

function largestOf(values: Floats): number {
  let largest = 0
  for (const value of values) largest = Math.max(largest, Math.abs(value))
  return largest
}

/** Where in a tensor. */
type Place = Omit<Kink, 'pass' | 'call' | 'part'>

/** Activations within rounding of zero. */
function nearZero(x: Tensor): Place[] {
  const values = x.floats()
  const largest = largestOf(values)
  const found: Place[] = []
  values.forEach((value, element) => {
    const distance = Math.abs(value) / largest
    if (distance <= rounding) found.push({ element, distance })
  })
  return found
}

/** The pixels of a 3x3 window with padding 1, of an image of h by w. */
function windowAt(y: number, x: number, h: number, w: number): number[] {
  const near = (at: number, size: number) => [at - 1, at, at + 1].filter((i) => i >= 0 && i < size)
  return near(y, h).flatMap((row) => near(x, w).map((column) => row * w + column))
}

/** Maxima whose second is within rounding of the first. */
function nearlyEqual(x: Tensor, stride: number): Place[] {
  const values = x.floats()
  const largest = largestOf(values)
  const [n, c, h, w] = x.shape
  const [rows, columns] = [h, w].map((size) => Math.floor((size - 1) / stride) + 1)
  const found: Place[] = []
  for (let plane = 0; plane < n * c; plane += 1) {
    const image = values.subarray(plane * h * w, (plane + 1) * h * w)
    for (let at = 0; at < rows * columns; at += 1) {
      const pixels = windowAt(Math.floor(at / columns) * stride, (at % columns) * stride, h, w)
      const [first, second] = pixels.sort((a, b) => image[b] - image[a])
      const distance = (image[first] - image[second]) / largest
      if (distance <= rounding) found.push({ element: plane * rows * columns + at, pixel: second, distance })
    }
  }
  return found
}

function undecided({ read, maxima }: Kinks): Omit<Kink, 'pass' | 'call'>[] {
  const parts = [...read.map(nearZero), ...maxima.map(({ x, stride }) => nearlyEqual(x, stride))]
  return parts.flatMap((kinks, part) => kinks.map((kink) => ({ ...kink, part })))
}

/** Branches of a part with some of its kinks flipped. */
function flipped(taken: Tensor, kinks: readonly Kink[]): Tensor {
  if (kinks.length === 0) return taken
  const bytes = taken.bytes()
  const pixels = taken.dtype === 'int64' ? new BigInt64Array(bytes.buffer) : undefined
  for (const { element, pixel } of kinks)
    if (pixels === undefined) bytes[element] = 1 - bytes[element]
    else pixels[element] = BigInt(pixel ?? 0)
  return Tensor.from(pixels ?? bytes, taken.shape, taken.dtype)
}

/** Goes its own way but for some kinks, remembers which way it went, and which kinks rounding could have decided otherwise. */
export class Explorer implements Course {
  readonly #flips: readonly Kink[]
  readonly #looks: boolean
  #next = 0
  /** How many passes through the supernet were begun since it was rewound. */
  passes = 0
  readonly branches: Branch[] = []
  /** Empty unless it looks for them. */
  readonly undecided: Kink[] = []

  constructor(flips: readonly Kink[] = [], looks = false) {
    this.#flips = flips
    this.#looks = looks
  }

  run(body: () => void): void {
    const pass = this.passes++
    atKinks((operator, args) => {
      const call = this.#next++
      const flips = this.#flips.filter((kink) => kink.call === call)
      if (call === this.branches.length) {
        const taken = inspect(operator, args, false, (kinks) => {
          if (this.#looks) this.undecided.push(...undecided(kinks).map((kink) => ({ ...kink, pass, call })))
          return decide(kinks).map((own, part) =>
            keep(
              flipped(
                own,
                flips.filter((kink) => kink.part === part),
              ),
            ),
          )
        })
        this.branches.push({ operator, taken })
      }
      return flips.length === 0 ? undefined : answer(operator, args, this.branches[call].taken)
    }, body)
  }

  rewind(): void {
    this.#next = 0
    this.passes = 0
  }

  dispose(): void {
    disposeBranches(this.branches)
  }
}

/** How many kinks a call would decide otherwise than given, and how far at most their activations are from them. */
function apart(
  { read, maxima }: Kinks,
  own: readonly Tensor[],
  wanted: readonly Tensor[],
): { count: number; distance: number } {
  const found = { count: 0, distance: 0 }
  for (const [part, x] of [...read, ...maxima.map((one) => one.x)].entries()) {
    const [mine, other] = [own[part], wanted[part]].map((taken) => taken.bytes())
    if (Buffer.compare(mine, other) === 0) continue
    // a ReLU's kink is at zero, a maximum's where two pixels are equal
    const distances =
      part < read.length
        ? x.floats()
        : difference(pick(x, own[part]).floats(), pick(x, wanted[part]).floats())
    const width = mine.length / distances.length
    const largest = largestOf(x.floats())
    distances.forEach((distance, element) => {
      const [here, there] = [mine, other].map((bytes) =>
        bytes.subarray(element * width, (element + 1) * width),
      )
      if (Buffer.compare(here, there) === 0) return
      found.count += 1
      found.distance = Math.max(found.distance, Math.abs(distance) / largest)
    })
  }
  return found
}

const difference = (one: Floats, other: Floats) => Float64Array.from(one, (value, i) => value - other[i])

/** Computes as ever, but at kinks that it would decide otherwise than the branches given: those must be within rounding. */
export class Steered implements Course {
  readonly #branches: readonly Branch[]
  readonly #byKernel: boolean
  #next = 0
  /** Calls with kinks, those of them answered along the branches given, and kinks that they would have decided otherwise. */
  calls = 0
  answered = 0
  kinks = 0
  /** Calls that normalise first, and those of them that a kernel handed moments. */
  normalising = 0
  handed = 0
  /** The largest distance of those from their kink, as a part of the largest activation. */
  furthest = 0

  constructor(branches: readonly Branch[], byKernel: boolean) {
    this.#branches = branches
    this.#byKernel = byKernel
  }

  run(body: () => void): void {
    atKinks((operator, args) => {
      const branch = this.#branches[this.#next++]
      assert.equal(branch?.operator, operator, 'the other search called other operators')
      // after a call that was answered, nobody knows by which moments the kernel would normalise
      const normalises = operator === 'ddsas::separable' && args[6] !== null
      const handed = normalises && hasMoments(args)
      const known = !this.#byKernel || !normalises || handed
      this.normalising += Number(normalises)
      this.handed += Number(handed)
      const { count, distance } = inspect(operator, args, this.#byKernel && known, (kinks) =>
        apart(kinks, decide(kinks), branch.taken),
      )
      assert.ok(
        distance <= rounding,
        `call ${this.#next} of ${operator}: ${count} kinks, off by up to ${distance}`,
      )
      this.calls += 1
      if (known && count === 0) return undefined
      this.answered += 1
      this.kinks += count
      this.furthest = Math.max(this.furthest, distance)
      return answer(operator, args, branch.taken)
    }, body)
  }

  rewind(): void {
    this.#next = 0
  }
}
