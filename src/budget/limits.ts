/** Limits on what networks cost, and a space whose architectures keep to them: the best sum of scores among all that do. */
import { DdsasError } from '../errors.ts'
import { assembled, isAvailable, sumOf } from '../spaces/parts.ts'
import type { Alternative, Scores, SearchSpace } from '../spaces/space.ts'
import { chooseBest, type Option } from './choose.ts'
import { type CostTable, tableCost } from './cost-table.ts'
import { formatAmount } from './limits-amounts.ts'
import { alternativeCost, partsOfTables } from './table-parts.ts'

export interface Limit {
  readonly table: CostTable
  /** In the table's unit. */
  readonly most: number
}

/** A space whose `decode` keeps to limits. */
export interface LimitedSpace<Architecture = unknown> extends SearchSpace<Architecture> {
  /** What the architecture costs, limit by limit, that the scores of the last `decode` mean without limits; none before one. */
  wanted(): readonly number[] | undefined
  /** Runs `derive` with the `decode` of the space itself, which says what is wanted without the work of a choice within limits. */
  withoutLimits(derive: () => unknown): Promise<void>
}

/**
 * The space with another `decode`: where the architecture that scores mean is not within all limits, the one of the best sum of
 * scores that is, of what is available. Where nothing available is within them, the one that exceeds them least.
 * @throws {DdsasError} `input` for a space that does not say its parts.
 */
export function withLimits<Architecture>(
  space: SearchSpace<Architecture>,
  limits: readonly Limit[],
): LimitedSpace<Architecture> {
  const parts = limitedParts(space, limits)
  let wanted: readonly number[] | undefined
  let bound = true
  return {
    ...space,
    wanted: () => wanted,
    withoutLimits: async (derive) => {
      bound = false
      try {
        await derive()
      } finally {
        bound = true
      }
    },
    allows: (picks) => limits.every(({ table, most }) => tableCost(table, picks) <= most),
    decode: (scores, available) => {
      const plain = space.decode(scores, available)
      wanted = costsOf(space, limits, plain)
      if (!bound || limits.every(({ most }, q) => (wanted?.[q] ?? 0) <= most)) return plain
      const open = parts.map((alternatives) => alternatives.filter((one) => isAvailable(one, available)))
      const options = optionsOf(open, limits, scores)
      const chosen = chooseBest(options, roomOf(limits)) ?? nearest(options, limits)
      return assembled(
        space,
        open.map((alternatives, at) => alternatives[chosen[at]]),
        scores,
        available,
      )
    },
  }
}

function limitedParts(space: SearchSpace, limits: readonly Limit[]): readonly (readonly Alternative[])[] {
  const tables = limits.map(({ table }) => table)
  return partsOfTables(space, tables, `a limit of ${tables.map(({ quantity }) => quantity).join(' and ')}`)
}

/** What an architecture costs, limit by limit. */
export function costsOf<Architecture>(
  { encode }: Pick<SearchSpace<Architecture>, 'encode'>,
  limits: readonly Limit[],
  architecture: Architecture,
): number[] {
  const picks = encode(architecture)
  return limits.map(({ table }) => tableCost(table, picks))
}

/** What is left to the parts. */
function roomOf(limits: readonly Limit[]): number[] {
  return limits.map(({ table, most }) => most - table.base)
}

/** The alternatives with sums of scores and of costs. */
function optionsOf(
  parts: readonly (readonly Alternative[])[],
  limits: readonly Limit[],
  scores?: Scores,
): Option[][] {
  return parts.map((alternatives) =>
    alternatives.map((alternative) => ({
      score: sumOf(alternative, scores),
      costs: limits.map(({ table }) => alternativeCost(alternative, table)),
    })),
  )
}

/** For each part the option that takes least of the limits together. */
function nearest(parts: readonly (readonly Option[])[], limits: readonly Limit[]): number[] {
  const share = ({ costs }: Option) => limits.reduce((sum, { most }, q) => sum + costs[q] / most, 0)
  return parts.map((options) => {
    if (options.length === 0)
      throw new DdsasError(
        'input',
        'a part of the architecture has no available candidates: add some to the space',
      )
    return options.reduce((best, option, at) => (share(option) < share(options[best]) ? at : best), 0)
  })
}

export interface CostRange {
  readonly quantity: string
  readonly unit: string
  readonly least: number
  readonly most: number
}

/** What networks of a space cost at least and at most. */
export function costRange(space: SearchSpace, table: CostTable): CostRange {
  const { quantity, unit, base } = table
  const limit = { table, most: 0 }
  const parts = optionsOf(limitedParts(space, [limit]), [limit])
  const sum = (pick: (...values: readonly number[]) => number) =>
    parts.reduce((total, options) => total + pick(...options.map(({ costs }) => costs[0])), base)
  return { quantity, unit, least: sum(Math.min), most: sum(Math.max) }
}

/**
 * Throws DdsasError 'budget' where no architecture of the space is within all limits, naming the nearest that can be kept; `network`:
 * of what size, as people say.
 */
export function checkReachable(space: SearchSpace, limits: readonly Limit[], network: string): void {
  const parts = limitedParts(space, limits)
  const said = (table: CostTable, amount: number) => formatAmount(amount, table, 'up')
  for (const { table, most } of limits) {
    const { least } = costRange(space, table)
    if (least > most)
      throw new DdsasError(
        'budget',
        `no network of '${space.name}' has as little as ${formatAmount(most, table)}: the cheapest of ${network} has ` +
          `${said(table, least)}; allow that, or make the network smaller (limits.network)`,
      )
  }
  const plain = optionsOf(parts, limits)
  if (chooseBest(plain, roomOf(limits)) !== undefined) return
  const conflicts = limits.flatMap((limit, q) => {
    const others = limits.filter((_, other) => other !== q)
    const cheap = plain.map((options) =>
      options.map(({ costs }) => ({ score: -costs[q], costs: costs.filter((_, other) => other !== q) })),
    )
    const found = chooseBest(cheap, roomOf(others))
    if (found === undefined) return []
    const least = cheap.reduce((sum, options, at) => sum - options[found[at]].score, limit.table.base)
    const within = others.map(({ table, most }) => formatAmount(most, table)).join(' and ')
    return [`within ${within} the least is ${said(limit.table, least)}`]
  })
  const asked = limits.map(({ table, most }) => formatAmount(most, table)).join(' and ')
  throw new DdsasError(
    'budget',
    `no network of '${space.name}' is within ${asked} at once, for ${network}: ` +
      `${conflicts.join('; ') || 'not within any two of them'}; allow more of one`,
  )
}
