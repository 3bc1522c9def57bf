/** All architectures of a benchmark as a chart: how many have which accuracy at which cost, and where some of them stand. */
import type { ChartSpec } from './chart.ts'

export interface BenchmarkPoint {
  /** In what the axis says. */
  readonly cost: number
  /** In percent. */
  readonly accuracy: number
}

export interface BenchmarkChart {
  readonly title: string
  readonly subtitle: string
  /** What the cost is, and its unit. */
  readonly costTitle: string
  readonly points: readonly BenchmarkPoint[]
  /** Shown one by one, with what they are called. */
  readonly marked: readonly (BenchmarkPoint & { readonly label: string })[]
}

const size = { width: 560, height: 380 } as const
const bins = { cost: 56, error: 48 } as const
/** Pixels from one label to the next, and from a mark to its label. */
const label = { step: 15, distance: 9, longest: 28 } as const
const markColor = '#d62728'

/** Part of the axis from 0 to 1, as Vega's scales of the same domain have it. */
interface Scale {
  /** As Vega takes it. */
  readonly domain: number[]
  at(value: number): number
  /** The value at a part. */
  value(part: number): number
}

function costScale(points: readonly BenchmarkPoint[]): Scale {
  const costs = points.map(({ cost }) => cost)
  const least = costs.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  const most = costs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const margin = (most - least || Math.abs(most) || 1) / 40
  const [low, high] = [least - margin, most + margin]
  return {
    domain: [low, high],
    at: (value) => (value - low) / (high - low),
    value: (part) => low + part * (high - low),
  }
}

/** Of the error, logarithmic: accuracies crowd at the top, and all others shall be seen too. */
function errorScale(points: readonly BenchmarkPoint[]): Scale {
  const errors = points.map(errorOf)
  const low = 0.96 * errors.reduce((a, b) => Math.min(a, b), 100)
  const high = Math.min(100, 1.03 * errors.reduce((a, b) => Math.max(a, b), 0))
  const range = Math.log(high / low)
  return {
    domain: [low, high],
    at: (value) => Math.log(value / low) / range,
    value: (part) => low * Math.exp(part * range),
  }
}

/** A network without an error has no logarithm of it; no benchmark has one. */
function errorOf({ accuracy }: BenchmarkPoint): number {
  return Math.max(0.1, 100 - accuracy)
}

/** Rectangles of the plane that have points, with how many. */
function density(points: readonly BenchmarkPoint[], cost: Scale, error: Scale) {
  const counts = new Map<number, number>()
  const bin = (part: number, count: number) => Math.min(count - 1, Math.floor(part * count))
  for (const point of points) {
    const at = bin(cost.at(point.cost), bins.cost) * bins.error + bin(error.at(errorOf(point)), bins.error)
    counts.set(at, (counts.get(at) ?? 0) + 1)
  }
  return [...counts].map(([at, count]) => {
    const [column, row] = [Math.floor(at / bins.error), at % bins.error]
    return {
      cost: cost.value(column / bins.cost),
      costEnd: cost.value((column + 1) / bins.cost),
      error: error.value(row / bins.error),
      errorEnd: error.value((row + 1) / bins.error),
      count,
    }
  })
}

/** Labels beside their marks, where the chart has more room; those that would lie on another move down. */
function labels(marked: BenchmarkChart['marked'], cost: Scale, error: Scale) {
  const wanted = marked.map((point) => ({
    ...point,
    x: cost.at(point.cost) * size.width,
    y: error.at(errorOf(point)) * size.height,
  }))
  let last = Number.NEGATIVE_INFINITY
  const lowered = wanted
    .sort((a, b) => a.y - b.y)
    .map((point) => {
      last = Math.max(point.y, last + label.step)
      return { ...point, y: last }
    })
  // those that were pushed beyond the end come back up
  let next = size.height + label.step / 2
  return lowered.reverse().map(({ label: text, x, y }) => {
    next = Math.min(y, next - label.step)
    const right = x < size.width / 2
    const shown = text.length > label.longest ? `${text.slice(0, label.longest - 1)}…` : text
    return { text: shown, x: x + (right ? label.distance : -label.distance), y: next, right }
  })
}

/** Accuracies that stand at the axis: those of these that lie within. */
const accuracyTicks = [
  99, 98, 97, 96, 95, 94, 93, 92, 90, 88, 85, 80, 75, 70, 60, 50, 45, 40, 35, 30, 20, 10, 0,
]

/** Ticks that are far enough apart to be read. */
function ticksOf({ domain: [low, high], at }: Scale): number[] {
  const inside = accuracyTicks
    .map((accuracy) => 100 - accuracy)
    .filter((error) => error >= low && error <= high)
  let last = Number.NEGATIVE_INFINITY
  return inside.filter((error) => {
    const here = at(error) * size.height
    if (here - last < 16) return false
    last = here
    return true
  })
}

/** Darker rectangles have more architectures; some of them are marked and labelled. */
export function benchmarkChart({ title, subtitle, costTitle, points, marked }: BenchmarkChart): ChartSpec {
  const cost = costScale(points)
  const error = errorScale(points)
  const x = {
    field: 'cost',
    type: 'quantitative',
    title: costTitle,
    scale: { domain: cost.domain, nice: false, zero: false },
  } as const
  const y = {
    field: 'error',
    type: 'quantitative',
    title: 'test accuracy, %',
    scale: { type: 'log', domain: error.domain, nice: false, reverse: true },
    axis: { values: ticksOf(error), labelExpr: '100 - datum.value' },
  } as const
  const rectangles = density(points, cost, error)
  const mostTogether = rectangles.reduce((most, { count }) => Math.max(most, count), 1)
  const color = {
    field: 'count',
    type: 'quantitative',
    title: 'architectures',
    scale: { type: 'log', scheme: 'blues', domainMin: 0.5 },
    legend: {
      values: [1, 10, 100, 1000].filter((count) => count <= mostTogether),
      gradientLength: 160,
      titlePadding: 8,
    },
  } as const
  return {
    title: { text: title, subtitle },
    ...size,
    layer: [
      {
        data: { values: rectangles },
        mark: { type: 'rect' },
        encoding: { x, x2: { field: 'costEnd' }, y, y2: { field: 'errorEnd' }, color },
      },
      ...markLayers({ marked, cost, error, x, y }),
    ],
  }
}

interface Marks {
  readonly marked: BenchmarkChart['marked']
  readonly cost: Scale
  readonly error: Scale
  readonly x: object
  readonly y: object
}

function markLayers({ marked, cost, error, x, y }: Marks) {
  if (marked.length === 0) return []
  const place = (field: string) => ({ field, type: 'quantitative', scale: null, axis: null }) as const
  const values = labels(marked, cost, error)
  // white behind the letters, so that they can be read on any colour
  const text = (right: boolean, look: object) => ({
    data: { values: values.filter((value) => value.right === right) },
    mark: {
      type: 'text',
      align: right ? 'left' : 'right',
      baseline: 'middle',
      fontSize: 12,
      ...look,
    } as const,
    encoding: { x: place('x'), y: place('y'), text: { field: 'text', type: 'nominal' } as const },
  })
  const halo = { color: 'white', stroke: 'white', strokeWidth: 4, strokeJoin: 'round', opacity: 0.85 }
  const mark = { filled: true, size: 70, color: markColor, stroke: 'white', opacity: 1 }
  return [
    {
      data: { values: marked.map((point) => ({ cost: point.cost, error: errorOf(point) })) },
      mark: { type: 'point', shape: 'circle', ...mark } as const,
      encoding: { x, y },
    },
    ...[true, false].flatMap((right) => [text(right, halo), text(right, { color: markColor })]),
  ]
}
