/**
 * RSPS (random search with parameter sharing): each step trains one architecture drawn uniformly; in the end many are drawn and
 * measured with the shared weights on a few validation batches, and the best of those on all validation images.
 *
 * Published: 1000 on ten batches each, the best ten in full; on NAS-Bench-201 100 of them after 250 epochs. The published code takes
 * other batches for each architecture, here all are measured on the same images. A search by `random` is the same but for
 * what it compares: few after each epoch, with the best so far among them.
 */
import { z } from 'zod'
import type { SearchSpace } from '../spaces/space.ts'
import { rankingSettings, rankingText, usualRanking } from './shared/ranking.ts'
import { UniformSearch } from './shared/uniform-search.ts'
import { nasbench201Epochs, nasbench201Weights } from './shared/weight-recipe.ts'
import type { StrategyDefinition } from './strategy.ts'

const rspsSettings = {
  rsps: z.strictObject(rankingSettings).describe('random search with parameter sharing'),
}

const settingsSchema = z.object(rspsSettings)
export type RspsSettings = z.infer<typeof settingsSchema>

function defaults({ name }: SearchSpace): RspsSettings {
  return { rsps: name === 'nasbench201' ? usualRanking : { ...usualRanking, samples: 1000 } }
}

/** RSPS for the registry. */
export const rsps: StrategyDefinition<RspsSettings> = {
  name: 'rsps',
  settings: rspsSettings,
  defaults,
  published: nasbench201Epochs,
  weightRecipe: nasbench201Weights,
  describe: ({ rsps }) => rankingText(rsps),
  create: (context, { rsps }) => new UniformSearch(context, { ...rsps, keepsBest: false }),
}
