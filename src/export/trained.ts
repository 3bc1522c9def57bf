/** A trained network as the exporters take it: shape, weights, and what a user of it has to know about images and classes. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { withoutAuxiliary as withoutHead } from '../nn/index.ts'
import { checkFits } from '../spaces/describe.ts'
import { checkShape, type NetworkShape, programOf } from '../spaces/network-shape.ts'
import { checkFiniteWeights, checkTensors, checkWeights } from '../spaces/weights-check.ts'
import type { Tensor } from '../torch/index.ts'

/** How images are normalised before the network: (x - mean) / std for each channel of values from 0 to 1. */
export interface Normalisation {
  /** Red, green, blue. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

export interface TrainedNetwork {
  readonly shape: NetworkShape
  /** Names the weights in errors, such as their file. */
  readonly source?: string
  /** Parameters and running statistics by PyTorch's names. */
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Height and width of its images in pixels. */
  readonly imageSide: number
  readonly normalisation?: Normalisation
  /** Names of the classes in the order of the logits. */
  readonly classNames?: readonly string[] | undefined
}

/** Weights that only training uses. */
const auxiliaryPrefix = 'auxiliary_head.'

const trainedSchema = z.object({
  shape: z.unknown(),
  source: z.string().optional(),
  tensors: z.instanceof(Map, { error: 'expected a map of tensors by name' }),
  imageSide: z.unknown(),
  normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }).optional(),
  classNames: z.array(z.string()).optional(),
})

/** Throws DdsasError 'input' where what was given to the function `what` is no trained network. */
export function checkGivenTrained(trained: TrainedNetwork, what: string): void {
  checkGiven(trainedSchema, trained, what, 'network')
  checkShape(trained.shape, what)
  checkTensors(trained.tensors, what)
}

/**
 * Checks that weights, class names and image size are those of the shape.
 * @throws {DdsasError} `checkpoint` naming the first three weights that differ; `input` for anything else.
 */
export function checkTrained(trained: TrainedNetwork): void {
  const { shape, tensors, source = 'the file', imageSide, classNames, normalisation } = trained
  if (classNames && classNames.length !== shape.classes)
    throw new DdsasError(
      'input',
      `${classNames.length} class names for ${shape.classes} classes; give one each`,
    )
  if (normalisation) checkNormalisation(normalisation)
  checkWeights(programOf(shape), tensors, source)
  checkFiniteWeights(tensors, source)
  if (!Number.isInteger(imageSide) || imageSide < 1)
    throw new DdsasError('input', `images of ${imageSide} px cannot be; give a whole number of pixels`)
  checkFits(withoutHead(programOf(shape)), imageSide)
}

function checkNormalisation({ mean, std }: Normalisation): void {
  const valid = [mean, std].every((values) => values.length === 3 && values.every(Number.isFinite))
  if (!valid || std.some((value) => value <= 0))
    throw new DdsasError(
      'input',
      `images cannot be normalised by mean ${mean} and std ${std}; give three of each`,
    )
}

/** The same network without the auxiliary head: what is left to do after training does not use it. */
export function withoutAuxiliary(trained: TrainedNetwork): TrainedNetwork {
  const tensors = [...trained.tensors].filter(([name]) => !name.startsWith(auxiliaryPrefix))
  return { ...trained, shape: { ...trained.shape, auxiliary: false }, tensors: new Map(tensors) }
}
