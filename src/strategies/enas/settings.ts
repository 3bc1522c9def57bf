/** Settings of ENAS, and those it was published with. */
import { z } from 'zod'
import { archOptimizerSettings } from '../shared/arch-optimizer.ts'
import { rankingSettings, usualRanking } from '../shared/ranking.ts'

const count = z.number().int().positive().max(100_000)

export const enasSettings = {
  enas: z
    .strictObject({
      updates: count.meta({
        unit: 'steps',
        description: 'steps of Adam on the controller after each epoch',
      }),
      updateSamples: count.meta({
        unit: 'architectures',
        description: 'architectures in each of those steps, each measured on a validation batch of its own',
      }),
      entropy: z.number().nonnegative().meta({
        unit: '-',
        description: 'what the entropy of the decisions counts beside the accuracy, 0 to 1, in the reward',
      }),
      baseline: z.number().min(0).lt(1).meta({
        unit: '-',
        description: 'how much the running mean of the rewards keeps, which each is compared with',
      }),
      ...rankingSettings,
    })
    .describe('the search by ENAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(enasSettings)
export type EnasSettings = z.infer<typeof settingsSchema>

/** Published: 50 steps of 20 architectures an epoch; Adam that keeps nothing of gradients. */
export const defaults: EnasSettings = {
  enas: { updates: 50, updateSamples: 20, entropy: 1e-4, baseline: 0.99, ...usualRanking },
  archOptimizer: { lr: 1e-3, betas: [0, 0.999], weightDecay: 0, gradClip: 5 },
}
