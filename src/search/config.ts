/** The settings of a search, each with its meaning: one typed object, checked once; `--set key=value` changes one. */
import { z } from 'zod'
import { parseSize } from '../budget/memory-size.ts'
import {
  augmentationSettings,
  channels,
  commonSettings,
  evaluationBatch,
  imageSettings,
  natural,
  nonNegative,
  normalisationSettings,
  part,
  positive,
  precision,
  sgdSettings,
} from '../loop/common-settings.ts'
import { assignSettings, parseSettings } from '../loop/settings.ts'
import { darts, edgeCount } from '../spaces/darts/space.ts'
import { variants } from '../strategies/ddsas/ddsas.ts'
import { checkChanges } from '../strategies/ddsas/elastic.ts'
import { subspaceSizeRange } from '../strategies/ddsas/subspace.ts'

const spaceChange = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('shrink'), count: positive.describe('operations to delete') }),
  z.strictObject({
    kind: z.literal('expand'),
    from: natural.describe('first column'),
    to: positive.describe('column after the last'),
  }),
])

const [fewest, most] = subspaceSizeRange(edgeCount(darts), darts.operations.length)

const ddsasSchema = z
  .strictObject({
    variant: z
      .enum(Object.keys(variants) as (keyof typeof variants)[])
      .describe('which to follow where the paper and the published code differ'),
    subspace: positive.meta({
      unit: 'operations',
      description: `L: operations of a subspace, over all edges of a cell type; ${fewest} to ${most} in the space of DARTS`,
    }),
    window: positive.meta({ unit: 'steps', description: 'M: steps in a subspace' }),
    mixture: z
      .enum(['simple', 'joint'])
      .describe('weight of an operation: p q of Eq. (7), or the whole of Eq. (9)'),
    changes: z
      .array(z.strictObject({ epoch: natural, change: spaceChange }))
      .describe(
        'what happens to the space at the start of which epoch, from 0: shrink by a count, expand by columns',
      ),
  })
  .describe('the search by DDSAS')

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

export const searchConfigSchema = z.strictObject({
  dataset: z.enum(['cifar10', 'cifar100']).describe('what to search on'),
  data: z
    .strictObject({ ...imageSettings, ...augmentationSettings, ...normalisationSettings })
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
    })
    .describe('the supernet'),
  strategy: z.literal('ddsas').describe('how the supernet is searched'),
  ddsas: ddsasSchema,
  weightOptimizer: z
    .strictObject({
      lr: nonNegative.meta({
        unit: '-',
        description: 'learning rate of the first epoch; it falls by a cosine',
      }),
      minLr: nonNegative.meta({ unit: '-', description: 'learning rate it falls to, after the last epoch' }),
      ...sgdSettings,
    })
    .describe('SGD on the weights'),
  archOptimizer: z
    .strictObject({
      lr: nonNegative.meta({ unit: '-', description: 'learning rate of alpha and zeta' }),
      betas: z
        .tuple([part, part])
        .meta({ unit: '-', description: 'how much the running means of gradient and square keep at a step' }),
      weightDecay: sgdSettings.weightDecay,
    })
    .describe('Adam on alpha and zeta'),
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
        description: 'memory that the search may need to be begun, or text with a unit; 0: what is free',
      }),
    })
    .describe('what a search may take'),
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
  checkChanges(ddsas.changes, { edges: edgeCount(darts), operations: darts.operations, epochs })
}
