/** Random tensors, and gradients checked by central differences: the oracle that knows nothing of autograd. */
import assert from 'node:assert/strict'
import {
  add,
  copy,
  type Dtype,
  detach,
  type Generator,
  grad,
  mul,
  noGrad,
  setRequiresGrad,
  sum,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'

/** Standard normal elements. */
export function randomTensor(
  shape: readonly number[],
  generator: Generator,
  dtype: Dtype = 'float64',
): Tensor {
  const count = shape.reduce((product, length) => product * length, 1)
  const values = Float64Array.from({ length: count }, () => generator.normal())
  return tidy(() => to(Tensor.from(values, shape), { dtype }))
}

/** A scalar that depends on every element of x differently: its sum weighted by `upstream`, of the same shape. */
export function weighed(x: Tensor, upstream: Tensor): Tensor {
  return tidy(() => sum(mul(x, upstream)))
}

/** Value of `body` with `x` moved by `distance` along `direction`. */
function displaced(body: () => Tensor, x: Tensor, direction: Tensor, distance: number): number {
  return noGrad(() =>
    tidy(() => {
      const home = add(x, mul(x, 0))
      copy(x, add(home, mul(direction, distance)))
      const value = body().item()
      copy(x, home)
      return value
    }),
  )
}

export interface CheckOptions {
  readonly tolerance?: number
  readonly mayVanish?: (name: string) => boolean
}

/**
 * Compares the gradient of the scalar `body()` for each of the float64 leaves with central differences along a random
 * direction. The difference may be `tolerance` of the gradient's norm; a gradient of zero passes only where `mayVanish`.
 */
export function checkGradients(
  body: () => Tensor,
  leaves: ReadonlyMap<string, Tensor>,
  generator: Generator,
  { tolerance = 1e-6, mayVanish = () => false }: CheckOptions = {},
): void {
  const tensors = [...leaves.values()]
  tidy(() => {
    setRequiresGrad(tensors, true)
    const gradients = grad(body(), tensors)
    setRequiresGrad(tensors, false)
    for (const [index, [name, x]] of [...leaves].entries()) {
      const gradient = gradients[index]
      assert.ok(gradient, `no gradient for ${name}`)
      assert.deepEqual(gradient.shape, x.shape)
      checkDirection(body, name, x, gradient, generator, tolerance, mayVanish(name))
    }
  })
}

function checkDirection(
  body: () => Tensor,
  name: string,
  x: Tensor,
  gradient: Tensor,
  generator: Generator,
  tolerance: number,
  mayVanish: boolean,
): void {
  const direction = randomTensor(x.shape, generator)
  const step = 1e-6
  const forward = displaced(body, x, direction, step)
  const numeric = (forward - displaced(body, x, direction, -step)) / (2 * step)
  const analytic = weighed(detach(gradient), direction).item()
  const norm = norm2(gradient.floats())
  assert.ok(mayVanish || norm > 1e-8, `the gradient for ${name} vanishes`)
  // the differences themselves are exact to about 1e-16 of the value over the step
  const allowed = tolerance * norm + 1e-8 * Math.max(1, Math.abs(forward))
  assert.ok(Math.abs(numeric - analytic) <= allowed, `${name}: gradient ${analytic}, differences ${numeric}`)
}

/** Asserts that tensors agree to `tolerance` of the largest element, or of `floor` where all are smaller. */
export function assertNear(
  actual: Tensor | null | undefined,
  wanted: Tensor,
  tolerance: number,
  what: string,
  floor = 1e-6,
): void {
  assert.ok(actual, `${what} is missing`)
  assert.deepEqual(actual.shape, wanted.shape, `shape of ${what}`)
  const [got, expected] = [actual.floats(), wanted.floats()]
  let scale = floor
  for (const value of expected) scale = Math.max(scale, Math.abs(value))
  // in a loop without calls, as networks have millions of elements; NaN is not at most anything
  let i = 0
  while (i < got.length && Math.abs(got[i] - expected[i]) <= tolerance * scale) i++
  if (i < got.length) assert.fail(`${what}[${i}]: ${got[i]}, expected ${expected[i]}, of at most ${scale}`)
}

/** The 2-norm of any number of elements: Math.hypot takes only so many arguments. */
function norm2(values: Float32Array | Float64Array): number {
  let squares = 0
  for (const value of values) squares += value * value
  return Math.sqrt(squares)
}

/** Asserts that the 2-norm of the difference is at most `tolerance` of the norm, or of `floor`: a few elements may be off. */
export function assertNearInNorm(
  actual: Tensor | null | undefined,
  wanted: Tensor,
  tolerance: number,
  what: string,
  floor = 0,
) {
  assert.ok(actual, `${what} is missing`)
  const expected = wanted.floats()
  const error = norm2(Float64Array.from(actual.floats(), (value, i) => value - expected[i]))
  const norm = Math.max(floor, norm2(expected))
  assert.ok(error <= tolerance * norm, `${what}: off by ${error} where the norm is ${norm}`)
}
