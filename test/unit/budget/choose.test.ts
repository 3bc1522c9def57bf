/** The best choice within limits against all choices, one by one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseBest, type Option } from '../../../src/budget/choose.ts'
import { Generator } from '../../../src/torch/random.ts'

type Parts = readonly (readonly Option[])[]

interface Sum {
  readonly score: number
  readonly costs: readonly number[]
}

function sumOf(parts: Parts, places: readonly number[], limits: readonly number[]): Sum {
  return places.reduce<Sum>(
    ({ score, costs }, place, part) => {
      const option = parts[part][place]
      return { score: score + option.score, costs: costs.map((cost, q) => cost + option.costs[q]) }
    },
    { score: 0, costs: limits.map(() => 0) },
  )
}

/** The best score of all choices within the limits, and the least first cost among those that have it. */
function enumerated(parts: Parts, limits: readonly number[]): Sum | undefined {
  const all = parts.reduce<number[][]>(
    (choices, options) => choices.flatMap((choice) => options.map((_, place) => [...choice, place])),
    [[]],
  )
  let best: Sum | undefined
  for (const choice of all) {
    const sum = sumOf(parts, choice, limits)
    if (!sum.costs.every((cost, q) => cost <= limits[q])) continue
    if (
      best === undefined ||
      sum.score > best.score ||
      (sum.score === best.score && sum.costs[0] < best.costs[0])
    )
      best = sum
  }
  return best
}

/** Whole numbers make many ties; fractions none. Both sum without rounding. */
const cases = fc.integer({ min: 1, max: 3 }).chain((quantities) => {
  const fraction = fc.integer({ min: 0, max: 2 ** 20 }).map((value) => value / 2 ** 10)
  const small = fc.integer({ min: 0, max: 3 })
  const value = fc.boolean().chain((ties) => fc.constant<fc.Arbitrary<number>>(ties ? small : fraction))
  return fc.tuple(value, value).chain(([score, cost]) => {
    const option = fc.record({
      score,
      costs: fc.array(cost, { minLength: quantities, maxLength: quantities }),
    })
    const parts = fc.array(fc.array(option, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 })
    const tightness = fc.array(fc.integer({ min: 0, max: 16 }), {
      minLength: quantities,
      maxLength: quantities,
    })
    return fc.tuple(parts, tightness)
  })
})

/** Limits between the least and the most that choices cost. */
function limitsBetween(parts: Parts, tightness: readonly number[]): number[] {
  return tightness.map((sixteenths, q) => {
    const sum = (pick: (...values: readonly number[]) => number) =>
      parts.reduce((total, options) => total + pick(...options.map(({ costs }) => costs[q])), 0)
    return sum(Math.min) + ((sum(Math.max) - sum(Math.min)) * sixteenths) / 16
  })
}

test('as good as the best of all choices, of one to three limits, and undefined where there is none', () => {
  let refused = 0
  fc.assert(
    fc.property(cases, ([parts, tightness]) => {
      const limits = limitsBetween(parts, tightness)
      const wanted = enumerated(parts, limits)
      const places = chooseBest(parts, limits)
      if (wanted === undefined) refused += 1
      const found = places && sumOf(parts, places, limits)
      assert.equal(found?.score, wanted?.score)
      assert.ok(found === undefined || found.costs.every((cost, q) => cost <= limits[q]))
      // of equal scores the cheapest
      assert.equal(found?.costs[0], wanted?.costs[0])
    }),
    { numRuns: 1500, seed: 1 },
  )
  assert.ok(refused > 20, `${refused}`)
})

test('the same each time, and where the last limit is out of reach by little there is none', () => {
  const options = Array.from({ length: 4 }, () => ({ score: 1, costs: [1, 1] }))
  const parts = [options, options, options]
  assert.deepEqual(chooseBest(parts, [3, 3]), [0, 0, 0])
  assert.equal(chooseBest(parts, [3, 2.999]), undefined)
  assert.equal(chooseBest([options, []], [3, 3]), undefined)
  assert.deepEqual(chooseBest([], [0]), [])
})

/** A cell space's size: for each node all pairs of edges and of seven operations. */
function cellLike(generator: Generator, quantities: number, score: () => number): Parts {
  return [2, 3, 4, 5, 2, 3, 4, 5].map((edges) => {
    const scores = Array.from({ length: edges }, () => Array.from({ length: 7 }, score))
    const costs = Array.from({ length: edges }, () =>
      Array.from({ length: 7 }, () => Array.from({ length: quantities }, () => 1e4 * generator.uniform())),
    )
    const options: Option[] = []
    for (let b = 0; b < edges; b++)
      for (let a = 0; a < b; a++)
        for (let j = 0; j < 7; j++)
          for (let k = 0; k < 7; k++)
            options.push({
              score: scores[a][j] + scores[b][k],
              costs: costs[a][j].map((cost, q) => cost + costs[b][k][q]),
            })
    return options
  })
}

test('a whole space of cells within one to three limits takes little time, with scores of any kind', () => {
  const generator = new Generator(3, 'cells')
  const kinds = [
    () => generator.uniform(),
    // most were never sampled
    () => (generator.uniform() < 0.7 ? 0 : generator.uniform()),
    () => 0.5 + 1e-3 * generator.normal(),
    () => generator.below(3),
  ]
  for (const quantities of [1, 2, 3])
    for (const score of kinds) {
      const parts = cellLike(generator, quantities, score)
      for (const sixteenths of [1, 4, 8]) {
        const limits = limitsBetween(
          parts,
          Array.from({ length: quantities }, () => sixteenths),
        )
        const began = process.cpuUsage()
        const places = chooseBest(parts, limits)
        const { user, system } = process.cpuUsage(began)
        const seconds = (user + system) / 1e6
        assert.ok(seconds < 20, `${seconds} s`)
        assert.ok(places === undefined || sumOf(parts, places, limits).costs.every((c, q) => c <= limits[q]))
      }
    }
})
