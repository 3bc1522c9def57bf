/** Shapes, layouts and the comparison with ATen's operators in float64 that the tests of our kernels share. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  call,
  channelsLast,
  dtypes,
  fanOut,
  Generator,
  grad,
  type Images,
  instructionSets,
  type NormStatistics,
  setRequiresGrad,
  slice,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertNear, randomTensor, weighed } from '../spaces/numerical.ts'
import { assertRan } from './runs.ts'

export type Operator = (...inputs: Tensor[]) => Tensor

/** Batch, channels, height, width: channels that fit vector registers of any width and that do not. */
const shapes = [
  [2, 16, 8, 8],
  [3, 32, 4, 6],
  [1, 64, 5, 5],
  [2, 21, 7, 3],
  [3, 8, 1, 6],
  [4, 3, 2, 1],
  [5, 1, 3, 3],
]

/** The ways in which a tensor can lie in memory. */
const layouts: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  NCHW: (x) => x,
  'channels last': channelsLast,
  'part of a larger one': (x) => slice(call('aten::cat', [x, x], 1), 1, 0, x.shape[1]),
}

/** Multiples of a quarter in float32: products are exact, and equal values and zeros are common. */
export function coarse(shape: readonly number[], generator: Generator): Tensor {
  const count = shape.reduce((product, length) => product * length, 1)
  return Tensor.from(
    Float32Array.from({ length: count }, () => (generator.below(9) - 4) / 4),
    shape,
  )
}

/** Compares value and gradients of `own` in float32, computed by these kernels, with those of `oracle` in float64. */
export function compare(
  own: Operator,
  oracle: Operator,
  inputs: Tensor[],
  tolerance: number,
  what: string,
  kernels: readonly string[],
): void {
  const all = () => {
    const twins = inputs.map((x) => to(x, { dtype: 'float64' }))
    setRequiresGrad([...inputs, ...twins], true)
    const [y, wanted] = [own(...inputs), oracle(...twins)]
    const close = (actual: Tensor | null, expected: Tensor | null, part: string, share: number) => {
      assert.ok(expected)
      assertNear(actual && to(actual, { dtype: 'float64' }), expected, share, `${part} of ${what}`)
    }
    close(y, wanted, 'value', tolerance)
    const upstream = coarse(y.shape, new Generator(1))
    const gradients = grad(weighed(y, upstream), inputs)
    const expected = grad(weighed(wanted, to(upstream, { dtype: 'float64' })), twins)
    for (const [i, gradient] of gradients.entries())
      close(gradient, expected[i], `gradient of input ${i}`, 4 * tolerance)
  }
  assertRan(kernels, what, () => tidy(all))
}

export function forEachCase(
  body: (shape: number[], arrange: (x: Tensor) => Tensor, generator: Generator) => void,
): void {
  for (const shape of shapes)
    for (const arrange of Object.values(layouts))
      tidy(() => body(shape, arrange, new Generator(2, `${shape}`)))
}

/** The same tensor for that many readers. */
export const copies = (x: Tensor, count: number): Tensor[] =>
  fanOut(x, Array(count).fill(undefined)).map((reader) => reader.x)

/** The same images with moments, as a kernel that found them would hand them on, or without. */
export const imagesOf = (x: Tensor, moments?: Tensor): Images => (moments ? { x, moments } : { x })

/** Mean and variance of each channel [2, c]. */
export function momentsOf(x: Tensor): Tensor {
  const [mean, variance] = [call('aten::mean.dim', x, [0, 2, 3]), call('aten::var.dim', x, [0, 2, 3], false)]
  return call('aten::to.dtype', call('aten::stack', [mean, variance]), dtypes.float32)
}

export function checkMoments(images: Images, what: string): void {
  assert.ok(images.moments, `no moments of ${what}`)
  assertNear(images.moments, momentsOf(to(images.x, { dtype: 'float64' })), 1e-5, `moments of ${what}`, 1)
}

export interface Norm extends NormStatistics {
  readonly exact: NormStatistics
}

export function statistics(channels: number, generator: Generator): Norm {
  const running_mean = randomTensor([channels], generator, 'float32')
  const running_var = call('aten::exp', randomTensor([channels], generator, 'float32'))
  const precise = (x: Tensor) => to(x, { dtype: 'float64' })
  return {
    running_mean,
    running_var,
    exact: { running_mean: precise(running_mean), running_var: precise(running_var) },
  }
}

/** Runs a test file once more in a process of its own for each instruction set other than the one in use, and for GPUs' code. */
export function testOtherInstructions(url: string, others = ['portable', 'avx2', 'avx512', 'grid']): void {
  const { available, used } = instructionSets()
  const wanted = process.env.DDSAS_SIMD
  if (wanted !== undefined) {
    test(`float32 is computed by ${wanted}`, () => assert.equal(used, wanted))
    return
  }
  for (const instructions of others.filter((name) => name !== used)) {
    const here = instructions === 'grid' || available.includes(instructions)
    const skip = here ? false : `no ${instructions} on this machine, or in this build`
    test(`the same with the kernels for ${instructions}`, { skip }, () => {
      const env: NodeJS.ProcessEnv = { ...process.env, DDSAS_SIMD: instructions }
      // or the runner inside would report to the one around
      delete env.NODE_TEST_CONTEXT
      const args = [fileURLToPath(url)]
      const { status, stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
      assert.equal(status, 0, stdout)
      assert.match(stdout, /^# pass [1-9]/m)
    })
  }
}
