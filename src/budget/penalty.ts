/**
 * What the architecture that a search is about to pick is expected to cost, as a function that gradients follow: candidates weigh by
 * Eq. (7), parts are chosen softly; and the penalty by which limits steer a search, lambda (cost / limit - 1) for each.
 */
import type { ArchWeightsOf } from '../nn/index.ts'
import type { ChoiceGroup, SearchSpace } from '../spaces/space.ts'
import {
  add,
  call,
  cat,
  copy,
  div,
  indexSelect,
  keep,
  mul,
  noGrad,
  reshape,
  slice,
  sum,
  Tensor,
  tidy,
  to,
} from '../torch/index.ts'
import type { Limit } from './limits.ts'
import { alternativeCost, partsOfTables } from './table-parts.ts'

/** How lambda follows what the architecture picked now costs. */
export interface AscentSettings {
  /** How much lambda grows in an update for each limit's worth of excess. */
  readonly rate: number
}

/** A device and a type of numbers: that of the weights. */
interface Where {
  readonly device: string
  readonly dtype: 'float32' | 'float64'
}

/** Rows of a group that no alternative stands in have none. */
interface GroupMask {
  readonly name: string
  /** [rows, candidates]: 1 where some alternative has the candidate. */
  readonly mask: Tensor
}

/**
 * The share of a limit that is expected to be used, for each limit. An alternative of a part is chosen with a probability that is
 * proportional to the product over its candidates of: the strongest of the candidate's row, times the candidate's weight among
 * those of the row (Eq. 7). So each row of a space of one candidate a row counts 1 and each node of a cell has two edges; an edge
 * is the likelier the stronger its best operation, which is what `decode` goes by.
 */
export class ExpectedCost {
  readonly #groups: readonly GroupMask[]
  /** int64, one for each place of an alternative: which candidate stands there. */
  readonly #places: readonly Tensor[]
  /** [parts, alternatives]: 1 where the alternative belongs to the part. */
  readonly #parts: Tensor
  /** [limits, alternatives] and [limits]: shares of the limits. */
  readonly #costs: Tensor
  readonly #base: Tensor

  constructor(space: SearchSpace, limits: readonly Limit[], where: Where) {
    const tables = limits.map(({ table }) => table)
    const parts = partsOfTables(space, tables, 'a limit of a search')
    const alternatives = parts.flat()
    const starts = startsOf(space.choices)
    const after = space.choices.reduce((count, { rows, candidates }) => count + rows * candidates.length, 0)
    const made = (values: readonly number[], shape: readonly number[]) => numbers(values, shape, where)
    this.#groups = space.choices.map(({ name, rows, candidates }) => {
      const mask = Array.from({ length: rows * candidates.length }, () => 0)
      for (const { group, row, column } of alternatives.flat())
        if (group === name) mask[row * candidates.length + column] = 1
      return { name, mask: made(mask, [rows, candidates.length]) }
    })
    const most = Math.max(...alternatives.map(({ length }) => length))
    this.#places = Array.from({ length: most }, (_, at) =>
      positions(
        alternatives.map((alternative) => {
          const choice = alternative.at(at)
          return choice
            ? (starts.get(choice.group) ?? 0) + columnsOf(space, choice.group) * choice.row + choice.column
            : after
        }),
        where.device,
      ),
    )
    this.#parts = made(
      parts.flatMap((_, part) => parts.flatMap((own, other) => own.map(() => (part === other ? 1 : 0)))),
      [parts.length, alternatives.length],
    )
    this.#costs = made(
      limits.flatMap(({ table, most: limit }) =>
        alternatives.map((alternative) => alternativeCost(alternative, table) / limit),
      ),
      [limits.length, alternatives.length],
    )
    this.#base = made(
      limits.map(({ table, most: limit }) => table.base / limit),
      [limits.length],
    )
  }

  /** [limits]. Candidates that do not run have strengths of 0. */
  shares(archWeights: ArchWeightsOf): Tensor {
    return tidy(() => {
      const strengths = this.#groups.map(({ name, mask }) => {
        const { weights, strengths: own } = archWeights(name)
        return reshape(chances(mul(own?.() ?? weights, mask)), [-1])
      })
      const [one] = strengths
      // the last is where an alternative with fewer candidates than others has none
      const all = cat([...strengths, call('aten::ones_like', slice(one, 0, 0, 1))], 0)
      const chosen = this.#places
        .map((places) => indexSelect(all, 0, places))
        .reduce((product, chance) => mul(product, chance))
      const totals = nonzero(call('aten::mv', this.#parts, chosen))
      const used = call('aten::mm', mul(this.#costs, chosen), call('aten::t', this.#parts))
      return add(sum(div(used, totals), [1]), this.#base)
    })
  }

  dispose(): void {
    for (const { mask } of this.#groups) mask.dispose()
    for (const tensor of [...this.#places, this.#parts, this.#costs, this.#base]) tensor.dispose()
  }
}

/** Of strengths [rows, candidates] the strongest of a row times each candidate's weight in it; rows without any have none. */
function chances(strengths: Tensor): Tensor {
  const strongest = call('aten::amax', strengths, [1], true)
  return div(mul(strengths, strongest), nonzero(sum(strengths, [1], true)))
}

/** A sum to divide by: where nothing runs, 0 / 0 is to be 0; beside any weight the number is nothing. */
function nonzero(total: Tensor): Tensor {
  return call('aten::add.Scalar', total, 1e-30)
}

function columnsOf({ choices }: SearchSpace, name: string): number {
  return choices.find((group) => group.name === name)?.candidates.length ?? 0
}

/** Where the candidates of each group begin among those of all. */
function startsOf(choices: readonly ChoiceGroup[]): Map<string, number> {
  let next = 0
  return new Map(
    choices.map(({ name, rows, candidates }) => {
      const start = next
      next += rows * candidates.length
      return [name, start]
    }),
  )
}

function numbers(values: readonly number[], shape: readonly number[], { device, dtype }: Where): Tensor {
  return tidy(() => keep(to(Tensor.from(Float64Array.from(values), shape), { device, dtype })))
}

function positions(values: readonly number[], device: string): Tensor {
  return tidy(() => keep(to(Tensor.from(BigInt64Array.from(values, BigInt), [values.length]), { device })))
}

/** The penalty, with its lambdas: a tensor that a recorded step reads anew each time. */
export class LimitPenalty {
  readonly #expected: ExpectedCost
  readonly #limits: readonly Limit[]
  readonly #lambda: Tensor
  readonly #rate: number
  readonly #where: Where
  #lambdas: readonly number[]
  #used = false

  constructor(space: SearchSpace, limits: readonly Limit[], device: string, { rate }: AscentSettings) {
    this.#where = { device, dtype: 'float32' }
    this.#expected = new ExpectedCost(space, limits, this.#where)
    this.#limits = limits
    this.#rate = rate
    this.#lambdas = limits.map(() => 0)
    this.#lambda = numbers(this.#lambdas, [limits.length], this.#where)
  }

  /** The sum over all limits of lambda (cost / limit - 1), a scalar: for the loss of an architecture step. */
  readonly of = (archWeights: ArchWeightsOf): Tensor => {
    this.#used = true
    return tidy(() => sum(mul(call('aten::sub.Scalar', this.#expected.shares(archWeights), 1), this.#lambda)))
  }

  /** Whether a strategy ever asked for it: else nothing is steered. */
  get used(): boolean {
    return this.#used
  }

  /** Limit by limit. */
  get lambdas(): readonly number[] {
    return this.#lambdas
  }

  /** Dual ascent on what the architecture costs that the search would pick without limits. */
  follow(costs: readonly number[]): void {
    this.load(
      this.#lambdas.map((lambda, q) =>
        Math.max(0, lambda + this.#rate * (costs[q] / this.#limits[q].most - 1)),
      ),
    )
  }

  load(lambdas: readonly number[]): void {
    this.#lambdas = lambdas
    noGrad(() => tidy(() => copy(this.#lambda, Tensor.from(Float32Array.from(lambdas), [lambdas.length]))))
  }

  dispose(): void {
    this.#expected.dispose()
    this.#lambda.dispose()
  }
}
