/** The settings of the variant `extended`: changes of the published search, each by itself; as they are at first they change nothing. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'

const part = z.number().positive().max(1)

/** c of the published code. */
export const publishedExploration = 1.44

/** Every key has a default of its own: runs begun before a key came do not say it. */
export const extendedSettings = z
  .strictObject({
    exploration: z
      .number()
      .positive()
      .max(1e6)
      .default(publishedExploration)
      .meta({
        unit: '-',
        description: `c of the bonus in the first epoch; ${publishedExploration}: published`,
      }),
    explorationLeft: part.default(1).meta({
      unit: '-',
      description:
        'part of c that is left in the last epoch: it falls by the same factor from epoch to epoch; 1: constant',
    }),
    saliencyDecay: part.default(1).meta({
      unit: '-',
      description:
        'by what the weight of a window in the means of saliency is multiplied at each window that ends after it; 1: plain mean',
    }),
    selection: z
      .enum(['saliency', 'loss', 'accuracy'])
      .default('saliency')
      .describe(
        'what chooses operations and edges at the end: saliency, or by how much validation loss rises or accuracy falls when one is masked',
      ),
    selectionImages: z.int().nonnegative().default(2560).meta({
      unit: 'images',
      description:
        'validation images that each masked one is measured on, where that chooses; 0: all that accuracy is measured on',
    }),
    betaDecay: z.number().nonnegative().max(1e6).default(0).meta({
      unit: '-',
      description:
        "weight of the beta-decay regulariser in the last epoch, from 0 in the first by equal steps: it decays the softmax of alpha over an edge's available operations",
    }),
    reward: z
      .enum(['zeta', 'gradient'])
      .default('zeta')
      .describe(
        "mean part of an operation's score when subspaces are sampled: sigmoid(zeta), or the size of the gradient of its alpha against others",
      ),
  })
  .describe('changes of the published search, for the variant extended alone')

export type ExtendedSettings = z.infer<typeof extendedSettings>

/** Those that change nothing. */
export const published: ExtendedSettings = extendedSettings.parse({})

/** Throws DdsasError 'input' where another variant is given what it would leave unread. */
export function checkExtended(variant: string, settings: ExtendedSettings): void {
  if (variant === 'extended') return
  const given = Object.entries(settings).find(
    ([key, value]) => !Object.entries(published).some(([name, usual]) => name === key && usual === value),
  )
  if (given !== undefined)
    throw new DdsasError(
      'input',
      `ddsas.extended.${given[0]} = ${given[1]} is read by the variant 'extended' alone, not '${variant}'; set ddsas.variant to extended`,
    )
}

/** c in an epoch: falls geometrically from `exploration` to the part of it that is left in the last. */
export function explorationAt(
  { exploration, explorationLeft }: ExtendedSettings,
  epoch: number,
  epochs: number,
): number {
  return epochs < 2 ? exploration : exploration * explorationLeft ** (epoch / (epochs - 1))
}

/** Weight of the beta-decay regulariser in an epoch: grows linearly from 0. */
export function betaDecayAt({ betaDecay }: ExtendedSettings, epoch: number, epochs: number): number {
  return epochs < 2 ? 0 : betaDecay * (epoch / (epochs - 1))
}
