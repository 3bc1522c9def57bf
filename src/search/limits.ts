/** Limits on the networks that a search is for: which networks, from settings; what they cost; and how the search follows them. */
import { z } from 'zod'
import type { CostTable } from '../budget/cost-table.ts'
import { latencyCosts, readLatencyTable } from '../budget/latency-table.ts'
import {
  type CostRange,
  checkReachable,
  costRange,
  costsOf,
  type Limit,
  type LimitedSpace,
  withLimits,
} from '../budget/limits.ts'
import { parseCount, parseTime } from '../budget/limits-amounts.ts'
import { networkCosts, type TargetNetwork } from '../budget/network-costs.ts'
import { LimitPenalty } from '../budget/penalty.ts'
import { cifarLayouts } from '../data/cifar-layout.ts'
import { DdsasError } from '../errors.ts'
import { usualImageSides, usualNetwork } from '../spaces/network-shape.ts'
import type { NetworkOptions, SearchSpace } from '../spaces/space.ts'
import type { ArchScores, Evaluate, Strategy } from '../strategies/strategy.ts'
import { counted } from '../words.ts'

/** An amount, or text with a unit. */
function amount(parse: (text: string) => number | undefined, example: string) {
  const error = `write it as a number, or with a unit, such as "${example}"`
  return z
    .union(
      [
        z.number({ error }).nonnegative({ error }).max(1e18, { error }),
        z
          .string()
          .max(40, { error })
          .meta({ examples: [example] })
          .transform((text, context) => {
            const value = parse(text)
            if (value !== undefined) return value
            context.addIssue(error)
            return z.NEVER
          }),
      ],
      { error },
    )
    .nullable()
}

const length = (most: number) => z.int().positive().max(most).nullable()
const usual = "null: the space's usual"

/** By their places in a configuration. */
export const limitSettings = z
  .strictObject({
    parameters: amount(parseCount, '3.3M').meta({
      unit: 'parameters',
      description: 'most parameters of the network to be trained, or text with a unit; 0 or null: no limit',
    }),
    multiplyAdds: amount(parseCount, '520M').meta({
      unit: 'multiply-adds',
      description: 'most multiply-adds of it for one image, or text with a unit; 0 or null: no limit',
    }),
    latency: amount(parseTime, '12ms').meta({
      unit: 'ms',
      description: 'most time of it by the latency table, or text with a unit; 0 or null: no limit',
    }),
    latencyTable: z
      .string()
      .min(1)
      .max(4096)
      .nullable()
      .describe('file of a latency table of such networks; null: none'),
    network: z
      .strictObject({
        kind: z
          .enum(['cifar', 'imagenet'])
          .nullable()
          .describe("stem and auxiliary head for which images; null: as the supernet's"),
        channels: length(65_536).meta({ unit: 'channels', description: `C of the first cells; ${usual}` }),
        cells: length(10_000).meta({ unit: 'cells', description: `cells; ${usual}` }),
        classes: length(10_000_000).meta({ unit: 'classes', description: 'classes; null: of the data set' }),
        imageSize: length(65_536).meta({
          unit: 'px',
          description:
            "height and width of its images; null: the search's, or the usual ones of the kind that is set",
        }),
      })
      .describe('the network to be trained, which limits are on'),
    rate: z.number().nonnegative().max(1e6).meta({
      unit: '-',
      description:
        'how much lambda grows in an update for each limit that the architecture takes beyond a limit',
    }),
    steps: z
      .int()
      .positive()
      .max(1e9)
      .meta({ unit: 'steps', description: 'steps between updates of lambda' }),
  })
  .describe('what the network to be trained may cost: steers the search, and binds its choice')

export type LimitSettings = z.infer<typeof limitSettings>

export const noLimits: LimitSettings = {
  parameters: null,
  multiplyAdds: null,
  latency: null,
  latencyTable: null,
  network: { kind: null, channels: null, cells: null, classes: null, imageSize: null },
  rate: 0.1,
  steps: 10,
}

/** What of a configuration says it. */
export interface LimitedConfig {
  readonly dataset: string
  readonly data: { readonly imageSize: number }
  readonly network: { readonly stem: NetworkOptions['kind'] }
  readonly limits: LimitSettings
}

/** The networks that limits are on; `classes`: of the data set, where that is read. */
export function targetNetwork(
  { dataset, data, network: { stem }, limits }: LimitedConfig,
  space: SearchSpace,
  classes?: number,
): TargetNetwork {
  const { network } = limits
  const kind = network.kind ?? stem
  const size = usualNetwork(space, kind)
  const known = Object.entries(cifarLayouts).find(([name]) => name === dataset)?.[1].classes.length
  return {
    kind,
    channels: network.channels ?? size.channels,
    cells: network.cells ?? size.cells,
    classes: network.classes ?? classes ?? known ?? size.classes,
    imageSide: network.imageSize ?? (network.kind === null ? data.imageSize : usualImageSides[kind]),
  }
}

/** "20 cells of 36 channels, 10 classes and 32 px". */
export function networkText({ cells, channels, classes, imageSide }: TargetNetwork): string {
  return `${counted(cells, 'cell')} of ${counted(channels, 'channel')}, ${counted(classes, 'class', 'classes')} and ${imageSide} px`
}

/**
 * The limits of a configuration, checked; none where it has none.
 * @throws {DdsasError} `input` for a table or a size that does not fit the space; `budget` for limits that no network is within.
 */
export function limitsOf(config: LimitedConfig, space: SearchSpace, classes?: number): Limit[] {
  const { parameters, multiplyAdds, latency } = config.limits
  const target = targetNetwork(config, space, classes)
  const limits: Limit[] = []
  if (parameters) limits.push({ table: networkCosts(space, target, 'parameters'), most: parameters })
  if (multiplyAdds) limits.push({ table: networkCosts(space, target, 'multiplyAdds'), most: multiplyAdds })
  if (latency) limits.push({ table: latencyOf(config, space, target), most: latency })
  if (limits.length > 0) checkReachable(space, limits, networkText(target))
  return limits
}

function latencyOf({ limits }: LimitedConfig, space: SearchSpace, target: TargetNetwork): CostTable {
  const { latencyTable: path } = limits
  if (path !== null) return latencyCosts(readLatencyTable(path), space, target, path)
  throw new DdsasError(
    'input',
    'limits.latency needs a table of what candidates take: name one with --latency-table, or limits.latencyTable',
  )
}

/** What networks of a space cost, where it says its parts; empty where that cannot be said. */
export function costRanges(config: LimitedConfig, space: SearchSpace): CostRange[] {
  if (space.parts === undefined) return []
  const target = targetNetwork(config, space)
  try {
    const { latencyTable } = config.limits
    return [
      networkCosts(space, target, 'parameters'),
      networkCosts(space, target, 'multiplyAdds'),
      ...(latencyTable === null ? [] : [latencyOf(config, space, target)]),
    ].map((table) => costRange(space, table))
  } catch (error) {
    // a layer that does not say its cost, or networks whose cost is no sum: nothing that a plan needs
    if (error instanceof DdsasError && config.limits.latencyTable === null) return []
    throw error
  }
}

/** Where a limit stands at an epoch's end, in the table's unit. */
export interface LimitReport {
  readonly unit: string
  readonly limit: number
  /** Of the architecture that the search would pick now. */
  readonly cost: number
  /** Of what it would pick without limits; the search is steered by it. Absent where the strategy cannot be steered. */
  readonly unlimited?: number
  readonly lambda?: number
}

/** By quantity: "parameters". */
export type LimitReports = Readonly<Record<string, LimitReport>>

/** What a search holds of its limits. */
export class SearchLimits {
  /** The space whose architectures keep to them. */
  readonly space: LimitedSpace
  readonly penalty: LimitPenalty
  /** As it is without them. */
  readonly #whole: SearchSpace
  readonly #limits: readonly Limit[]
  readonly #steps: number

  constructor(space: SearchSpace, limits: readonly Limit[], settings: LimitSettings, device: string) {
    this.space = withLimits(space, limits)
    this.#whole = space
    this.penalty = new LimitPenalty(space, limits, device, settings)
    this.#limits = limits
    this.#steps = settings.steps
  }

  /** Whether lambda is to follow after so many steps: not where the strategy has no use for it. */
  isDue(globalStep: number): boolean {
    return this.penalty.used && globalStep % this.#steps === 0
  }

  /** Dual ascent on what the strategy would pick now without limits. */
  async follow(strategy: Strategy, evaluate: Evaluate): Promise<void> {
    const scores = strategy.scores?.()
    if (scores === undefined) await this.space.withoutLimits(() => strategy.derive(evaluate))
    const costs = this.#wanted(scores)
    if (costs !== undefined) this.penalty.follow(costs)
  }

  /** What the architecture costs that scores mean without limits; without scores, the one that was decoded last. */
  #wanted(scores: ArchScores | undefined): readonly number[] | undefined {
    if (scores === undefined) return this.space.wanted()
    return costsOf(this.#whole, this.#limits, this.#whole.decode(scores.values, scores.available))
  }

  /** Of an architecture that was derived last, by these scores where the strategy has some. */
  reports(architecture: unknown, scores?: ArchScores): LimitReports {
    const costs = costsOf(this.space, this.#limits, architecture)
    const unlimited = this.#wanted(scores)
    return Object.fromEntries(
      this.#limits.map(({ table, most }, q): [string, LimitReport] => [
        table.quantity,
        {
          unit: table.unit,
          limit: most,
          cost: costs[q],
          ...(this.penalty.used && unlimited
            ? { unlimited: unlimited[q], lambda: this.penalty.lambdas[q] }
            : {}),
        },
      ]),
    )
  }

  dispose(): void {
    this.penalty.dispose()
  }
}
