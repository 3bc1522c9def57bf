/** The settings of a search: one typed object, checked once; `--set key=value` changes a value by its dotted key. */
import { z } from 'zod'
import { parseSize } from '../budget/memory-size.ts'
import { assignSettings, commonSettings, normalisationSettings, parseSettings } from '../loop/settings.ts'
import { precisions } from '../nn/precision.ts'
import { darts, edgeCount } from '../spaces/darts/space.ts'
import { variants } from '../strategies/ddsas/ddsas.ts'
import { checkChanges } from '../strategies/ddsas/elastic.ts'

const positive = z.number().int().positive()
const natural = z.number().int().nonnegative()
const rate = z.number().nonnegative()
/** Pixels around or within an image. */
const pixels = natural.max(1024)

const spaceChange = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('shrink'), count: positive }),
  z.strictObject({ kind: z.literal('expand'), from: natural, to: positive }),
])

/** Settings of DDSAS; see `strategies/ddsas.ts`. */
const ddsasSchema = z.strictObject({
  variant: z.enum(Object.keys(variants) as (keyof typeof variants)[]),
  /** L: operations of a subspace, over all edges of a cell type. */
  subspace: positive,
  /** M: steps in a subspace. */
  window: positive,
  mixture: z.enum(['simple', 'joint']),
  /** What happens to the space at the start of which epoch. */
  changes: z.array(z.strictObject({ epoch: natural, change: spaceChange })),
})

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

export const searchConfigSchema = z.strictObject({
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
  strategy: z.literal('ddsas'),
  ddsas: ddsasSchema,
  /** SGD on the weights, with a cosine schedule from `lr` to `minLr`. */
  weightOptimizer: z.strictObject({
    lr: rate,
    minLr: rate,
    momentum: z.number().min(0).lt(1),
    weightDecay: rate,
    /** Largest norm of all gradients together. */
    gradClip: z.number().positive(),
  }),
  /** Adam on alpha and zeta. */
  archOptimizer: z.strictObject({
    lr: rate,
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]),
    weightDecay: rate,
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
})

export type SearchConfig = z.infer<typeof searchConfigSchema>

/** Checks a configuration from outside. Throws DdsasError 'input' naming the first wrong setting. */
export function parseSearchConfig(value: unknown, source: string): SearchConfig {
  return parseSettings(searchConfigSchema, value, source)
}

/** A configuration with `key=value` assignments applied. Throws DdsasError 'input' for an unknown key or a wrong type. */
export function applySettings(config: SearchConfig, assignments: readonly string[]): SearchConfig {
  return assignSettings(searchConfigSchema, config, assignments)
}

/** Throws DdsasError 'input' where the space cannot change as the settings say. */
export function checkSchedule({ ddsas, epochs }: SearchConfig): void {
  checkChanges(ddsas.changes, { edges: edgeCount(darts), operations: Object.keys(darts.operations), epochs })
}
