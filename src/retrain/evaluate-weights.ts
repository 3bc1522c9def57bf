/** The test error of given weights: builds their network, takes them over, evaluates. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import type { OnSkippedFile } from '../data/folder-images.ts'
import { DdsasError } from '../errors.ts'
import { disposeModule, loadTensors, Network, stateDict, withoutAuxiliary } from '../nn/index.ts'
import { checkImageSide } from '../spaces/describe.ts'
import { checkShape, type NetworkShape, programOf } from '../spaces/network-shape.ts'
import { checkFiniteWeights, checkTensors, checkWeights } from '../spaces/weights-check.ts'
import { Generator, type Tensor } from '../torch/index.ts'
import { type TrainConfig, trainConfigSchema } from './config.ts'
import { evaluateNetwork, type NetworkEvaluation } from './evaluate-network.ts'
import { openTestImages } from './images.ts'

export interface WeightsToEvaluate {
  readonly shape: NetworkShape
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Where the weights are from, for errors. */
  readonly source: string
  /** Names the data set, the size of its images and of a batch, and the precision. */
  readonly config: TrainConfig
  /** Folder with the data set. */
  readonly data: string
  readonly device: string
  /** Told once of each file that cannot be decoded. */
  readonly onSkip?: OnSkippedFile | undefined
  /** Of the images that the weights were trained on, where known: those of a folder must be the same. */
  readonly classNames?: readonly string[] | undefined
}

export interface WeightsEvaluation extends NetworkEvaluation {
  readonly classes: readonly string[]
  /** What of the test set is not as one would expect, one line each. */
  readonly warnings: readonly string[]
}

const requestSchema = z.object({
  shape: z.unknown(),
  tensors: z.unknown(),
  source: z.string(),
  config: trainConfigSchema,
  data: z.string(),
  device: z.string(),
  onSkip: z
    .custom<OnSkippedFile>((value) => typeof value === 'function', { error: 'expected a function' })
    .optional(),
  classNames: z.array(z.string()).optional(),
})

/**
 * Evaluates weights on a test set.
 * @throws {DdsasError} `checkpoint` naming the first three mismatches where they are of another network; `input` where
 * the data set has other classes; `data` where it cannot be used.
 */
export async function evaluateWeights(request: WeightsToEvaluate): Promise<WeightsEvaluation> {
  checkGiven(requestSchema, request, 'evaluateWeights', 'request')
  checkShape(request.shape, 'evaluateWeights')
  checkTensors(request.tensors, 'evaluateWeights')
  const { shape, tensors, source, config, data, device, onSkip } = request
  const images = openTestImages(config, data, device, onSkip)
  try {
    const { classes } = images
    checkClasses(request, classes)
    const program = programOf(shape)
    checkImageSide(withoutAuxiliary(program), config.data.imageSize)
    checkWeights(program, tensors, source)
    checkFiniteWeights(tensors, source)
    const { precision } = config
    const network = new Network(program, { device, generator: new Generator(0) }, { precision })
    try {
      loadTensors(stateDict(network), tensors, source)
      const evaluation = await evaluateNetwork(network, classes.length, (use) =>
        images.each(config.evaluation.batch, use),
      )
      return { ...evaluation, classes, warnings: images.warnings }
    } finally {
      disposeModule(network)
    }
  } finally {
    images.dispose()
  }
}

function checkClasses(
  { shape, source, config, data, classNames }: WeightsToEvaluate,
  found: readonly string[],
): void {
  const remedy = 'name others with --data or --dataset'
  if (found.length !== shape.classes)
    throw new DdsasError(
      'input',
      `${source} tells ${shape.classes} classes apart, the images in ${data} have ${found.length}: ${remedy}`,
    )
  const wrong =
    config.dataset === 'folder' ? (classNames?.findIndex((name, label) => name !== found[label]) ?? -1) : -1
  if (wrong < 0) return
  throw new DdsasError(
    'input',
    `class ${wrong} of ${source} is '${classNames?.[wrong]}', that of the images in ${data} is '${found[wrong]}': ${remedy}`,
  )
}
