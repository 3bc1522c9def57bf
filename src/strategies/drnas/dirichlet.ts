/** Dirichlet distributions of the rows of a matrix: samples from a seeded generator, their pathwise gradient, and KL divergence. */
import { add, call, detach, type Generator, mul, relu, type Tensor, tidy } from '../../torch/index.ts'
import type { Matrix } from '../shared/matrix.ts'

/** No alpha tells a concentration from nothing below this: digamma and its slope stay numbers of float32. */
const lowestAlpha = -30

/**
 * elu(alpha) + 1, written as e^min(alpha, 0) + max(alpha, 0): the sum of elu and 1 is exactly 0 in float32 from alpha = -17 on, and
 * the divergence then no number.
 */
export function concentrationOf(alpha: Tensor): Tensor {
  return add(call('aten::exp', call('aten::clamp', alpha, lowestAlpha, 0)), relu(alpha))
}

/** ln of a number with a gamma distribution of this shape (Marsaglia and Tsang; below 1 by the shape that is one larger). */
function logGamma(shape: number, generator: Generator): number {
  if (shape < 1) return logGamma(shape + 1, generator) + Math.log(1 - generator.uniform()) / shape
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = generator.normal()
    const v = (1 + c * x) ** 3
    const u = 1 - generator.uniform()
    if (v > 0 && Math.log(u) < 0.5 * x * x + d * (1 - v + Math.log(v))) return Math.log(d * v)
  }
}

/** The smallest normal float32, and the largest below 1: where the gradient of a sample is still a number. */
const [least, most] = [2 ** -126, 1 - 2 ** -24]

/** A sample of each row: shares that add up to 1. */
export function dirichletSample(concentration: Matrix, generator: Generator): number[][] {
  return concentration.map((row) => {
    const logs = row.map((shape) => logGamma(shape, generator))
    const largest = Math.max(...logs)
    const parts = logs.map((log) => Math.exp(log - largest))
    const total = parts.reduce((sum, part) => sum + part, 0)
    return parts.map((part) => Math.min(Math.max(part / total, least), most))
  })
}

/**
 * A sample [rows, candidates] as a function of the concentration: d x_i / d c_j = g_j ((i = j) - x_i), with g the derivative of the
 * implicit function theorem, which libtorch has. A linear function with the value and the gradient is as good.
 */
export function pathwiseSample(sample: Tensor, concentration: Tensor): Tensor {
  return tidy(() => {
    const fixed = detach(concentration)
    const total = call('aten::expand_as', call('aten::sum.dim_IntList', fixed, [1], true), fixed)
    const slopes = call('aten::_dirichlet_grad', sample, fixed, total)
    const moved = mul(slopes, call('aten::sub.Tensor', concentration, fixed))
    const away = mul(sample, call('aten::sum.dim_IntList', moved, [1], true))
    return call('aten::sub.Tensor', add(sample, moved), away)
  })
}

/** KL(Dirichlet(c) || Dirichlet(1)) of each row, [rows]. */
export function klToUniform(concentration: Tensor): Tensor {
  return tidy(() => {
    const rows = (x: Tensor) => call('aten::sum.dim_IntList', x, [1], false)
    const total = rows(concentration)
    const count = concentration.shape[1]
    // lgamma(1) = 0
    const logUniform = Array.from({ length: count - 1 }, (_, k) => Math.log(k + 1)).reduce((a, b) => a + b, 0)
    const excess = call('aten::sub.Scalar', concentration, 1)
    const digammas = call(
      'aten::sub.Tensor',
      call('aten::digamma', concentration),
      call('aten::unsqueeze', call('aten::digamma', total), 1),
    )
    const normaliser = call(
      'aten::sub.Tensor',
      call('aten::lgamma', total),
      rows(call('aten::lgamma', concentration)),
    )
    return call('aten::sub.Scalar', add(normaliser, rows(mul(excess, digammas))), logUniform)
  })
}
