/** `roofline`: an estimate of the least time of a search step by this machine's memory and arithmetic, and what it takes. */
import { z } from 'zod'
import type { ChartSpec } from '../src/export/chart.ts'
import type { Program } from '../src/nn/index.ts'
import { tidy } from '../src/torch/index.ts'
import { defineBenchmark, type Shown } from './benchmark.ts'
import { measureSpeed, peakOf, type Speed, speedSchema } from './machine-speed.ts'
import { takeTurns } from './measure.ts'
import { type Settings, shapeOf, shapeSchema, shapeText } from './settings.ts'
import { benchSpaces } from './spaces.ts'
import { spreadOf, spreadSchema, spreadText, turnsText } from './spread.ts'
import { makeSupernet, ourStep, type StepShape } from './step.ts'
import { type Active, type Part, stepWork } from './step-work.ts'
import { addWork, type Work } from './work.ts'

const partSchema = z.object({ what: z.string(), bytes: z.number(), flops: z.number(), floor: z.number() })

export const rooflineSchema = z.object({
  shape: shapeSchema,
  speed: speedSchema,
  /** By operation; `floor` in seconds, an estimate. */
  parts: z.array(partSchema),
  bytes: z.number(),
  flops: z.number(),
  /** Seconds: of all bytes, of all operations, and the sum over operators of whichever is longer for it. */
  floor: z.object({ memory: z.number(), arithmetic: z.number(), both: z.number() }),
  step: spreadSchema,
})

type Report = z.infer<typeof rooflineSchema>

/** The supernet that `ourStep` makes, and the subspace that its first window samples. */
function sampledSupernet(shape: StepShape): { program: Program; active: Active } {
  const { supernet, groups, strategy } = makeSupernet(shape)
  strategy.openWindow()
  const active = tidy(() =>
    Object.fromEntries(groups.map((group) => [group, strategy.archWeights(group).sampledOps])),
  )
  return { program: supernet.program, active }
}

/** Seconds that an operator takes at least: its bytes and its arithmetic can overlap, so the longer counts. */
function floorOf({ bytes, flops }: Work, speed: Speed): number {
  const { memory, arithmetic } = secondsOf({ bytes, flops }, speed)
  return Math.max(memory, arithmetic)
}

/** Of its bytes alone, and of its arithmetic alone, each at the machine's peak. */
function secondsOf({ bytes, flops }: Work, { memory, arithmetic }: Speed) {
  return { memory: bytes / peakOf(memory).perSecond, arithmetic: flops / peakOf(arithmetic).perSecond }
}

/** Added up by operation, the longest first. */
function byOperation(parts: readonly Part[], speed: Speed): Report['parts'] {
  return [...new Set(parts.map(({ what }) => what))]
    .map((what) => {
      const own = parts.filter((part) => part.what === what)
      return { what, ...addWork(own), floor: own.reduce((sum, part) => sum + floorOf(part, speed), 0) }
    })
    .sort((a, b) => b.floor - a.floor)
}

/** The estimated floor of a step on a machine of some speed. */
export function floorsOf(
  parts: readonly Part[],
  speed: Speed,
): Pick<Report, 'parts' | 'bytes' | 'flops' | 'floor'> {
  const { bytes, flops } = addWork(parts)
  const both = parts.reduce((sum, part) => sum + floorOf(part, speed), 0)
  const floor = { ...secondsOf({ bytes, flops }, speed), both }
  return { parts: byOperation(parts, speed), bytes, flops, floor }
}

function measure(settings: Settings): Report {
  const shape = shapeOf(settings)
  const { turns } = settings
  const speed = measureSpeed(turns)
  const { program, active } = sampledSupernet(shape)
  const parts = stepWork({ program, batch: shape.batch, side: benchSpaces[shape.space].images.side }, active)
  const [step] = takeTurns([ourStep(shape)], turns)
  return { shape, speed, ...floorsOf(parts, speed), step: spreadOf(step) }
}

function chart({ shape, parts, step, floor }: Report): ChartSpec {
  const values = [
    { what: 'measured', kind: 'measured', seconds: step.median },
    { what: 'estimated floor', kind: 'floor', seconds: floor.both },
    ...parts.map(({ what, floor: seconds }) => ({ what: `of it ${what}`, kind: 'part', seconds })),
  ]
  return {
    title: {
      text: `A search step takes ${(step.median / floor.both).toFixed(1)} times its estimated floor`,
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

/** "copy 24.6, triad 25.1". */
function ratesText(rates: Speed[keyof Speed], digits: number): string {
  return rates.map(({ name, perSecond }) => `${name} ${(perSecond / 1e9).toFixed(digits)}`).join('; ')
}

function show(report: Report): Shown {
  const { shape, speed, parts, bytes, flops, floor, step } = report
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
        title: `What a search step has to do by an estimate, ${shapeText(shape)}, by operation`,
        columns: ['', 'GB', 'GFLOP', 'estimated floor, ms'],
        rows: [
          ...parts.map((part) => row(part.what, part, part.floor)),
          row('all', { bytes, flops }, floor.both),
        ],
      },
    ],
    notes: [
      `Bytes read and written, GB/s: ${ratesText(speed.memory, 1)}. Operations of float32, GFLOP/s: ` +
        `${ratesText(speed.arithmetic, 0)}. The fastest of each is the machine's peak.`,
      `Memory alone ${floor.memory.toFixed(3)} s, arithmetic alone ${floor.arithmetic.toFixed(3)} s, the longer of the two ` +
        `operator by operator ${floor.both.toFixed(3)} s: an estimate, which kernels that keep tensors in the cache can ` +
        `beat. Measured: ${spreadText(step)} s in ${turnsText([step])}, ${(step.median / floor.both).toFixed(2)} times that.`,
    ],
    charts: { roofline: chart(report) },
  }
}

export const roofline = defineBenchmark({
  about: 'an estimate of the least time of a step by memory traffic and arithmetic here, and what it takes',
  takes: ['turns', 'threads', 'space', 'channels', 'cells', 'batch', 'subspace'],
  schema: rooflineSchema,
  measure,
  show,
})
