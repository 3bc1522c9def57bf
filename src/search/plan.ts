/** What a search will cost before it begins: memory and time for each L, from a few steps measured on this device. */
import { z } from 'zod'
import { leastSquares } from '../budget/least-squares.ts'
import { DdsasError } from '../errors.ts'
import { checkRequest, commonRequest } from '../loop/request.ts'
import { resolveDevice, setThreads, watchInterrupts } from '../torch/index.ts'
import { applySettings, checkSchedule, type SearchConfig } from './config.ts'
import type { DryRun } from './dry-run.ts'
import { batchesOf, type Footprint, FootprintMeter, largestBatch, likelyPeak } from './footprint.ts'
import { type Budget, bytesBesides, checkFits, memoryBudget, withDryRun } from './memory.ts'
import { searchPreset } from './presets.ts'
import { checkCounts } from './split.ts'
import { largest, smallest, wholeSpace } from './subspaces.ts'

export interface PlanRequest {
  readonly preset: string
  /** `key=value` assignments on top of the preset. */
  readonly settings?: readonly string[]
  /** Values of L; a few over the whole range unless given. */
  readonly lengths?: readonly number[]
}

const planRequest = {
  preset: z.string(),
  settings: commonRequest.settings,
  lengths: z.array(z.int()).readonly().optional(),
}

/** What a search in subspaces of L operations will take. */
export interface PlannedLength {
  /** L. */
  readonly subspace: number
  /** Bytes of tensors at the peak in the largest subspace that is likely: what `ddsas search` asks for before it starts. */
  readonly memory: number
  /** The same in a typical subspace. */
  readonly tensors: number
  /** Whether a search would start now; null where nobody can tell what is free. */
  readonly fits: boolean | null
  readonly secondsPerStep: number
  /** Of the whole search. */
  readonly seconds: number
}

export interface Plan {
  readonly config: SearchConfig
  readonly device: string
  /** What the tensors of a search may take. */
  readonly budget: Budget | null
  /** Bytes that the process takes besides tensors; 0 on devices that have memory of their own. */
  readonly besides: number
  /** Values of L that were measured. */
  readonly measured: readonly number[]
  readonly stepsPerEpoch: number
  readonly lengths: readonly PlannedLength[]
}

/** Who is told how far it is: `done` of `total` parts, now in subspaces of `subspace` operations. */
export type MeasureObserver = (subspace: number, done: number, total: number) => void

/** What was seen of subspaces of L operations. */
export interface Measurement extends Pick<Footprint, 'typical' | 'spread'> {
  readonly subspace: number
  readonly secondsPerStep: number
  /** Of the measurement of accuracy. */
  readonly secondsPerImage: number
}

/** Training images of both CIFAR data sets. */
const cifarImages = 50_000

const usualLengths = [smallest, 21, 28, 35, 42, 56, 84, largest]

/**
 * Where to measure besides the smallest L: in its middle, and where all operations run, which is the same in every subspace; or
 * nearer where there is no memory for these.
 */
const [middle, nearMiddle, nearWhole] = [35, 21, 70]

/** Parts of measuring, at most. */
const mostParts = 10

/**
 * Measures a few steps and predicts peak memory and time for each L. Throws DdsasError 'input' or 'device' for what cannot
 * be used, 'budget' where not even small subspaces fit, 'interrupted' when the user stops it.
 */
export function planLengths(request: PlanRequest, observer?: MeasureObserver): Plan {
  checkRequest(request, planRequest, 'planLengths')
  const config = applySettings(searchPreset(request.preset), request.settings ?? [])
  const lengths =
    request.lengths ?? [...new Set([...usualLengths, config.ddsas.subspace])].sort((a, b) => a - b)
  for (const length of [...lengths, config.ddsas.subspace]) checkLength(length)
  checkSchedule(config)
  const device = resolveDevice(config.device)
  checkCounts(cifarImages, config)
  setThreads(config.threads)
  const { measurements, budget, besides } = measure(config, device, observer)
  const predict = fit(config, measurements)
  const images = config.data.images || cifarImages
  const half = Math.ceil(images / 2)
  const stepsPerEpoch = Math.ceil(Math.floor(images / 2) / config.data.batch)
  const evaluated = Math.min(half, config.evaluation.images || half)
  const rows = lengths.map((subspace) => {
    const { memory, tensors, secondsPerStep, secondsPerImage } = predict(subspace)
    const seconds = config.epochs * (stepsPerEpoch * secondsPerStep + evaluated * secondsPerImage)
    const fits = budget ? memory <= budget.bytes : null
    return { subspace, memory, tensors, fits, secondsPerStep, seconds }
  })
  const measured = measurements.map(({ subspace }) => subspace)
  return { config, device, budget: budget ?? null, besides, measured, stepsPerEpoch, lengths: rows }
}

function checkLength(length: number): void {
  if (Number.isInteger(length) && length >= smallest && length <= largest) return
  throw new DdsasError('input', `L = ${length} does not fit this space: use ${smallest} … ${largest}`)
}

interface Measured {
  readonly measurements: readonly Measurement[]
  readonly budget: Budget | undefined
  readonly besides: number
}

/** Measures in subspaces of a few sizes. */
function measure(config: SearchConfig, device: string, observer: MeasureObserver = () => {}): Measured {
  const interrupts = watchInterrupts()
  let done = 0
  const begin = (subspace: number) => {
    if (interrupts.interrupted()) throw new DdsasError('interrupted', 'stopped before all was measured')
    observer(subspace, done++, mostParts)
  }
  const options = { images: cifarImages, largest: largestBatch(config, cifarImages), unread: cifarImages }
  try {
    return withDryRun(config, device, options, (dry) => measureIn(dry, config, device, begin))
  } finally {
    interrupts.stop()
  }
}

/** Memory, and time where that suffices; `begin` is called before each part. */
function measureIn(
  dry: DryRun,
  config: SearchConfig,
  device: string,
  begin: (subspace: number) => void,
): Measured {
  const meter = new FootprintMeter(dry, config, device, cifarImages)
  const batches = batchesOf(config, cifarImages)
  const unread = cifarImages
  let budget: Budget | undefined
  const fits = (needed: number) => needed <= (budget?.bytes ?? Number.POSITIVE_INFINITY)
  const measurements: Measurement[] = []
  /** Measures times where there is memory; returns how much is needed. */
  const take = (subspace: number): number => {
    // where a line says that there is none, not even small batches are tried
    const expected = measurements.length > 1 ? fit(config, measurements)(subspace).memory : 0
    if (!fits(expected)) return expected
    begin(subspace)
    const footprint = meter.footprint(subspace)
    const needed = likelyPeak(footprint)
    // only after the first steps: they make the process grow by what a search takes besides tensors
    budget ??= memoryBudget(config, device, { unread })
    if (!fits(needed)) return needed
    dry.enter(footprint.nearest)
    const times = measureTimes(dry, batches, timedTurns(device), () => begin(subspace))
    measurements.push({ subspace, ...footprint, ...times })
    return needed
  }
  const must = (subspace: number) => checkFits(withLength(config, subspace), take(subspace), budget)
  must(smallest)
  if (!fits(take(middle))) must(nearMiddle)
  else if (!fits(take(wholeSpace(config)))) take(nearWhole)
  return { measurements, budget, besides: bytesBesides(config, device, unread) }
}

/** Seconds of a step and of an image of an evaluation; `turns`: of which the last counts. */
function measureTimes(
  dry: DryRun,
  { batch, evaluated }: ReturnType<typeof batchesOf>,
  turns: number,
  begin: () => void,
): Pick<Measurement, 'secondsPerStep' | 'secondsPerImage'> {
  begin()
  const step = dry.step(batch, turns)
  begin()
  const evaluation = dry.evaluate(evaluated, turns)
  return { secondsPerStep: step.seconds, secondsPerImage: evaluation.seconds / evaluated }
}

/** The first time warms up; on a GPU the second is recorded. */
function timedTurns(device: string): number {
  return device === 'cpu' ? 2 : 3
}

function withLength(config: SearchConfig, subspace: number): SearchConfig {
  return { ...config, ddsas: { ...config.ddsas, subspace } }
}

type Prediction = Pick<PlannedLength, 'memory' | 'tensors' | 'secondsPerStep'> & {
  readonly secondsPerImage: number
}

/** All of it is a constant and a part for each operation that runs. */
export function fit(
  config: SearchConfig,
  measurements: readonly Measurement[],
): (subspace: number) => Prediction {
  const whole = wholeSpace(config)
  const lineOf = (key: 'typical' | 'secondsPerStep' | 'secondsPerImage') =>
    line(measurements.map((measurement) => [measurement.subspace, measurement[key]]))
  const [tensors, perStep, perImage] = [
    lineOf('typical'),
    lineOf('secondsPerStep'),
    lineOf('secondsPerImage'),
  ]
  // how sums over L of all operations differ, where each is taken once at most
  const shape = (subspace: number) => Math.sqrt(subspace * Math.max(0, whole - subspace))
  const spreads = measurements.filter(({ subspace }) => subspace < whole)
  const spread = spreads.reduce((sum, one) => sum + one.spread / shape(one.subspace), 0) / spreads.length
  return (subspace) => {
    const at = Math.min(subspace, whole)
    const typical = tensors(at)
    return {
      memory: likelyPeak({ typical, spread: spread * shape(at) }),
      tensors: typical,
      secondsPerStep: perStep(at),
      secondsPerImage: perImage(at),
    }
  }
}

/** The line through points by least squares; flat where it would fall, which noise alone can make it do. */
function line(points: readonly (readonly [x: number, y: number])[]): (x: number) => number {
  const { slope, intercept } = leastSquares(points)
  if (slope >= 0) return (x) => intercept + slope * x
  const mean = points.reduce((sum, [, y]) => sum + y, 0) / points.length
  return () => mean
}
