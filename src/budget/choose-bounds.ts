/** What a choice within limits can reach at most, by Lagrange multipliers: each cost has a price, and every part takes what pays best. */
import type { Option } from './choose.ts'

export interface Bounds {
  /** For each option of each part its score, less the price of what it costs. */
  readonly worth: readonly (readonly number[])[]
  /** The most that all parts from each on can still bring, the price of the whole limits included. */
  readonly mostAfter: readonly number[]
  /** What some choice within the limits reaches, less a margin for rounding: what can bring less than that is not the best. */
  readonly atLeast: number
}

type Parts = readonly (readonly Option[])[]

interface Taken {
  /** Of all parts. */
  readonly score: number
  readonly costs: readonly number[]
}

/** Bounds at prices that are close to the best; any prices give bounds that hold. `slack`: the limits less the least cost of all. */
export function boundsOf(parts: Parts, limits: readonly number[], slack: readonly number[]): Bounds {
  const scores = parts.flatMap((options) => options.map(({ score }) => Math.abs(score)))
  const scale = Math.max(...scores, Number.MIN_VALUE) * parts.length
  let found = Number.NEGATIVE_INFINITY
  const prices = bestPrices(slack, scale, (tried) => {
    const taken = take(parts, tried, limits)
    if (taken.costs.every((cost, q) => cost <= limits[q])) found = Math.max(found, taken.score)
    return taken.costs.map((cost, q) => cost <= limits[q])
  })
  const worth = parts.map((options) => options.map((option) => worthOf(option, prices)))
  const mostAfter = [limits.reduce((sum, limit, q) => sum + limit * prices[q], 0)]
  for (const values of worth.toReversed()) mostAfter.unshift(mostAfter[0] + Math.max(...values))
  // sums of prices and costs are rounded: a margin of many times that
  const size = scale + limits.reduce((sum, limit, q) => sum + Math.abs(limit) * prices[q], 0)
  return { worth, mostAfter, atLeast: found - 1e-9 * size }
}

function worthOf({ score, costs }: Option, prices: readonly number[]): number {
  return costs.reduce((sum, cost, q) => sum - cost * prices[q], score)
}

function take(parts: Parts, prices: readonly number[], limits: readonly number[]): Taken {
  let score = 0
  const costs = limits.map(() => 0)
  for (const options of parts) {
    let best = options[0]
    let most = worthOf(best, prices)
    for (const option of options.slice(1)) {
      const worth = worthOf(option, prices)
      if (worth > most) [best, most] = [option, worth]
    }
    score += best.score
    for (const [q, cost] of best.costs.entries()) costs[q] += cost
  }
  return { score, costs }
}

/** Prices at which what is taken just keeps to the limits, one after the other and over again; `keeps`: to which it does. */
function bestPrices(
  slack: readonly number[],
  scale: number,
  keeps: (prices: readonly number[]) => readonly boolean[],
): number[] {
  const prices = slack.map(() => 0)
  for (let turn = 0; turn < (slack.length > 1 ? 4 : 1); turn++)
    for (const [q, room] of slack.entries()) {
      const keepsAt = (price: number) => {
        prices[q] = price
        return keeps(prices)[q]
      }
      if (room <= 0 || keepsAt(0)) {
        prices[q] = 0
        continue
      }
      let [low, high] = [0, scale / room / 1024]
      for (let doubling = 0; doubling < 60 && !keepsAt(high); doubling++) [low, high] = [high, 2 * high]
      for (let halving = 0; halving < 40; halving++) {
        const middle = (low + high) / 2
        if (keepsAt(middle)) high = middle
        else low = middle
      }
      keepsAt(high)
    }
  return prices
}
