/** Weight files: safetensors (with a network's description in the metadata) and PyTorch's, told apart by their bytes. */
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { checkText } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import { findSpace, spaces } from '../spaces/index.ts'
import { type NetworkShape, spaceOf } from '../spaces/network-shape.ts'
import { checkTensors } from '../spaces/weights-check.ts'
import { decodeSafetensors, encodeSafetensors, type Tensor } from '../torch/index.ts'
import { isPytorchFile, readPytorchFile } from './pytorch-file.ts'
import { withoutBatchCounters } from './pytorch-writer.ts'
import { checkGivenTrained, checkTrained, type Normalisation, type TrainedNetwork } from './trained.ts'

/** What the metadata of a safetensors file of ours tell beside the weights; nothing for files of others. */
export interface WeightNotes {
  /** Name of the space that the genotype is an architecture of; `darts` where absent. */
  readonly space?: string
  /** Checked where the space is a known one. */
  readonly genotype?: unknown
  readonly imageSide?: number
  readonly normalisation?: Normalisation
  readonly classNames?: readonly string[] | undefined
  /** Whether the weights hold the auxiliary head, which only training uses. */
  readonly auxiliary?: boolean | undefined
}

export interface WeightFile extends WeightNotes {
  /** On the CPU, by PyTorch's names, without `num_batches_tracked`. */
  readonly tensors: Map<string, Tensor>
}

/** Node reads no more into one buffer. */
const maxBytes = 2 ** 31 - 1

const triple = z.array(z.number()).length(3)
const notesSchema = z.object({
  space: z.string().default('darts'),
  genotype: z.unknown(),
  imageSide: z.int().positive(),
  normalisation: z.object({ mean: triple, std: triple }).optional(),
  classNames: z.array(z.string()).optional(),
  auxiliary: z.boolean().optional(),
})

/** The one key of the metadata, so that other programs' keys are never taken for ours. */
const notesKey = 'ddsas.network'

/**
 * Reads a file of weights, whichever of the formats it has; of a PyTorch checkpoint its state dict.
 * @throws {DdsasError} `input` when there is no such file; `data` when it is neither format, damaged or hostile.
 */
export function readWeightFile(path: string): WeightFile {
  checkText(path, 'readWeightFile', 'path')
  return decodeWeightFile(readBytes(path), path)
}

/**
 * The same for bytes that are already here, such as a file of a checkpoint; `source` names them in errors.
 * @throws {DdsasError} `data` when they are neither format, damaged or hostile.
 */
export function decodeWeightFile(data: Uint8Array, source: string): WeightFile {
  if (isPytorchFile(data)) return { tensors: withoutBatchCounters(readPytorchFile(data, source).tensors) }
  const { tensors, metadata } = decodeWeights(data, source)
  return { tensors: withoutBatchCounters(tensors), ...readNotes(metadata[notesKey], source) }
}

function readBytes(path: string): Uint8Array {
  try {
    const status = statSync(path)
    if (status.isFile() && status.size <= maxBytes) return readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
    throw new DdsasError('input', `weights ${path} cannot be read${code}; name a file`, { cause: error })
  }
  throw new DdsasError('input', `weights ${path} is not a file of less than 2 GiB; name a file of weights`)
}

/** A file that is neither format is told so, rather than that it is a bad safetensors file. */
function decodeWeights(data: Uint8Array, path: string) {
  const looksRight = data[8] === '{'.charCodeAt(0)
  if (looksRight) return decodeSafetensors(data, path)
  throw new DdsasError('data', `${path} holds no weights: it is neither a safetensors nor a PyTorch file`)
}

function readNotes(text: string | undefined, path: string): WeightNotes {
  if (text === undefined) return {}
  try {
    const { genotype, ...notes } = notesSchema.parse(JSON.parse(text))
    const known = Object.hasOwn(spaces, notes.space)
    return { ...notes, genotype: known ? findSpace(notes.space).parse(genotype, path) : genotype }
  } catch (cause) {
    throw new DdsasError('data', `${path} has a damaged description in its metadata; export it again`, {
      cause,
    })
  }
}

/**
 * The bytes of a safetensors file with all weights and the description of the network, which `readWeightFile` reads back.
 * @throws {DdsasError} `checkpoint` for weights of another network; `input` for anything else that does not fit.
 */
export function exportSafetensors(trained: TrainedNetwork): Uint8Array {
  checkGivenTrained(trained, 'exportSafetensors')
  checkTrained(trained)
  const { shape, imageSide, normalisation, classNames, tensors } = trained
  const how = normalisation && { mean: normalisation.mean, std: normalisation.std }
  const { genotype, auxiliary } = shape
  const notes = { space: spaceOf(shape).name, genotype, imageSide, normalisation: how, classNames, auxiliary }
  return encodeSafetensors(tensors, { format: 'pt', [notesKey]: JSON.stringify(notes) })
}

/**
 * The shape of the network that weights are of: all but its architecture can be told from their names and sizes.
 * `space`: where the architecture is from, `darts` unless given.
 * @throws {DdsasError} `input` where they are of no network of the space.
 */
export function shapeOfWeights(
  tensors: ReadonlyMap<string, Tensor>,
  genotype: unknown,
  source: string,
  space?: NetworkShape['space'],
): NetworkShape {
  checkTensors(tensors, 'shapeOfWeights')
  const own = spaceOf({ space })
  const options = own.networkOf?.(new Map([...tensors].map(([name, { shape }]) => [name, shape])))
  if (options !== undefined) return { ...options, genotype, ...(space === undefined ? {} : { space }) }
  const first = [...tensors.keys()].slice(0, 3).join(', ') || 'none'
  throw new DdsasError(
    'input',
    `${source} holds no weights of a network of '${own.name}'; its first are ${first}`,
  )
}
