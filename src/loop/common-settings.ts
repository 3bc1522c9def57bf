/** Settings that searches and trainings share, each with its meaning and unit: `unit: '-'` is a plain number. */
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import { type Precision, precisions } from '../nn/precision.ts'
import { deviceExamples, devicePattern, deviceWanted } from '../torch/index.ts'

export const positive = z.number().int().positive()
export const natural = z.number().int().nonnegative()
export const nonNegative = z.number().nonnegative()
/** A part of a whole that is less than it. */
export const part = z.number().min(0).lt(1)
/** Pixels around or within an image. */
const pixels = natural.max(1024)
const share = z.number().min(0).max(1)

/** The most threads that may be asked for. */
export const maxThreads = 512

/** What every run has besides what makes its numbers. */
export const commonSettings = {
  epochs: positive.meta({ unit: 'epochs', description: 'passes over the training images' }),
  checkpoint: z
    .strictObject({
      seconds: z.number().positive().meta({
        unit: 's',
        description: 'time between checkpoints within an epoch; each epoch ends with one',
      }),
      steps: natural.meta({
        unit: 'steps',
        description: 'steps between checkpoints within an epoch; 0: by time alone',
      }),
    })
    .describe('when a run is saved'),
  seed: natural.meta({ unit: '-', description: 'what all random numbers follow from' }),
  threads: positive.max(maxThreads).meta({ unit: 'threads', description: 'threads for one operator' }),
  // older runs do not say
  syncBatchNorm: z
    .boolean()
    .default(false)
    .describe(
      'of several processes: whether batch norms go by the images of all, or each by its own; costs several times the time of a step',
    ),
  device: z
    .string()
    .regex(devicePattern, { error: deviceWanted })
    .meta({
      description: 'where to compute; auto: the first GPU, or the processor where there is none',
      examples: [...deviceExamples],
    }),
}

/** Of images, whatever is done with them. */
export const imageSettings = {
  images: natural.meta({
    unit: 'images',
    description: 'training images to use, drawn with the seed; 0: all',
  }),
  batch: positive.meta({ unit: 'images', description: 'images of a step' }),
}

/** How CIFAR's images are changed at random. */
export const augmentationSettings = {
  padding: pixels.meta({
    unit: 'px',
    description:
      'zeros around an image before it is cropped to its own size; not of images that are streamed',
  }),
  flip: z.boolean().describe('whether half of the images are mirrored, left to right'),
  cutout: pixels.meta({
    unit: 'px',
    description: 'side of the square cut out; 0: none; not of images that are streamed',
  }),
}

/** Of image folders. */
export const folderSettings = {
  imageSize: positive.max(4096).meta({
    unit: 'px',
    description: "height and width of the network's images; image folders are cropped to it",
  }),
  resize: natural.max(4096).meta({
    unit: 'px',
    description:
      "what the shorter side is resized to before the centre is evaluated; 0: in ImageNet's proportion, 256 for 224; image folders alone",
  }),
  crop: z.number().positive().max(1).meta({
    unit: '-',
    description: "smallest share of the image's area that a random crop takes; image folders alone",
  }),
  jitter: z.tuple([nonNegative, nonNegative, nonNegative, nonNegative.max(0.5)]).meta({
    unit: '-',
    description:
      'largest relative change of brightness, contrast, saturation, and turn of the hue; image folders alone',
  }),
}

const channelOrder = "R, G, B, of pixels scaled to 0 … 1; null: the data set's own"

/** How images are normalised: what `ddsas data stats` prints. */
export const normalisationSettings = {
  mean: z
    .tuple([share, share, share])
    .nullable()
    .meta({ unit: '-', description: `mean of each channel: ${channelOrder}` }),
  std: z
    .tuple([share.positive(), share.positive(), share.positive()])
    .nullable()
    .meta({ unit: '-', description: `standard deviation of each channel: ${channelOrder}` }),
}

export const channels = positive
  .multipleOf(2)
  .max(1024)
  .meta({ unit: 'channels', description: 'C: channels of a node in the first cells' })

/** SGD on weights, besides its learning rate. */
export const sgdSettings = {
  momentum: part.meta({ unit: '-', description: 'how much of its velocity a weight keeps' }),
  // older runs do not say
  nesterov: z
    .boolean()
    .default(false)
    .describe('whether a weight moves by the gradient once more (Nesterov)'),
  weightDecay: nonNegative.meta({ unit: '-', description: 'L2 penalty, added to the gradient' }),
  gradClip: z
    .number()
    .positive()
    .meta({ unit: '-', description: 'largest joint 2-norm of all gradients: more is scaled down to it' }),
}

export const precision = z
  .enum(precisions)
  .describe('element type of images between the layers; weights and statistics stay float32')

export const evaluationBatch = positive.meta({
  unit: 'images',
  description: 'images at a time while accuracy is measured',
})

/** Throws DdsasError 'device' for bfloat16 on a processor, unless a test asks for that path. */
export function checkPrecision(wanted: Precision, device: string): void {
  if (wanted === 'float32' || device !== 'cpu' || process.env.DDSAS_CPU_BFLOAT16 === '1') return
  throw new DdsasError(
    'device',
    `precision=${wanted} has no vector kernels on a CPU, where a step takes many times as long: leave it out, or use --device cuda`,
  )
}

const commonSchema = z.object(commonSettings)
export type CommonConfig = Readonly<z.infer<typeof commonSchema>>
