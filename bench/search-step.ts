/** `step`: the search step against the plain supernet, its memory, and how long it waits for its data. */
import { z } from 'zod'
import type { ChartSpec } from '../src/export/chart.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { withData } from './data-wait.ts'
import { takeTurns } from './measure.ts'
import { type Settings, shapeOf, shapeSchema, shapeText } from './settings.ts'
import { spreadText, timingSchema, turnsText } from './spread.ts'
import { ourStep, plainStep } from './step.ts'
import { mebibytes, percent, times } from './table.ts'

export const stepSchema = z.object({
  shape: shapeSchema,
  speedupNchw: z.number(),
  speedupChannelsLast: z.number(),
  memoryRatio: z.number(),
  dataShare: z.number(),
  timings: z.array(timingSchema),
})

type Report = z.infer<typeof stepSchema>

function measure(settings: Settings): Report {
  const shape = shapeOf(settings)
  const ours = withData(ourStep(shape), shape)
  const contestants = [ours, plainStep(shape, 'NCHW'), plainStep(shape, 'channels last')]
  const timings = takeTurns(contestants, settings.turns)
  const [own, nchw, channelsLast] = timings
  return {
    shape,
    speedupNchw: nchw.median / own.median,
    speedupChannelsLast: channelsLast.median / own.median,
    memoryRatio: own.peak / nchw.peak,
    dataShare: ours.secondsWaited(own.turns) / own.median,
    timings,
  }
}

function chart({ shape, timings }: Report): ChartSpec {
  const values = timings.map(({ name, median, peak }) => ({ name, median, peak: peak / 2 ** 30 }))
  const y = { field: 'name', type: 'nominal', sort: null, title: null } as const
  const bars = (field: string, title: string) =>
    ({
      width: 260,
      mark: { type: 'bar', height: { band: 0.6 } },
      encoding: { y, x: { field, type: 'quantitative', title }, color: { field: 'name', legend: null } },
    }) as const
  return {
    title: { text: 'The search step', subtitle: shapeText(shape) },
    data: { values },
    hconcat: [bars('median', 'seconds a step'), bars('peak', 'GiB of tensors at the peak')],
  }
}

function show(report: Report): Shown {
  const { shape, timings, speedupNchw, speedupChannelsLast, memoryRatio, dataShare } = report
  const rows = timings.map((timing) => [timing.name, spreadText(timing), mebibytes(timing.peak)])
  return {
    tables: [
      {
        title: `The search step, ${shapeText(shape)}, ${turnsText(timings)}`,
        columns: ['', 's (quartiles)', 'peak MiB'],
        rows,
      },
    ],
    notes: [
      `Faster than plain NCHW ${times(speedupNchw, 2)}, than plain channels last ${times(speedupChannelsLast, 2)}; ` +
        `peak memory ${memoryRatio.toFixed(3)} of plain NCHW; ${percent(dataShare, 2)} of a step is waiting for data.`,
    ],
    charts: { step: chart(report) },
  }
}

export const step = defineBenchmark({
  about: 'the search step against the plain supernet in both layouts: seconds and peak memory',
  takes: ['turns', 'threads', 'space', 'channels', 'cells', 'batch', 'subspace'],
  schema: stepSchema,
  measure,
  show,
})
