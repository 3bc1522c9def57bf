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
