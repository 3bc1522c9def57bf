/** What checkpoints of all runs are made of: state.json, checked, and files of tensors. */
import { z } from 'zod'
import { parseJson } from '../checks.ts'
import type { ImageSource } from '../data/source.ts'
import { DdsasError } from '../errors.ts'
import { decodeSafetensors, type Tensor } from '../torch/index.ts'
import { describeDifferences } from './settings.ts'

export type ReadFiles = ReadonlyMap<string, Buffer>

export const countSchema = z.number().int().nonnegative()
export const averageSchema = z.object({ loss: z.number(), correct: z.number(), images: countSchema })
export const progressSchema = z.object({ epoch: countSchema, step: countSchema, globalStep: countSchema })
export const streamSchema = z.object({
  order: z.array(countSchema),
  used: countSchema,
  generator: z.array(z.number().int()),
})

/** Where a source of batches stands, as plain data. */
export function streamState(source: Pick<ImageSource, 'state'>): z.infer<typeof streamSchema> {
  const { order, used, generator } = source.state()
  return { order: [...order], used, generator: [...generator] }
}

function fileOf(files: ReadFiles, name: string): Buffer {
  const found = files.get(name)
  if (found !== undefined) return found
  throw new DdsasError('checkpoint', `the checkpoint has no ${name}; resume from another one`)
}

/**
 * state.json of a checkpoint, of a run with the settings `config`.
 * @throws {DdsasError} `checkpoint` where it is malformed, or of a run with other settings; `run`: "search", "training".
 */
export function readState<State extends { readonly config: object }>(
  files: ReadFiles,
  schema: z.ZodType<State>,
  config: object,
  run: string,
): State {
  const parsed = schema.safeParse(parseJson(fileOf(files, 'state.json').toString('utf8')))
  if (!parsed.success) {
    const where = z.core.toDotPath(parsed.error.issues[0].path)
    const place = where && ` at ${where}`
    throw new DdsasError(
      'checkpoint',
      `state.json of the checkpoint is malformed${place}; resume from another one`,
    )
  }
  const [difference] = describeDifferences(parsed.data.config, config, 'the checkpoint')
  if (difference === undefined) return parsed.data
  throw new DdsasError(
    'checkpoint',
    `the checkpoint is of another ${run}: ${difference}; put config.json back as it was`,
  )
}

/** The tensors in a file of a checkpoint. @throws {DdsasError} `checkpoint` where there is no such file. */
export function readTensors(files: ReadFiles, name: string): Map<string, Tensor> {
  return decodeSafetensors(fileOf(files, name), name).tensors
}
