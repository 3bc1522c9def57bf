/** Records of NAS-Bench-101: genuine ones, and files in the published format that are made of any. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs/light.js'
import { z } from 'zod'
import { frameRecord } from '../../../src/runs/tfrecord.ts'
import { adjacencyOf, type CellGraph, operationNames } from '../../../src/spaces/nasbench101/graph.ts'
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

const metricsType = protobuf.Type.fromJSON('ModelMetrics', {
  fields: {
    evaluation_data: { rule: 'repeated', type: 'EvaluationData', id: 1 },
    trainable_parameters: { type: 'int32', id: 2 },
    total_time: { type: 'double', id: 3 },
  },
  nested: {
    EvaluationData: {
      fields: {
        current_epoch: { type: 'double', id: 1 },
        training_time: { type: 'double', id: 2 },
        train_accuracy: { type: 'double', id: 3 },
        validation_accuracy: { type: 'double', id: 4 },
        test_accuracy: { type: 'double', id: 5 },
        checkpoint_path: { type: 'string', id: 6 },
      },
    },
  },
})
new protobuf.Root().add(metricsType)
metricsType.options = { '(keepCase)': true }

/** The message of a training, by protobufjs. */
export function metricsOf(training: Training, epochs: number, parameters: number): Uint8Array {
  const evaluation = (epoch: number, part: 'halfway' | 'final') => ({
    current_epoch: epoch,
    training_time: training[`${part}_training_time`],
    train_accuracy: training[`${part}_train_accuracy`],
    validation_accuracy: training[`${part}_validation_accuracy`],
    test_accuracy: training[`${part}_test_accuracy`],
    checkpoint_path: '',
  })
  const start = {
    current_epoch: 0,
    training_time: 0,
    train_accuracy: 0.1,
    validation_accuracy: 0.1,
    test_accuracy: 0.1,
  }
  const evaluation_data = [start, evaluation(epochs / 2, 'halfway'), evaluation(epochs, 'final')]
  return metricsType
    .encode(metricsType.create({ evaluation_data, trainable_parameters: parameters, total_time: 1.5 }))
    .finish()
}

/** The parts of one record, any of which may be changed. */
export type RecordParts = [
  hash: unknown,
  epochs: unknown,
  adjacency: unknown,
  operations: unknown,
  metrics: unknown,
]

/** Records as the published files have them: one for each training. */
export function recordsOf({ hash, graph, parameters, trainings }: CellRecord): RecordParts[] {
  return Object.entries(trainings).flatMap(([epochs, repeats]) =>
    repeats.map((training): RecordParts => {
      const metrics = Buffer.from(metricsOf(training, Number(epochs), parameters)).toString('base64')
      const operations = ['input', ...graph.operations, 'output'].join(',')
      return [hash, Number(epochs), adjacencyOf(graph).flat().join(''), operations, metrics]
    }),
  )
}

/** A file of records. */
export function tfrecordFile(records: readonly unknown[]): Buffer {
  return Buffer.concat(records.map((record) => frameRecord(Buffer.from(JSON.stringify(record)))))
}

/** A training whose accuracies follow from a number, 0 … 1. */
export function madeTraining(accuracy: number): Training {
  return {
    ...{ halfway_training_time: 10, halfway_train_accuracy: 0.5, halfway_validation_accuracy: 0.4 },
    ...{ halfway_test_accuracy: 0.3, final_training_time: 20, final_train_accuracy: 1 },
    ...{ final_validation_accuracy: accuracy, final_test_accuracy: accuracy / 2 },
  }
}
