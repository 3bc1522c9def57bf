/** The settings of a search, each with its meaning: one typed object, checked once; `--set key=value` changes one. */
import { z } from 'zod'
import { parseSize } from '../budget/memory-size.ts'
import { DdsasError } from '../errors.ts'
import {
  augmentationSettings,
  channels,
  commonSettings,
  evaluationBatch,
  folderSettings,
  imageSettings,
  natural,
  nonNegative,
  normalisationSettings,
  precision,
  sgdSettings,
} from '../loop/common-settings.ts'
import { assignSettings, parseSettings } from '../loop/settings.ts'
import { findSpace, spaces } from '../spaces/index.ts'
import { seenChannels } from '../spaces/partial-channels.ts'
import { type SearchSpace, stemKinds, stemsOf } from '../spaces/space.ts'
import { type AnyStrategy, findStrategy, type StrategySettings, strategies } from '../strategies/index.ts'
import { limitSettings, noLimits } from './limits.ts'

const notASize = 'write it in bytes, or with a unit, such as "4 GiB"'

const size = z.union(
  [
    z.number({ error: notASize }).int({ error: notASize }).nonnegative({ error: notASize }),
    z
      .string()
      .meta({ examples: ['4 GiB'] })
      .transform((text, context) => {
        const bytes = parseSize(text)
        if (bytes !== undefined) return bytes
        context.addIssue(notASize)
        return z.NEVER
      }),
  ],
  { error: notASize },
)

/** How the learning rate of the weights falls; `authors-code`: as in the published search on ImageNet. */
const searchSchedules = ['cosine', 'authors-code'] as const
const fraction = z.number().min(0).max(1)

/** Of image folders. Runs that were begun before there were any do not say. */
const ownImages = {
  imageSize: folderSettings.imageSize.default(32),
  load: z
    .enum(['decoded', 'stream'])
    .default('decoded')
    .describe(
      'decoded: each file once, then kept as bytes; stream: again for every batch, cropped at random from the whole image; image folders alone',
    ),
  trainFraction: fraction.default(0).meta({
    unit: '-',
    description:
      'share of the images of each class that trains the weights, drawn by the seed; 0: a half; image folders alone',
  }),
  validFraction: fraction.default(0).meta({
    unit: '-',
    description:
      'share of each class that trains the architecture, of the images that are left; 0: the other half',
  }),
  crop: folderSettings.crop.default(1).meta({
    unit: '-',
    description: "smallest share of the image's area that a random crop takes; of images that are streamed",
  }),
  jitter: folderSettings.jitter.default([0, 0, 0, 0]).meta({
    unit: '-',
    description:
      'largest relative change of brightness, contrast, saturation, and turn of the hue; of images that are streamed',
  }),
  resize: folderSettings.resize.default(0).meta({
    unit: 'px',
    description:
      "what the shorter side is resized to before the centre is evaluated; 0: in ImageNet's proportion; of images that are streamed",
  }),
}

/** What every search has, whatever its space and strategy. */
const baseSettings = {
  space: z.string().describe('what is searched'),
  dataset: z
    .enum(['cifar10', 'cifar100', 'folder'])
    .describe('what to search on; folder: images of your own'),
  data: z
    .strictObject({
      ...imageSettings,
      // older runs had none
      microBatch: natural.default(0).meta({
        unit: 'images',
        description:
          'images of a batch that are computed at a time, their gradients added up: less memory, and batch norms that see so many images alone; 0: all',
      }),
      ...augmentationSettings,
      ...normalisationSettings,
      ...ownImages,
    })
    .describe('the images, a half for the weights and a half for the architecture'),
  network: z
    .strictObject({
      channels,
      cells: z
        .number()
        .int()
        .min(3)
        .max(200)
        .meta({ unit: 'cells', description: 'cells one after the other' }),
      // older runs had no other
      stem: z
        .enum(stemKinds)
        .default('cifar')
        .describe('how it begins: at the size of the images, or at an eighth of it as for ImageNet'),
      // older runs had no other
      partialChannels: z.number().int().positive().max(1000).default(1).meta({
        unit: '-',
        description:
          'candidates see one in so many of the channels, and the others pass by them; it divides network.channels; 1: all',
      }),
    })
    .describe('the supernet'),
  weightOptimizer: z
    .strictObject({
      lr: nonNegative.meta({
        unit: '-',
        description: 'learning rate of the first epoch, after the warm-up; it falls by a cosine',
      }),
      minLr: nonNegative.meta({ unit: '-', description: 'learning rate it falls to, after the last epoch' }),
      // older runs had one schedule, without a warm-up, and clipped weights alone
      schedule: z
        .enum(searchSchedules)
        .default('cosine')
        .describe(
          'cosine: from lr in the first epoch on; authors-code: an epoch early, from lr again after the warm-up, as the published search on ImageNet',
        ),
      warmUp: natural.default(0).meta({
        unit: 'epochs',
        description: 'epochs over which the learning rate rises to its schedule',
      }),
      ...sgdSettings,
      clipArch: z
        .boolean()
        .default(false)
        .describe(
          'whether gradients of the architecture parameters count in the norm that those of the weights are clipped by, as in the published search on ImageNet; costs their computation',
        ),
    })
    .describe('SGD on the weights'),
  precision,
  evaluation: z
    .strictObject({
      images: natural.meta({
        unit: 'images',
        description: 'images of the validation half to measure accuracy on after each epoch; 0: all',
      }),
      batch: evaluationBatch,
    })
    .describe('how accuracy is measured'),
  memory: z
    .strictObject({
      limit: size.meta({
        unit: 'bytes',
        description:
          'memory that tensors may take, or text with a unit: a search that needs more is not begun, one that asks for a byte more ends; 0: no limit',
      }),
      images: z
        .enum(['auto', 'memory', 'file'])
        .default('auto')
        .describe(
          'where decoded images of a folder are kept: in memory, in a file that is mapped, or there where they would take more than half of what is free',
        ),
    })
    .describe('what a search may take'),
  // older runs have none
  limits: limitSettings.default(noLimits),
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
  const known = Object.values({
    ...(strategies as Readonly<Record<string, AnyStrategy>>),
    ...(own.strategy ? { [own.strategy.name]: own.strategy } : {}),
  })
  const names = [...new Set([...Object.keys(spaces), ...(own.space ? [own.space.name] : [])])]
  const unknown = (what: string, list: readonly string[]) => ({
    error: ({ code }: { readonly code: string }) =>
      code === 'invalid_type' ? undefined : `there is no such ${what}; known are ${list.join(', ')}`,
  })
  const [first, ...others] = known.map(({ name, settings }) =>
    z.strictObject({
      ...baseSettings,
      space: z.enum(names, unknown('space', names)).describe('what is searched'),
      strategy: z.literal(name).describe('how the supernet is searched'),
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

/** Epochs of the shortest searches in the papers. */
const wholeSearch = 50

/** The same search of another space, by another strategy, or both: sizes and settings are then their usual ones. */
export function withParts(config: SearchConfig, { space, strategy }: SearchParts): SearchConfig {
  if (config.space === space.name && config.strategy === strategy.name) return config
  checkPair({ space, strategy })
  const base = Object.fromEntries(Object.entries(config).filter(([key]) => Object.hasOwn(baseSettings, key)))
  const network = networkOf(config, { space, strategy })
  // a short one stays short
  const published = config.epochs < wholeSearch ? undefined : strategy.published?.(space).epochs
  const epochs = published ?? config.epochs
  const weightOptimizer = { ...config.weightOptimizer, ...strategy.weightRecipe?.(space) }
  const names = { space: space.name, strategy: strategy.name }
  const whole = { ...base, ...names, network, epochs, weightOptimizer, ...strategy.defaults(space) }
  return parseSettings(searchConfigSchema({ space, strategy }), whole, 'search')
}

/**
 * The supernet of another pair: as published, and small in a preset that is smaller than the space's usual supernet, with channels that
 * the partial channels of all stages divide.
 */
function networkOf(config: SearchConfig, { space, strategy }: SearchParts): SearchConfig['network'] {
  const { network, epochs, data } = config
  const recipe = strategy.networkRecipe?.(space) ?? {}
  const usual = { ...space.defaults, ...recipe }
  const size = (key: 'channels' | 'cells') =>
    network[key] < space.defaults[key] ? Math.min(network[key], usual[key]) : usual[key]
  const [channels, cells] = [size('channels'), size('cells')]
  const { partialChannels = 1 } = recipe
  const search = { space, epochs, cells, batch: data.batch }
  const stages = strategy.stages?.(strategy.defaults(space), search) ?? []
  const parts = [partialChannels, ...stages.map((stage) => stage.network?.partialChannels ?? 1)]
  const multiple = parts.reduce(leastCommonMultiple)
  return {
    channels: Math.ceil(channels / multiple) * multiple,
    cells,
    stem: stemsOf(space).find((stem) => stem === network.stem) ?? stemsOf(space)[0],
    partialChannels,
  }
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y))
  return (a * b) / divisor(a, b)
}

/** Throws DdsasError 'input' where a strategy cannot search a space, with those that it can. */
function checkPair({ space, strategy }: SearchParts): void {
  const why = strategy.cannotSearch?.(space)
  if (why === undefined) return
  const fitting = Object.values(spaces).filter((one) => strategy.cannotSearch?.(one) === undefined)
  throw new DdsasError(
    'input',
    `'${strategy.name}' cannot search '${space.name}': ${why}; it can search ${fitting.map(({ name }) => name).join(', ')}`,
  )
}

/** Throws DdsasError 'input' where the strategy cannot search the space, the space has no such stem, or the strategy's settings do not fit it or the length of the search. */
export function checkStrategy(config: SearchConfig, { space, strategy }: SearchParts): void {
  checkPair({ space, strategy })
  const { stem, channels, partialChannels } = config.network
  const stems = stemsOf(space)
  if (!stems.includes(stem))
    throw new DdsasError(
      'input',
      `supernets of the space '${space.name}' do not begin as '${stem}': set network.stem to ${stems.join(' or ')}`,
    )
  if (partialChannels > 1 && !space.partialChannels)
    throw new DdsasError(
      'input',
      `candidates of the space '${space.name}' see all channels: set network.partialChannels to 1, not ${partialChannels}`,
    )
  seenChannels(channels, partialChannels)
  strategy.check?.(config, space, config.epochs)
}
