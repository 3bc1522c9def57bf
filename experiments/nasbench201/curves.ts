/**
 * What a benchmark's table has recorded of the cell that a search would pick, epoch by epoch, for several searches: a CSV and a
 * chart beside this file. `node --import tsx experiments/nasbench201/curves.ts TABLE RUN…`
 */
import { join } from 'node:path'
import { z } from 'zod'
import { judgeOf, openTable } from '../../src/benchmarks/index.ts'
import { type ChartSpec, drawChart } from '../../src/export/chart.ts'
import { writeFileAtomic } from '../../src/runs/files.ts'
import { RunFolder } from '../../src/runs/folder.ts'
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

type Row = Readonly<Record<string, string | number>>

/** A row for each epoch of a run. Throws DdsasError where it is none, or the table lacks one of its cells. */
function rowsOf(run: RunFolder, judge: ReturnType<typeof judgeOf>): Row[] {
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
      distance: distance?.toFixed(3) ?? '',
      train_loss: train.loss.toFixed(4),
      supernet_valid_accuracy: valid.accuracy.toFixed(4),
      seconds: seconds.toFixed(1),
      architecture: nasbench201Space.format(nasbench201Space.parse(architecture, run.path)),
    }
  })
}

function csv(rows: readonly Row[]): string {
  const keys = Object.keys(rows[0])
  return `${[keys, ...rows.map((row) => keys.map((key) => row[key]))].map((cells) => cells.join(',')).join('\n')}\n`
}

/** Accuracy of the cell of each epoch, a line a seed. */
function chartOf(rows: readonly Row[]): ChartSpec {
  return {
    title: {
      text: 'Test accuracy recorded for the cell that a search would pick',
      subtitle: 'NAS-Bench-201, CIFAR-10, N = 1, C = 16; a line for each seed',
    },
    width: 520,
    height: 320,
    data: { values: [...rows] },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'epoch', type: 'quantitative', title: 'epoch of the search', axis: { tickMinStep: 1 } },
      y: {
        field: 'cifar10_test',
        type: 'quantitative',
        title: 'CIFAR-10 test accuracy, %',
        scale: { zero: false },
      },
      color: { field: 'strategy', type: 'nominal', title: 'strategy' },
      strokeDash: {
        field: 'seed',
        type: 'nominal',
        title: 'seed',
        legend: { symbolType: 'stroke', symbolStrokeColor: 'black', symbolFillColor: 'transparent' },
      },
    },
  }
}

const [table, ...runs] = process.argv.slice(2)
if (table === undefined || runs.length === 0) {
  console.error('curves: give the file of a table, and folders of searches')
  process.exitCode = 2
} else {
  const judge = judgeOf(openTable(table))
  const rows = runs.flatMap((path) => rowsOf(RunFolder.open(path), judge))
  const { svg } = await drawChart(chartOf(rows))
  writeFileAtomic(join(import.meta.dirname, 'curves.csv'), csv(rows))
  writeFileAtomic(join(import.meta.dirname, 'curves.svg'), svg)
  console.log(`curves: ${rows.length} epochs of ${runs.length} searches`)
}
