/** Records of NAS-Bench-101: genuine ones, and files in the published format that are made of any. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type CellGraph, operationNames } from '../../../src/spaces/nasbench101/graph.ts'
import { skipWithout } from '../../needs.ts'
import { shared } from '../../parity/fixtures.ts'

const sample = join(shared, 'data/nasbench101-sample/nb101_sample.json')

/** For node:test's `skip`. */
export const withoutRecords = skipWithout(
  'shared',
  existsSync(sample),
  `no records of NAS-Bench-101 at ${sample} (set DDSAS_SHARED)`,
)

const training = z.object({
  halfway_training_time: z.number(),
  halfway_train_accuracy: z.number(),
  halfway_validation_accuracy: z.number(),
  halfway_test_accuracy: z.number(),
  final_training_time: z.number(),
  final_train_accuracy: z.number(),
  final_validation_accuracy: z.number(),
  final_test_accuracy: z.number(),
})
export type Training = z.infer<typeof training>

const sampleSchema = z.record(
  z.string(),
  z.object({
    module_adjacency: z.array(z.array(z.number())),
    module_operations: z.array(z.string()),
    trainable_parameters: z.number(),
    computed: z.record(z.string(), z.array(training)),
  }),
)

/** A cell with the trainings that were recorded of it, by their epochs. */
export interface CellRecord {
  readonly hash: string
  readonly graph: CellGraph
  readonly parameters: number
  readonly trainings: Readonly<Record<string, readonly Training[]>>
}

/** The thirty of the shared folder. */
export function genuineRecords(): CellRecord[] {
  const parsed = sampleSchema.parse(JSON.parse(readFileSync(sample, 'utf8')))
  return Object.entries(parsed).map(([hash, record]) => ({
    hash,
    graph: {
      operations: z.array(z.enum(operationNames)).parse(record.module_operations.slice(1, -1)),
      parents: record.module_adjacency
        .slice(1)
        .map((_, index) =>
          record.module_adjacency.flatMap((row, from) => (row[index + 1] === 1 ? [from] : [])),
        ),
    },
    parameters: record.trainable_parameters,
    trainings: record.computed,
  }))
}
