/** The settings of a search: one typed object, checked once; `--set key=value` changes a value by its dotted key. */
import { z } from 'zod'
import { parseSize } from '../budget/memory-size.ts'
import { assignSettings, commonSettings, normalisationSettings, parseSettings } from '../loop/settings.ts'
import { precisions } from '../nn/precision.ts'
import { findSpace, spaces } from '../spaces/index.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { type AnyStrategy, findStrategy, type StrategySettings, strategies } from '../strategies/index.ts'

const positive = z.number().int().positive()
const natural = z.number().int().nonnegative()
const rate = z.number().nonnegative()
/** Pixels around or within an image. */
const pixels = natural.max(1024)

const notASize = 'write it in bytes, or with a unit, such as "4 GiB"'

/** Runs that began before there was a limit have none. */
const memorySchema = z
  .strictObject({
    /** Bytes of tensors that a search may need to be begun, or text such as "4 GiB"; 0: what is free. */
    limit: z.preprocess(
      (value) => (typeof value === 'string' ? parseSize(value) : value),
      z.number({ error: notASize }).int({ error: notASize }).nonnegative({ error: notASize }),
    ),
  })
  .default({ limit: 0 })

/** What every search has, whatever its space and strategy. */
const baseSettings = {
  /** What is searched. */
  space: z.string(),
  dataset: z.enum(['cifar10', 'cifar100']),
  data: z.strictObject({
    /** How many of the training images to use, drawn with the seed; 0: all. */
    images: natural,
    batch: positive,
    /** Zeros around an image before it is cropped. */
    padding: pixels,
    flip: z.boolean(),
    /** Side of the square cut out; 0: none. */
    cutout: pixels,
    ...normalisationSettings,
  }),
  network: z.strictObject({
    /** C: channels of a node in the first cells; even, as reductions split it in halves. */
    channels: positive.multipleOf(2).max(1024),
    cells: z.number().int().min(3).max(200),
  }),
  /** SGD on the weights, with a cosine schedule from `lr` to `minLr`. */
  weightOptimizer: z.strictObject({
    lr: rate,
    minLr: rate,
    momentum: z.number().min(0).lt(1),
    weightDecay: rate,
    /** Largest norm of all gradients together. */
    gradClip: z.number().positive(),
  }),
  /** Element type of images between the layers: `bfloat16` halves their memory; weights and statistics stay float32. */
  precision: z.enum(precisions).default('float32'),
  evaluation: z.strictObject({
    /** How many images of the validation half to measure accuracy on after each epoch; 0: all. */
    images: natural,
    batch: positive,
  }),
  memory: memorySchema,
  ...commonSettings,
}

const baseSchema = z.object(baseSettings)

/** Settings that every search has, and those of its strategy. */
export type SearchConfig = z.infer<typeof baseSchema> & { readonly strategy: string } & StrategySettings

/** A space and a strategy. */
export interface SearchParts {
  readonly space: SearchSpace
  readonly strategy: AnyStrategy
}

/** Parts that are not in the registries: one's own. */
export type OwnParts = Partial<SearchParts>

/** The space and the strategy that a configuration names. Throws DdsasError 'input' listing the known ones. */
export function partsOf(config: Pick<SearchConfig, 'space' | 'strategy'>, own: OwnParts = {}): SearchParts {
  return {
    space: own.space?.name === config.space ? own.space : findSpace(config.space),
    strategy: own.strategy?.name === config.strategy ? own.strategy : findStrategy(config.strategy),
  }
}

/** A configuration, by the strategy that it names; one's own space and strategy may be among the known ones. */
export function searchConfigSchema(own: OwnParts = {}): z.ZodType<SearchConfig> {
  const known: readonly AnyStrategy[] = [
    ...Object.values(strategies),
    ...(own.strategy ? [own.strategy] : []),
  ]
  const names = [...Object.keys(spaces), ...(own.space ? [own.space.name] : [])]
  const unknown = (what: string, list: readonly string[]) => ({
    error: `there is no such ${what}; known are ${list.join(', ')}`,
  })
  const [first, ...others] = known.map(({ name, settings }) =>
    z.strictObject({
      ...baseSettings,
      space: z.enum(names, unknown('space', names)),
      strategy: z.literal(name),
      ...settings,
    }),
  )
  const strategyNames = known.map(({ name }) => name)
  return z.discriminatedUnion(
    'strategy',
    [first, ...others],
    unknown('strategy', strategyNames),
  ) as z.ZodType<SearchConfig>
}

/** Checks a configuration from outside. Throws DdsasError 'input' naming the first wrong setting. */
export function parseSearchConfig(value: unknown, source: string): SearchConfig {
  return parseSettings(searchConfigSchema(), value, source)
}

/** A configuration with `key=value` assignments applied. Throws DdsasError 'input' for an unknown key or a wrong type. */
export function applySettings(
  config: SearchConfig,
  assignments: readonly string[],
  own: OwnParts = {},
): SearchConfig {
  return assignSettings(searchConfigSchema(own), config, assignments)
}

/** The same search of another space, by another strategy, or both: sizes and settings are then their usual ones. */
export function withParts(config: SearchConfig, { space, strategy }: SearchParts): SearchConfig {
  if (config.space === space.name && config.strategy === strategy.name) return config
  const base = Object.fromEntries(Object.entries(config).filter(([key]) => Object.hasOwn(baseSettings, key)))
  const network = config.space === space.name ? config.network : space.defaults
  const whole = { ...base, space: space.name, strategy: strategy.name, network, ...strategy.defaults(space) }
  return parseSettings(searchConfigSchema({ space, strategy }), whole, 'search')
}

/** Throws DdsasError 'input' where the strategy's settings do not fit the space, or the length of the search. */
export function checkStrategy(config: SearchConfig, { space, strategy }: SearchParts): void {
  strategy.check?.(config, space, config.epochs)
}
