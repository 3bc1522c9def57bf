/** `roofline`: the least time a search step could take by this machine's memory and multiply-adds, and what it takes. */
import { z } from 'zod'
import type { ChartSpec } from '../src/export/chart.ts'
import { namedParameters } from '../src/nn/index.ts'
import { darts } from '../src/spaces/darts.ts'
import { call, conv2d, copy, dtypes, run, type Tensor, tidy } from '../src/torch/index.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { type Contestant, takeTurns } from './measure.ts'
import { type Settings, shapeOf, shapeSchema, shapeText } from './settings.ts'
import { spreadOf, spreadSchema, spreadText } from './spread.ts'
import { makeSupernet, ourStep, type StepShape } from './step.ts'
import { type Active, type Part, stepWork, totalWork } from './step-work.ts'

const partSchema = z.object({ what: z.string(), bytes: z.number(), flops: z.number(), floor: z.number() })

const schema = z.object({
  shape: shapeSchema,
  turns: z.number(),
  /** Bytes read and written a second; floating point operations a second in two ways, the faster of which counts. */
  speed: z.object({ bandwidth: z.number(), matrixProduct: z.number(), convolution: z.number() }),
  /** By operation; `floor` in seconds. */
  parts: z.array(partSchema),
  bytes: z.number(),
  flops: z.number(),
  /** Seconds: of all bytes, of all operations, and the sum over operators of whichever is longer for it. */
  floor: z.object({ memory: z.number(), arithmetic: z.number(), both: z.number() }),
  step: spreadSchema,
})

type Report = z.infer<typeof schema>
type Speed = Report['speed']

/** Larger than any cache: 256 MiB. */
const copied = 2 ** 26
/** Rows and columns: large enough for a matrix product to run at full speed; a square number. */
const order = 1024

const filled = (shape: readonly number[], value: number): Tensor =>
  call('aten::full', shape, value, dtypes.float32)

/** Copies a tensor that no cache holds. Both are written first: pages never written would all be one page of zeros. */
function copying(): Contestant {
  const [from, to] = [1, 2].map((value) => filled([copied], value))
  return { name: 'copy', step: () => copy(to, from) }
}

/** A matrix product: with Debian's libtorch and a plain BLAS far below what the processor can do. */
function multiplying(): Contestant {
  const [a, b, product] = [1, 2, 0].map((value) => filled([order, order], value))
  return { name: 'matrix product', step: () => run('aten::mm.out', a, b, product) }
}

/** The same product as a 1x1 convolution, which oneDNN computes. */
function convolving(): Contestant {
  const side = Math.sqrt(order)
  const [x, weight] = [filled([1, order, side, side], 1), filled([order, order, 1, 1], 2)]
  return {
    name: 'convolution',
    step: () =>
      tidy(() => {
        conv2d(x, weight)
      }),
  }
}

function measureMachine(turns: number): Speed {
  return tidy(() => {
    const contestants = [copying(), multiplying(), convolving()]
    const [copies, ...products] = takeTurns(contestants, turns).map(({ median }) => median)
    const [matrixProduct, convolution] = products.map((seconds) => (2 * order ** 3) / seconds)
    return { bandwidth: (2 * 4 * copied) / copies, matrixProduct, convolution }
  })
}

/** The supernet that `ourStep` makes, for its number of weights and the subspace that its first window samples. */
function sampledSupernet(shape: StepShape): { active: Active; parameters: number } {
  const { supernet, strategy } = makeSupernet(shape)
  strategy.openWindow()
  const weights = [...namedParameters(supernet).values()]
  const active = tidy(() => ({
    normal: strategy.mixing('normal').active,
    reduce: strategy.mixing('reduce').active,
  }))
  return { active, parameters: weights.reduce((sum, { size }) => sum + size, 0) }
}

function peakOf({ matrixProduct, convolution }: Speed): number {
  return Math.max(matrixProduct, convolution)
}

/** Seconds that an operator takes at least: its bytes and its arithmetic can overlap, so the longer counts. */
function floorOf({ bytes, flops }: Part, speed: Speed): number {
  return Math.max(bytes / speed.bandwidth, flops / peakOf(speed))
}

/** Added up by operation, the longest first. */
function byOperation(parts: readonly Part[], speed: Speed): Report['parts'] {
  return [...new Set(parts.map(({ what }) => what))]
    .map((what) => {
      const own = parts.filter((part) => part.what === what)
      return { what, ...totalWork(own), floor: own.reduce((sum, part) => sum + floorOf(part, speed), 0) }
    })
    .sort((a, b) => b.floor - a.floor)
}

/** The floor of a step on a machine of some speed. */
export function floorsOf(
  parts: readonly Part[],
  speed: Speed,
): Pick<Report, 'parts' | 'bytes' | 'flops' | 'floor'> {
  const { bytes, flops } = totalWork(parts)
  const both = parts.reduce((sum, part) => sum + floorOf(part, speed), 0)
  const floor = { memory: bytes / speed.bandwidth, arithmetic: flops / peakOf(speed), both }
  return { parts: byOperation(parts, speed), bytes, flops, floor }
}

function measure(settings: Settings): Report {
  const shape = shapeOf(settings)
  const { turns = 7 } = settings
  const speed = measureMachine(turns)
  const { active, parameters } = sampledSupernet(shape)
  const { channels, cells, batch } = shape
  const parts = stepWork({ space: darts, channels, cells, classes: 10, batch, side: 32 }, active, parameters)
  const [step] = takeTurns([ourStep(shape)], turns)
  return { shape, turns, speed, ...floorsOf(parts, speed), step: spreadOf(step) }
}

function chart({ shape, parts, step, floor }: Report): ChartSpec {
  const values = [
    { what: 'measured', kind: 'measured', seconds: step.median },
    { what: 'floor', kind: 'floor', seconds: floor.both },
    ...parts.map(({ what, floor: seconds }) => ({ what: `of it ${what}`, kind: 'part', seconds })),
  ]
  return {
    title: {
      text: `A search step takes ${(step.median / floor.both).toFixed(1)} times its floor`,
      subtitle: shapeText(shape),
    },
    width: 480,
    data: { values },
    mark: { type: 'bar', height: { band: 0.7 } },
    encoding: {
      y: { field: 'what', type: 'nominal', title: null, sort: null },
      x: { field: 'seconds', type: 'quantitative', title: 'seconds' },
      color: {
        field: 'kind',
        type: 'nominal',
        legend: null,
        scale: { domain: ['measured', 'floor', 'part'], range: ['#4c78a8', '#f58518', '#f9c48a'] },
      },
    },
  }
}

function show(report: Report): Shown {
  const { shape, turns, speed, parts, bytes, flops, floor, step } = report
  const giga = (value: number, digits = 2) => (value / 1e9).toFixed(digits)
  const row = (what: string, work: { bytes: number; flops: number }, seconds: number) => [
    what,
    giga(work.bytes),
    giga(work.flops),
    (1000 * seconds).toFixed(1),
  ]
  return {
    tables: [
      {
        title: `What a search step must do at least, ${shapeText(shape)}, by operation`,
        columns: ['', 'GB', 'GFLOP', 'floor, ms'],
        rows: [
          ...parts.map((part) => row(part.what, part, part.floor)),
          row('all', { bytes, flops }, floor.both),
        ],
      },
    ],
    notes: [
      `A copy moves ${giga(speed.bandwidth, 1)} GB/s (read and written). Multiply-adds of float32: ` +
        `${giga(speed.matrixProduct, 0)} GFLOP/s in a matrix product, ${giga(speed.convolution, 0)} in a 1x1 convolution; ` +
        `the faster is the peak. Medians of ${turns} turns.`,
      `Memory alone ${floor.memory.toFixed(3)} s, arithmetic alone ${floor.arithmetic.toFixed(3)} s, the longer of the two ` +
        `operator by operator ${floor.both.toFixed(3)} s. Measured: ${spreadText(step)} s, ` +
        `${(step.median / floor.both).toFixed(2)} times the floor.`,
    ],
    charts: { roofline: chart(report) },
  }
}

export const roofline = defineBenchmark({
  about:
    'the least time a step could take by memory traffic and arithmetic on this machine, and what it takes',
  takes: ['turns', 'threads', 'channels', 'cells', 'batch', 'subspace'],
  schema,
  measure,
  show,
})
