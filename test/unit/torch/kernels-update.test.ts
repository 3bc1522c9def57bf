/** One step of SGD and of Adam over all tensors at once against the same by ATen's operators in float64. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { call, channelsLast, Generator, run, slice, Tensor, tidy, to } from '../../../src/torch/index.ts'
import { assertNear, randomTensor } from '../spaces/numerical.ts'
import { assertRan } from './runs.ts'

// more tensors than one launch takes; some lie as images do, some are of one number, some of many
const count = 70
const shapes = Array.from({ length: count }, (_, k) =>
  k % 3 === 0 ? [4 + (k % 5), 3, 2, 2] : k % 3 === 1 ? [1] : [37 * k],
)

const random = (generator: Generator) =>
  shapes.map((shape) => {
    const x = randomTensor(shape, generator, 'float32')
    return shape.length === 4 ? channelsLast(x) : x
  })
const zeros = (like: readonly Tensor[]) => like.map((x) => call('aten::zeros_like', x))
const precise = (xs: readonly Tensor[]) => xs.map((x) => to(x, { dtype: 'float64' }))

/** Gradients of which every fifth is missing, and some lie otherwise than their weights. */
function gradientsFor(step: number): (Tensor | null)[] {
  const generator = new Generator(4, `${step}`)
  return shapes.map((shape, k) => {
    const gradient = randomTensor(shape, generator, 'float32')
    return (k + step) % 5 === 0 ? null : k % 2 === 0 && shape.length === 4 ? channelsLast(gradient) : gradient
  })
}

const exact = (gradients: readonly (Tensor | null)[]) =>
  gradients.map((gradient) => gradient && to(gradient, { dtype: 'float64' }))

function assertAllNear(actual: readonly Tensor[], wanted: readonly Tensor[], what: string): void {
  for (const [k, tensor] of actual.entries())
    assertNear(to(tensor, { dtype: 'float64' }), wanted[k], 2e-6, `${what} ${k}`, 1)
}

for (const [clip, nesterov] of [
  [5, false],
  [1e9, false],
  [5, true],
] as const)
  test(`SGD with momentum${nesterov ? ' after Nesterov' : ''} and L2, gradients ${clip === 5 ? 'clipped' : 'as they are'}: three steps`, () => {
    tidy(() => {
      const weights = random(new Generator(3))
      const velocities = zeros(weights)
      const [twins, exactVelocities] = [precise(weights), precise(velocities)]
      const rest = [0.1, 0.9, 0.01, clip, nesterov] as const
      for (const step of [0, 1, 2]) {
        const gradients = gradientsFor(step)
        const norm = assertRan(['sgd_/grid'], 'SGD', () =>
          call('ddsas::sgd_', weights, gradients, velocities, ...rest),
        )
        const wanted = assertRan(['sgd_/aten'], 'SGD in float64', () =>
          call('ddsas::sgd_', twins, exact(gradients), exactVelocities, ...rest),
        )
        assertNear(to(norm, { dtype: 'float64' }), wanted, 1e-6, 'norm')
        assert.ok(clip > 5 || norm.item() > clip)
      }
      assertAllNear(weights, twins, 'weight')
      assertAllNear(velocities, exactVelocities, 'velocity')
    })
  })

test('Adam with L2: three steps', () => {
  tidy(() => {
    const weights = random(new Generator(3))
    const [means, squares] = [zeros(weights), zeros(weights)]
    const twins = [weights, means, squares].map(precise)
    const steps = () => Tensor.from(Float64Array.of(0), [1])
    const [own, other] = [steps(), steps()]
    const rest = [0.02, 0.5, 0.999, 1e-8, 0.001] as const
    for (const step of [0, 1, 2]) {
      const gradients = gradientsFor(step)
      assertRan(['adam_/grid'], 'Adam', () =>
        run('ddsas::adam_', weights, gradients, means, squares, own, ...rest),
      )
      assertRan(['adam_/aten'], 'Adam in float64', () =>
        run('ddsas::adam_', twins[0], exact(gradients), twins[1], twins[2], other, ...rest),
      )
    }
    assert.deepEqual([own.item(), other.item()], [3, 3])
    for (const [i, all] of [weights, means, squares].entries()) assertAllNear(all, twins[i], `${i}, tensor`)
  })
})

test('a weight that does not lie densely is moved by ATen, and is right', () => {
  tidy(() => {
    const whole = randomTensor([8, 3], new Generator(6), 'float32')
    const part = slice(whole, 1, 0, 2)
    const gradient = randomTensor([8, 2], new Generator(7), 'float32')
    const velocity = call('aten::zeros_like', part)
    const wanted = call(
      'aten::sub.Tensor',
      to(part, { dtype: 'float64' }),
      to(gradient, { dtype: 'float64' }),
      0.5,
    )
    assertRan(['sgd_/aten'], 'a part', () =>
      call('ddsas::sgd_', [part], [gradient], [velocity], 0.5, 0, 0, 1e9),
    )
    assertNear(to(part, { dtype: 'float64' }), wanted, 1e-6, 'weight')
  })
})
