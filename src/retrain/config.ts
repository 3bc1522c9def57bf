/** The settings of a training, each with its meaning: one typed object, checked once. */
import { z } from 'zod'
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
  part,
  positive,
  precision,
  sgdSettings,
} from '../loop/common-settings.ts'
import { assignSettings } from '../loop/settings.ts'

const augmentationSchema = z
  .strictObject({
    ...augmentationSettings,
    crop: folderSettings.crop,
    jitter: folderSettings.jitter,
  })
  .describe('how training images are changed at random')

export const trainConfigSchema = z.strictObject({
  space: z.string().default('darts').describe('what the genotype is an architecture of'),
  dataset: z.enum(['cifar10', 'cifar100', 'folder']).describe('what to train on; folder: images of your own'),
  data: z
    .strictObject({
      images: imageSettings.images,
      validation: part.meta({
        unit: '-',
        description: 'part of the images that is not trained on and tells the best epoch; 0: none',
      }),
      batch: imageSettings.batch,
      imageSize: folderSettings.imageSize,
      resize: folderSettings.resize,
      ...normalisationSettings,
      augmentation: augmentationSchema,
    })
    .describe('the images'),
  network: z
    .strictObject({
      kind: z
        .enum(['cifar', 'imagenet'])
        .describe('how it begins: at the size of the images, or at an eighth of it'),
      channels,
      cells: positive.max(200).meta({ unit: 'cells', description: 'cells one after the other' }),
    })
    .describe('the network of the genotype'),
  weightOptimizer: z
    .strictObject({
      lr: nonNegative.meta({ unit: '-', description: 'learning rate of the first epoch after the warm-up' }),
      schedule: z.enum(['cosine', 'linear']).describe('how the learning rate falls'),
      warmUp: natural.meta({
        unit: 'epochs',
        description: 'epochs over which the learning rate rises to its schedule',
      }),
      ...sgdSettings,
    })
    .describe('SGD on the weights'),
  loss: z
    .strictObject({
      smoothing: part.meta({ unit: '-', description: 'part of the target that is spread over all classes' }),
      auxiliary: nonNegative.meta({
        unit: '-',
        description: "weight of the auxiliary head's loss; 0: no such head",
      }),
    })
    .describe('what the training makes small'),
  dropPath: part.meta({
    unit: '-',
    description:
      'how likely an operation is left out for an image in the last epoch; it rises in a line from 0',
  }),
  precision,
  evaluation: z.strictObject({ batch: evaluationBatch }).describe('how the error is measured'),
  ...commonSettings,
})

export type TrainConfig = z.infer<typeof trainConfigSchema>

/** Settings with `key=value` assignments applied. Throws DdsasError 'input' for an unknown key or a wrong type. */
export function applyTrainSettings(config: TrainConfig, assignments: readonly string[]): TrainConfig {
  return assignSettings(trainConfigSchema, config, assignments)
}
