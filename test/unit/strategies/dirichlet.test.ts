/** Dirichlet samples, their pathwise gradient and the divergence, against formulas that know nothing of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  concentrationOf,
  dirichletSample,
  klToUniform,
  pathwiseSample,
} from '../../../src/strategies/drnas/dirichlet.ts'
import {
  call,
  Generator,
  grad,
  mul,
  setRequiresGrad,
  softmax,
  sum,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { checkGradients, randomTensor } from '../spaces/numerical.ts'

const row = (...values: readonly number[]) => Tensor.from(Float64Array.from(values), [1, values.length])

test('samples have the mean and the variance of the distribution, also where shapes are small', () => {
  const shapes = [0.05, 0.7, 1, 4]
  const total = 5.75
  const generator = new Generator(1, 'gamma')
  const draws = 20_000
  const sums = shapes.map(() => [0, 0])
  for (let draw = 0; draw < draws; draw++)
    for (const [k, x] of dirichletSample([shapes], generator)[0].entries()) {
      sums[k][0] += x
      sums[k][1] += x * x
    }
  for (const [k, shape] of shapes.entries()) {
    const [mean, square] = sums[k].map((of) => of / draws)
    const [wanted, spread] = [shape / total, (shape * (total - shape)) / (total * total * (total + 1))]
    // five standard deviations
    assert.ok(Math.abs(mean - wanted) < 5 * Math.sqrt(spread / draws), `mean ${k}: ${mean}, ${wanted}`)
    assert.ok(Math.abs(square - mean * mean - spread) < 0.08 * spread, `variance ${k}`)
  }
})

test('a sample is of numbers between 0 and 1, whatever the shapes', () => {
  const generator = new Generator(2)
  for (let draw = 0; draw < 500; draw++) {
    const [x] = dirichletSample([[1e-13, 1e-13, 1e-13, 50]], generator)
    assert.ok(x.every((value) => value > 0 && Math.fround(value) < 1))
    assert.ok(Math.abs(x.reduce((a, b) => a + b, 0) - 1) < 1e-6)
  }
})

test('the mean of pathwise gradients is the gradient of the mean', () => {
  const shapes = [0.6, 1.4, 3]
  const upstream = [1, -2, 0.5]
  const total = 5
  const generator = new Generator(3, 'paths')
  const draws = 2000
  tidy(() => {
    const all = (values: readonly number[]) =>
      Tensor.from(Float64Array.from(Array.from({ length: draws }, () => values).flat()), [
        draws,
        values.length,
      ])
    const [concentration, weights] = [all(shapes), all(upstream)]
    const sample = Tensor.from(Float64Array.from(dirichletSample(concentration.matrix(), generator).flat()), [
      draws,
      3,
    ])
    setRequiresGrad([concentration], true)
    const value = pathwiseSample(sample, concentration)
    assert.deepEqual(value.floats(), sample.floats(), 'the value is the sample')
    const gradients = grad(sum(mul(value, weights)), [concentration])[0]?.matrix() ?? []
    const expected = shapes.reduce((dot, shape, k) => dot + shape * upstream[k], 0) / total
    for (const [k, up] of upstream.entries()) {
      const slopes = gradients.map((of) => of[k])
      const mean = slopes.reduce((a, b) => a + b, 0) / draws
      const spread = Math.sqrt(slopes.reduce((all, x) => all + (x - mean) ** 2, 0) / draws / draws)
      const wanted = (up - expected) / total
      assert.ok(Math.abs(mean - wanted) < 5 * spread, `${k}: ${mean}, ${wanted} +- ${spread}`)
      assert.ok(spread < 0.2 * Math.abs(wanted), 'the bound says something')
    }
  })
})

test('the divergence of two shares is the integral of p ln p', () => {
  const [a, b] = [1.7, 2.6]
  const steps = 20_000
  const powers = Array.from({ length: steps }, (_, i) => {
    const x = (i + 0.5) / steps
    return x ** (a - 1) * (1 - x) ** (b - 1)
  })
  const area = powers.reduce((s, p) => s + p, 0) / steps
  const wanted = powers.reduce((s, p) => s + (p / area) * Math.log(p / area), 0) / steps
  tidy(() => {
    assert.ok(Math.abs(klToUniform(row(a, b)).item() - wanted) < 1e-6)
    assert.ok(Math.abs(klToUniform(row(1, 1, 1, 1)).item()) < 1e-12, 'none from itself')
  })
})

test('divergence and concentration have the gradients of finite differences, on both sides of 0', () => {
  tidy(() => {
    const generator = new Generator(4)
    const alpha = randomTensor([3, 5], generator)
    checkGradients(
      () => sum(mul(klToUniform(concentrationOf(alpha)), Tensor.from(Float64Array.of(1, -2, 0.5), [3]))),
      new Map([['alpha', alpha]]),
      generator,
    )
  })
})

test('the concentration is elu + 1, and what it and the divergence are stay numbers where that is exactly 0', () => {
  tidy(() => {
    const alpha = Tensor.from(Float32Array.of(-200, -20, -1, 0, 2), [1, 5])
    const [lowest, low, ...others] = concentrationOf(alpha).floats()
    assert.ok(lowest > 0 && Math.abs(low / Math.exp(-20) - 1) < 1e-5)
    const elu = call('aten::add.Scalar', call('aten::elu', alpha), 1).floats()
    assert.equal(elu[1], 0, 'as it is written in the paper it is nothing')
    for (const [k, value] of others.entries()) assert.ok(Math.abs(value - elu[k + 2]) < 1e-6)
    setRequiresGrad([alpha], true)
    const divergence = klToUniform(concentrationOf(alpha))
    const [gradient] = grad(sum(divergence), [alpha])
    setRequiresGrad([alpha], false)
    assert.ok([...divergence.floats(), ...(gradient?.floats() ?? [])].every(Number.isFinite))
    assert.ok(softmax(alpha, 1).floats().every(Number.isFinite))
  })
})
