/** The random generator: saved states, distributions against their moments, streams that do not repeat one another. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Generator } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'

const draw = (count: number, next: () => number) => Array.from({ length: count }, next)
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const moment = (values: readonly number[], power: number) => mean(values.map((value) => value ** power))

/** Asserts that a mean of `count` draws lies within five standard errors of what it should be. */
function expectNear(actual: number, wanted: number, deviation: number, count: number, what: string): void {
  const allowed = (5 * deviation) / Math.sqrt(count)
  assert.ok(Math.abs(actual - wanted) < allowed, `${what}: ${actual}, expected ${wanted} ± ${allowed}`)
}

/** Some of every kind of draw. */
function mixed(generator: Generator): number[] {
  return draw(40, () => generator.uniform()).concat(
    draw(20, () => generator.normal()),
    draw(20, () => generator.below(1000)),
    generator.permutation(20),
  )
}

test('a loaded state continues the stream, through JSON and in another generator', () => {
  fc.assert(
    fc.property(fc.integer(), fc.string(), fc.nat(50), (seed, stream, skipped) => {
      const generator = new Generator(seed, stream)
      draw(skipped, () => generator.normal())
      const saved: number[] = JSON.parse(JSON.stringify(generator.state()))
      const wanted = mixed(generator)
      const other = new Generator(seed + 1)
      other.load(saved)
      assert.deepEqual(mixed(other), wanted)
      generator.load(saved)
      assert.deepEqual(mixed(generator), wanted)
    }),
    { numRuns: 30 },
  )
})

test('a saved state does not move with the generator', () => {
  const generator = new Generator(3)
  const saved = generator.state()
  const copy = [...saved]
  mixed(generator)
  assert.deepEqual(saved, copy)
})

test('the same seed and stream give the same numbers; another seed or stream gives others', () => {
  const first = mixed(new Generator(1, 'weights'))
  assert.deepEqual(mixed(new Generator(1, 'weights')), first)
  const others = [new Generator(2, 'weights'), new Generator(1, 'data'), new Generator(1), new Generator(-1)]
  const uniforms = [first, ...others.map(mixed)].map((values) => values.slice(0, 40))
  assert.equal(new Set(uniforms.flat()).size, 5 * 40, 'no number of one stream occurs in another')
})

test('uniform: mean 1/2, variance 1/12, in [0, 1), neighbours uncorrelated', () => {
  const count = 40_000
  const generator = new Generator(11, 'uniform')
  const values = draw(count, () => generator.uniform())
  assert.ok(values.every((value) => value >= 0 && value < 1))
  expectNear(mean(values), 1 / 2, Math.sqrt(1 / 12), count, 'mean')
  const centred = values.map((value) => value - 1 / 2)
  expectNear(moment(centred, 2), 1 / 12, Math.sqrt(1 / 180), count, 'variance')
  expectNear(mean(centred.slice(1).map((value, i) => value * centred[i])), 0, 1 / 12, count, 'correlation')
})

test('normal: moments 0, 1, 0, 3, tails, neighbours uncorrelated', () => {
  const count = 40_000
  const generator = new Generator(12, 'normal')
  const values = draw(count, () => generator.normal())
  expectNear(mean(values), 0, 1, count, 'mean')
  expectNear(moment(values, 2), 1, Math.sqrt(2), count, 'variance')
  expectNear(moment(values, 3), 0, Math.sqrt(15), count, 'third moment')
  expectNear(moment(values, 4), 3, Math.sqrt(96), count, 'fourth moment')
  const beyond = values.filter((value) => Math.abs(value) > 1.959964).length / count
  expectNear(beyond, 0.05, Math.sqrt(0.05 * 0.95), count, 'share beyond 1.96')
  expectNear(mean(values.slice(1).map((value, i) => value * values[i])), 0, 1, count, 'correlation')
})

test('below: all values in range and equally often, also where the bound divides no power of two', () => {
  const generator = new Generator(13)
  for (const bound of [1, 2, 3, 7, 40]) {
    const count = 500 * bound
    const seen = new Map<number, number>()
    for (const value of draw(count, () => generator.below(bound))) seen.set(value, (seen.get(value) ?? 0) + 1)
    assert.deepEqual(
      [...seen.keys()].sort((a, b) => a - b),
      draw(bound, () => 0).map((_, index) => index),
    )
    const share = 1 / bound
    for (const [value, times] of seen)
      expectNear(
        times / count,
        share,
        Math.sqrt(share * (1 - share)) + 1e-12,
        count,
        `${value} below ${bound}`,
      )
  }
})

test('below is unbiased for a bound just over half of 32 bits', () => {
  const generator = new Generator(14)
  const count = 4000
  // a remainder of 32 random bits would give the lower half of this range twice as often
  const bound = 3 * 2 ** 30
  const low = draw(count, () => generator.below(bound)).filter((value) => value < 2 ** 30).length
  expectNear(low / count, 1 / 3, Math.sqrt(2 / 9), count, 'share of the lowest third')
})

test('permutation: holds each number once', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(200), (seed, count) => {
      const order = new Generator(seed).permutation(count)
      assert.deepEqual(
        [...order].sort((a, b) => a - b),
        Array.from({ length: count }, (_, index) => index),
      )
    }),
  )
})

test('permutation: each order of three is equally likely', () => {
  const generator = new Generator(15)
  const count = 6000
  const seen = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const order = generator.permutation(3).join()
    seen.set(order, (seen.get(order) ?? 0) + 1)
  }
  assert.equal(seen.size, 6)
  for (const [order, times] of seen) expectNear(times / count, 1 / 6, Math.sqrt(5 / 36), count, order)
})

test('a state of another form is refused', () => {
  assertRefuses(() => new Generator(0).load([1, 2]), 'checkpoint', /state/)
})

test('no number is below a bound of zero', () => {
  assertRefuses(() => new Generator(0).below(0), 'input', /bound/)
})
