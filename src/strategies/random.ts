/** Random search with shared weights: each step trains one architecture drawn uniformly; the best by validation is picked. */
import { z } from 'zod'
import { UniformSearch } from './shared/uniform-search.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import type { StrategyDefinition } from './strategy.ts'

const randomSettings = {
  random: z
    .strictObject({
      candidates: z.number().int().positive().max(10_000).meta({
        unit: 'architectures',
        description: 'how many are compared at the end of each epoch, with the best so far',
      }),
      images: z.number().int().nonnegative().meta({
        unit: 'images',
        description: 'validation images that each is measured on; 0: all that accuracy is measured on',
      }),
    })
    .describe('random search with shared weights'),
}

const settingsSchema = z.object(randomSettings)
export type RandomSettings = z.infer<typeof settingsSchema>

export const random: StrategyDefinition<RandomSettings> = {
  name: 'random',
  settings: randomSettings,
  defaults: () => ({ random: { candidates: 20, images: 1000 } }),
  weightRecipe: nasbench201Weights,
  describe: ({ random: { candidates } }) => `best of ${candidates} random architectures an epoch`,
  create: (context, { random: { candidates, images } }) => {
    const ranking = { samples: candidates, epochSamples: candidates, images, finalists: 0 }
    return new UniformSearch(context, { ...ranking, keepsBest: true })
  },
}
