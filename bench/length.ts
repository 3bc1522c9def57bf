/** `length`: what a search step costs as the subspace grows (Figure 6b of the paper), in time and memory. */
import { z } from 'zod'
import { leastSquares, lineSchema } from '../src/budget/least-squares.ts'
import type { ChartSpec } from '../src/export/chart.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { type Contestant, takeTurns } from './measure.ts'
import { type Settings, shapeOf, shapeSchema, supernetText } from './settings.ts'
import { benchSpaces } from './spaces.ts'
import { spreadOf, spreadSchema, spreadText, turnsText } from './spread.ts'
import { ourStep, plainStep, type StepShape } from './step.ts'
import { mebibytes, times } from './table.ts'

const seriesSchema = z.object({
  name: z.string(),
  /** `peak` in bytes. */
  points: z.array(spreadSchema.extend({ subspace: z.number(), peak: z.number() })),
  /** Seconds, and bytes, as a straight line over L. */
  seconds: lineSchema,
  bytes: lineSchema,
  /** How many times more the L named last costs than the one named first. */
  ratio: z.object({ of: z.tuple([z.number(), z.number()]), seconds: z.number(), bytes: z.number() }),
})

export const lengthSchema = z.object({
  shape: shapeSchema.omit({ subspace: true }),
  series: z.array(seriesSchema),
})

type Series = z.infer<typeof seriesSchema>
type Report = z.infer<typeof lengthSchema>
type Point = Series['points'][number]

const steps: Readonly<Record<string, (shape: StepShape) => Contestant>> = {
  ours: (shape) => ourStep(shape),
  'plain, NCHW': (shape) => plainStep(shape, 'NCHW'),
  'plain, channels last': (shape) => plainStep(shape, 'channels last'),
}

/** The line through all points, and the largest L against the paper's 28 (where there is none, the smallest). */
export function seriesOf(name: string, points: readonly Point[]): Series {
  const sorted = points.toSorted((a, b) => a.subspace - b.subspace)
  const from = sorted.find(({ subspace }) => subspace === 28) ?? sorted[0]
  const to = sorted[sorted.length - 1]
  return {
    name,
    points: sorted,
    seconds: leastSquares(sorted.map(({ subspace, median }) => [subspace, median])),
    bytes: leastSquares(sorted.map(({ subspace, peak }) => [subspace, peak])),
    ratio: {
      of: [from.subspace, to.subspace],
      seconds: to.median / from.median,
      bytes: to.peak / from.peak,
    },
  }
}

/** All contestants of all lengths take turns, so that a slow minute of the machine falls on each alike. */
function measure(settings: Settings): Report {
  const { subspace: _, ...shape } = shapeOf(settings)
  const { turns, lengths = benchSpaces[shape.space].lengths, plain } = settings
  const names = Object.keys(steps).slice(0, plain ? undefined : 1)
  const entries = names.flatMap((name) => lengths.map((subspace) => ({ name, subspace })))
  const contestants = entries.map(({ name, subspace }) => steps[name]({ ...shape, subspace }))
  const timings = takeTurns(contestants, turns)
  const points = entries.map(({ name, subspace }, index) => {
    const { peak } = timings[index]
    return { name, point: { subspace, peak, ...spreadOf(timings[index]) } }
  })
  const series = names.map((name) =>
    seriesOf(
      name,
      points.filter((entry) => entry.name === name).map(({ point }) => point),
    ),
  )
  return { shape, series }
}

const gibibyte = 2 ** 30

function chart({ shape, series }: Report): ChartSpec {
  const values = series.flatMap(({ name, points, seconds, bytes }) =>
    points.map(({ subspace, median, quartiles: [low, high], peak }) => ({
      name,
      L: subspace,
      median,
      low,
      high,
      peak: peak / gibibyte,
      lineSeconds: seconds.slope * subspace + seconds.intercept,
      linePeak: (bytes.slope * subspace + bytes.intercept) / gibibyte,
    })),
  )
  const lengths = [...new Set(values.map(({ L }) => L))]
  const scale = { zero: false, nice: false, padding: 12 } as const
  const x = { field: 'L', type: 'quantitative', title: 'L', scale, axis: { values: lengths } } as const
  const color = { field: 'name', title: null, legend: series.length > 1 ? {} : null } as const
  const quantity = (field: string, title: string) =>
    ({ field, type: 'quantitative', title, scale: { zero: true } }) as const
  const line = (field: string, title: string) =>
    ({ mark: { type: 'line', strokeWidth: 1 }, encoding: { x, y: quantity(field, title), color } }) as const
  const point = (field: string, title: string) =>
    ({
      mark: { type: 'point', filled: true, size: 50, opacity: 1 },
      encoding: { x, y: quantity(field, title), color },
    }) as const
  const seconds = 'seconds a step'
  const memory = 'GiB of tensors at the peak'
  const range = {
    mark: { type: 'rule' },
    encoding: { x, y: quantity('low', seconds), y2: { field: 'high' }, color },
  } as const
  return {
    title: {
      text: 'Cost of a search step against L',
      subtitle: `${supernetText(shape)}; medians with quartiles, and a line by least squares`,
    },
    data: { values },
    hconcat: [
      { width: 300, height: 240, layer: [line('lineSeconds', seconds), range, point('median', seconds)] },
      { width: 300, height: 240, layer: [line('linePeak', memory), point('peak', memory)] },
    ],
  }
}

function seriesNote({ name, seconds, bytes, ratio }: Series): string {
  const [from, to] = ratio.of
  const line = (text: string, fit: number) => `${text} (R² ${fit.toFixed(4)})`
  const time = `${(1000 * seconds.slope).toFixed(1)} ms x L + ${(1000 * seconds.intercept).toFixed(0)} ms`
  const memory = `${(bytes.slope / 2 ** 20).toFixed(1)} MiB x L + ${(bytes.intercept / 2 ** 20).toFixed(0)} MiB`
  return (
    `${name}: L = ${to} against L = ${from}: ${times(ratio.seconds, 2)} the time, ${times(ratio.bytes, 2)} the memory. ` +
    `Lines: ${line(time, seconds.rSquared)}, ${line(memory, bytes.rSquared)}.`
  )
}

function show(report: Report): Shown {
  const { shape, series } = report
  const rows = series.flatMap(({ name, points }) =>
    points.map((point) => [`${name}, L = ${point.subspace}`, spreadText(point), mebibytes(point.peak)]),
  )
  return {
    tables: [
      {
        title: `A search step against L: ${supernetText(shape)}, ${turnsText(series.flatMap(({ points }) => points))}`,
        columns: ['', 's (quartiles)', 'peak MiB'],
        rows,
      },
    ],
    notes: series.map(seriesNote),
    charts: { length: chart(report) },
  }
}

export const length = defineBenchmark({
  about: 'the search step against L (Figure 6b): seconds and peak memory, and a straight line through them',
  takes: ['turns', 'threads', 'space', 'channels', 'cells', 'batch', 'lengths', 'plain'],
  schema: lengthSchema,
  measure,
  show,
})
