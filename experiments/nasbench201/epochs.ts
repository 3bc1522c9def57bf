/** A row of numbers for each epoch of a search: how it went, and what a benchmark's table has recorded of the cell it would pick. */
import { z } from 'zod'
import type { judgeOf } from '../../src/benchmarks/index.ts'
import type { RunFolder } from '../../src/runs/folder.ts'
import { cellShapes } from '../../src/spaces/cell-shape.ts'
import { nasbench201Space } from '../../src/spaces/nasbench201/space.ts'

const configSchema = z.object({ config: z.object({ strategy: z.string(), seed: z.number() }) })
const epochSchema = z.object({
  epoch: z.number(),
  globalStep: z.number(),
  train: z.object({ loss: z.number(), accuracy: z.number() }),
  valid: z.object({ loss: z.number(), accuracy: z.number() }),
  indicators: z.record(z.string(), z.number()),
  distance: z.number().nullable(),
  architecture: z.unknown(),
  seconds: z.number(),
})

/** Of one epoch, by the names of the columns of the CSV. */
export type Row = Readonly<Record<string, string | number>>

/** A row for each epoch of a run. Throws DdsasError where it is none, or the table lacks one of its cells. */
export function rowsOf(run: RunFolder, judge: ReturnType<typeof judgeOf>): Row[] {
  const { strategy, seed } = configSchema.parse(run.config).config
  const epochs = run.readMetrics().filter(({ kind }) => kind === 'epoch')
  return epochs.map((line) => {
    const { epoch, globalStep, train, valid, indicators, distance, architecture, seconds } =
      epochSchema.parse(line)
    const recorded = judge(architecture)
    if (recorded === undefined) throw new Error(`the table has nothing of epoch ${epoch} of ${run.path}`)
    const { cifar10, cifar100, 'imagenet16-120': imagenet } = recorded.accuracies
    return {
      strategy,
      seed,
      epoch: epoch + 1,
      steps: globalStep,
      cifar10_test: cifar10.test ?? '',
      cifar100_test: cifar100.test ?? '',
      imagenet16_120_test: imagenet.test ?? '',
      rank: recorded.rank,
      percentile: recorded.percentile.toFixed(2),
      skip_connect: indicators.skip_connect,
      depth: cellShapes(nasbench201Space, architecture).cell?.depth ?? 0,
      distance: distance?.toFixed(3) ?? '',
      train_loss: train.loss.toFixed(4),
      supernet_valid_accuracy: valid.accuracy.toFixed(4),
      seconds: seconds.toFixed(1),
      architecture: nasbench201Space.format(nasbench201Space.parse(architecture, run.path)),
    }
  })
}

export function csv(rows: readonly Row[]): string {
  const keys = Object.keys(rows[0])
  return `${[keys, ...rows.map((row) => keys.map((key) => row[key]))].map((cells) => cells.join(',')).join('\n')}\n`
}
