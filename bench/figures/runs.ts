/** Whole runs that were looked at once: what they came to, with which code; `bench/results/runs` holds one a file. */
import { join } from 'node:path'
import { z } from 'zod'
import { DdsasError } from '../../src/errors.ts'
import { readJson } from '../../src/runs/files.ts'

const share = z.number().min(0).max(1)

/** What is known of every run; of older ones not all that `machine()` tells. */
const measured = z.object({
  processor: z.string(),
  cores: z.number(),
  kernels: z.string(),
  libtorch: z.string(),
  commit: z.string(),
  changed: z.boolean(),
  date: z.string(),
})

const search = measured.extend({
  command: z.string(),
  /** Accuracies after the last epoch. */
  train: share.optional(),
  valid: share,
  steps: z.number().optional(),
  secondsPerStep: z.number().optional(),
  seconds: z.number().optional(),
  /** Bytes of the process at its peak. */
  memory: z.number().optional(),
})

const training = measured.extend({
  /** Such as: C = 8, 8 cells. */
  what: z.string(),
  parameters: z.number(),
  images: z.object({ train: z.number(), validation: z.number() }),
  /** Accuracies: on augmented images in the first and last epoch, held out after each. */
  train: z.object({ first: share, last: share }),
  validation: z.array(share).min(1),
  /** Parts of the test set that are wrong. */
  test: z.object({ top1: share, top5: share }),
  secondsPerStep: z.number(),
})

export type SearchRun = z.infer<typeof search>
export type TrainingRun = z.infer<typeof training>

function read<Run>(folder: string, name: string, schema: z.ZodType<Run>): Run {
  const path = join(folder, 'runs', `${name}.json`)
  const parsed = schema.safeParse(readJson(path))
  if (parsed.success) return parsed.data
  const [{ path: where, message }] = parsed.error.issues
  throw new DdsasError(
    'data',
    `${path} has ${where.join('.') || 'its top'}: ${message}; write what was measured`,
  )
}

export interface Runs {
  /** A search with the preset `cifar10`, shortened. */
  readonly shortened: SearchRun
  readonly demo: SearchRun
  readonly training: TrainingRun
}

/** `folder`: that of the results. */
export function readRuns(folder: string): Runs {
  return {
    shortened: read(folder, 'search-shortened', search),
    demo: read(folder, 'demo', search),
    training: read(folder, 'training-small', training),
  }
}
