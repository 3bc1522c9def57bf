/** What is checked on a GPU, here with the same kernels on the CPU: it passes, it covers them all, and it can fail. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkedCases } from '../../../bench/gpu/cases.ts'
import { checkOperators } from '../../../bench/gpu/check.ts'
import { checkUpdates } from '../../../bench/gpu/check-updates.ts'
import { mul, setThreads } from '../../../src/torch/index.ts'

// read when the engine is loaded
process.env.DDSAS_SIMD = 'grid'
process.env.GOMP_SPINCOUNT ??= '0'
setThreads(1)

const cases = checkedCases(2, 4)

test('the cases cover every kernel, and what only searches and trainings call', () => {
  const named = new Set(cases.map(({ operator, variant }) => `${operator} ${variant}`))
  for (const one of [
    'fan_out stride 1',
    'fan_out stride 2',
    'mix 7 terms',
    'mix affine',
    'mix affine, drop-path',
  ])
    assert.ok(named.has(one), one)
  for (const operator of [
    'separable 3x3',
    'norm, separable 5x5',
    'relu_pointwise',
    'factorized_reduce',
    'max_pool3',
  ])
    assert.ok(
      [...named].some((name) => name.startsWith(operator)),
      operator,
    )
})

test('operators agree with float64 in both precisions, and how well is kept', (t) => {
  t.mock.method(console, 'log', () => {})
  const found = {}
  const [line] = checkOperators('cpu', found, cases)
  assert.match(line, new RegExp(`^operators: ${cases.length} cases agree with float64, worst `))
  const { float32, bfloat16 } = found as { float32?: number; bfloat16?: number }
  assert.ok(float32 !== undefined && float32 > 0 && float32 < 2e-5, `${float32}`)
  assert.ok(bfloat16 !== undefined && bfloat16 > 1e-4 && bfloat16 < 3e-2, `${bfloat16}`)
})

test('an operator that is wrong by a thousandth is named', (t) => {
  t.mock.method(console, 'log', () => {})
  const [fine] = cases.filter(({ operator }) => operator === 'fan_out')
  const wrong = {
    ...fine,
    apply: (inputs: Parameters<typeof fine.apply>[0]) =>
      inputs.images[0].dtype === 'float64' ? fine.apply(inputs) : mul(fine.apply(inputs), 1.001),
  }
  assert.throws(() => checkOperators('cpu', {}, [wrong]), /1 operators are wrong: float32 +fan_out, stride 1/)
})

test('optimizers agree with float64', (t) => {
  t.mock.method(console, 'log', () => {})
  assert.match(checkUpdates('cpu')[0], /^optimizers: 5 steps agree with float64, worst \d\.\de-[678]$/)
})
