/** What a choice within limits can reach at most, by Lagrange multipliers: each cost has a price, and every part takes what pays best. */

/** A way to decide a part. */
export interface Option {
  readonly score: number
  /** One for each limit. */
  readonly costs: readonly number[]
}

export interface Bounds {
  /** For each option of each part its score, less the price of what it costs. */
  readonly worth: readonly (readonly number[])[]
  /** The most that all parts from each on can still bring, the price of the whole limits included. */
  readonly mostAfter: readonly number[]
  /** What some choice within the limits reaches, less a margin for rounding: what can bring less than that is not the best. */
  readonly atLeast: number
}

type Parts = readonly (readonly Option[])[]

/**
 * Bounds at prices that are close to the best; any prices give bounds that hold. `slack`: the limits less the least cost of all;
 * `known`: what some choice within the limits reaches.
 */
export function boundsOf(
  parts: Parts,
  limits: readonly number[],
  slack: readonly number[],
  known = Number.NEGATIVE_INFINITY,
): Bounds {
  const scores = parts.flatMap((options) => options.map(({ score }) => Math.abs(score)))
  const scale = Math.max(...scores, Number.MIN_VALUE) * parts.length
  const { prices, reached } = new Prices(parts, limits, slack, scale, known)
  const worth = parts.map((options) => options.map((option) => worthOf(option, prices)))
  const mostAfter = [limits.reduce((sum, limit, q) => sum + limit * prices[q], 0)]
  for (const values of worth.toReversed()) mostAfter.unshift(mostAfter[0] + Math.max(...values))
  // sums of prices and costs are rounded: a margin of many times that
  const size = scale + limits.reduce((sum, limit, q) => sum + Math.abs(limit) * prices[q], 0)
  return { worth, mostAfter, atLeast: reached - 1e-9 * size }
}

function worthOf({ score, costs }: Option, prices: readonly number[]): number {
  return costs.reduce((sum, cost, q) => sum - cost * prices[q], score)
}

interface Taken extends Option {
  /** What all parts bring at most at these prices. */
  readonly most: number
}

/** Prices at which the bound is low, and the best choice within the limits that was met on the way. */
class Prices {
  prices: number[]
  reached: number
  readonly #parts: Parts
  readonly #limits: readonly number[]
  #most = Number.POSITIVE_INFINITY

  constructor(
    parts: Parts,
    limits: readonly number[],
    slack: readonly number[],
    scale: number,
    known: number,
  ) {
    this.#parts = parts
    this.#limits = limits
    this.prices = slack.map(() => 0)
    this.reached = known
    this.#oneByOne(slack, scale)
    if (slack.length > 1) this.#together(slack)
  }

  /** What every part takes at some prices: what is worth most. */
  #take(prices: readonly number[]): Taken {
    let score = 0
    let most = this.#limits.reduce((sum, limit, q) => sum + limit * prices[q], 0)
    const costs = this.#limits.map(() => 0)
    for (const options of this.#parts) {
      let best = options[0]
      let worth = worthOf(best, prices)
      for (const option of options) {
        const other = worthOf(option, prices)
        if (other > worth) [best, worth] = [option, other]
      }
      score += best.score
      most += worth
      for (const [q, cost] of best.costs.entries()) costs[q] += cost
    }
    if (costs.every((cost, q) => cost <= this.#limits[q])) this.reached = Math.max(this.reached, score)
    if (most < this.#most) {
      this.#most = most
      this.prices = [...prices]
    }
    return { score, costs, most }
  }

  /** Each price in turn so that what is taken just keeps to its limit: with one limit these are the best prices. */
  #oneByOne(slack: readonly number[], scale: number): void {
    const prices = slack.map(() => 0)
    for (const [q, room] of slack.entries()) {
      const keepsAt = (price: number) => {
        prices[q] = price
        return this.#take(prices).costs[q] <= this.#limits[q]
      }
      if (keepsAt(0) || room <= 0) {
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
  }

  /** Steps against what is taken beyond the limits, each in units of its slack, by Polyak's rule. */
  #together(slack: readonly number[]): void {
    const units = slack.map((room) => (room > 0 ? room : 1))
    let prices = this.prices
    for (let step = 0; step < 150; step++) {
      const { costs, most } = this.#take(prices)
      const over = costs.map((cost, q) => (slack[q] > 0 ? (cost - this.#limits[q]) / units[q] : 0))
      const squares = over.reduce((sum, value) => sum + value * value, 0)
      const aim = Number.isFinite(this.reached) ? this.reached : 0.95 * this.#most
      if (squares === 0) break
      const length = (0.7 * Math.max(0, most - aim)) / squares
      prices = prices.map((price, q) => Math.max(0, price + (length * over[q]) / units[q]))
    }
  }
}
