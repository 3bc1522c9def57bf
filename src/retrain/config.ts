/** The settings of a training: one typed object, checked once. */
import { z } from 'zod'
import { assignSettings, commonSettings, normalisationSettings } from '../loop/settings.ts'
import { precisions } from '../nn/precision.ts'

const positive = z.number().int().positive()
const natural = z.number().int().nonnegative()
const rate = z.number().nonnegative()
const part = z.number().min(0).lt(1)

/** How training images are changed at random. */
const augmentationSchema = z.strictObject({
  /** Zeros around an image before it is cropped to its own size; CIFAR alone. */
  padding: natural.max(1024),
  flip: z.boolean(),
  /** Side of the square cut out; 0: none; CIFAR alone. */
  cutout: natural.max(1024),
  /** Smallest share of the image's area that a random crop takes; image folders alone. */
  crop: z.number().positive().max(1),
  /** Largest relative change of brightness, contrast, saturation, and turn of the hue; image folders alone. */
  jitter: z.tuple([rate, rate, rate, rate.max(0.5)]),
})

export const trainConfigSchema = z.strictObject({
  dataset: z.enum(['cifar10', 'cifar100', 'folder']),
  data: z.strictObject({
    /** How many of the training images to use, drawn with the seed; 0: all. */
    images: natural,
    /** Part of them that is not trained on and tells the best epoch; 0: none, and only the last epoch is reported. */
    validation: part,
    batch: positive,
    /** Height and width of the network's images in pixels; image folders are cropped to it. */
    imageSize: positive.max(4096),
    /**
     * Pixels that the shorter side is resized to before the centre is evaluated; 0: in ImageNet's proportion to `imageSize`,
     * 256 for 224; image folders alone.
     */
    resize: natural.max(4096),
    ...normalisationSettings,
    augmentation: augmentationSchema,
  }),
  network: z.strictObject({
    kind: z.enum(['cifar', 'imagenet']),
    /** C: channels of a node in the first cells. */
    channels: positive.multipleOf(2).max(1024),
    cells: positive.max(200),
  }),
  /** SGD. */
  weightOptimizer: z.strictObject({
    lr: rate,
    schedule: z.enum(['cosine', 'linear']),
    /** Epochs over which the rate rises to its schedule. */
    warmUp: natural,
    momentum: part,
    weightDecay: rate,
    /** Largest norm of all gradients together. */
    gradClip: z.number().positive(),
  }),
  loss: z.strictObject({
    /** Part of the target that is spread over all classes. */
    smoothing: part,
    /** Weight of the auxiliary head's loss; 0: no such head. */
    auxiliary: rate,
  }),
  /** How likely an operation is left out for an image in the last epoch; it rises in a line from 0. */
  dropPath: part,
  /** Element type of images between the layers: `bfloat16` halves their memory; weights and statistics stay float32. */
  precision: z.enum(precisions).default('float32'),
  evaluation: z.strictObject({ batch: positive }),
  ...commonSettings,
})

export type TrainConfig = z.infer<typeof trainConfigSchema>

/** Settings with `key=value` assignments applied. Throws DdsasError 'input' for an unknown key or a wrong type. */
export function applyTrainSettings(config: TrainConfig, assignments: readonly string[]): TrainConfig {
  return assignSettings(trainConfigSchema, config, assignments)
}
