/** What a search will cost before it begins: memory and time for each L, from a few steps measured on this device. */
import { z } from 'zod'
import { leastSquares } from '../budget/least-squares.ts'
import type { CostRange } from '../budget/limits.ts'
import type { TargetNetwork } from '../budget/network-costs.ts'
import { cifarLayouts } from '../data/cifar-layout.ts'
import { DdsasError } from '../errors.ts'
import { checkRequest } from '../loop/request.ts'
import { resolveDevice, setThreads, watchInterrupts } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import type { DryRun } from './dry-run.ts'
import { batchesOf, type Footprint, FootprintMeter, largestBatch, likelyPeak } from './footprint.ts'
import { findImages } from './images.ts'
import { type ImagesShape, shapeOfDataset } from './images-shape.ts'
import { costRanges, targetNetwork } from './limits.ts'
import { type Budget, bytesBesides, checkFits, memoryBudget, withDryRun } from './memory.ts'
import { type FilledSubspaces, filledSubspaces, fitSubspaceMemory } from './memory-fill.ts'
import { fillsMemory } from './memory-request.ts'
import { requestedSearch, type SearchRequest, searchRequest } from './request.ts'
import { checkCounts } from './split.ts'

const asASearch = [
  'preset',
  'config',
  'settings',
  'epochs',
  'device',
  'threads',
  'space',
  'strategy',
  'data',
  'memory',
] as const

/** A search as `runSearch` takes it. */
export interface PlanRequest extends Pick<SearchRequest, (typeof asASearch)[number]> {
  /** Values of L, or that of the settings alone; a few over the whole range unless given. */
  readonly lengths?: readonly number[] | 'own'
}

/** What of a search's request a plan depends on. */
export function planRequestOf(request: SearchRequest): PlanRequest {
  return Object.fromEntries(asASearch.map((key) => [key, request[key]]))
}

const planRequest = {
  ...Object.fromEntries(asASearch.map((key) => [key, searchRequest[key]])),
  lengths: z.union([z.literal('own'), z.array(z.int()).readonly()]).optional(),
}

/** What a search in subspaces of L operations will take. */
export interface PlannedLength {
  /** L; null where the strategy has none. */
  readonly subspace: number | null
  /** Bytes of tensors at the peak in the largest subspace that is likely: what `ddsas search` asks for before it starts. */
  readonly memory: number
  /** The same in a typical subspace. */
  readonly tensors: number
  /** Whether a search would start now; null where nobody can tell what is free. */
  readonly fits: boolean | null
  readonly secondsPerStep: number
  /** Of the whole search. */
  readonly seconds: number
  /** How many fit, where a time was asked for. */
  readonly epochs?: number
}

export interface Plan {
  readonly config: SearchConfig
  readonly device: string
  /** What the tensors of a search may take. */
  readonly budget: Budget | null
  /** Bytes that the process takes besides tensors; 0 on devices that have memory of their own. */
  readonly besides: number
  /** Values of L that were measured. */
  readonly measured: readonly (number | null)[]
  readonly stepsPerEpoch: number
  /** Where subspaces are filled up to memory: what that buys, and the one L of the plan. */
  readonly filled: FilledSubspaces | null
  readonly lengths: readonly PlannedLength[]
  /** Networks to be trained of the usual size, or of `limits.network`: what they cost. */
  readonly networks: { readonly size: TargetNetwork; readonly costs: readonly CostRange[] }
}

/** Who is told how far it is: `done` of `total` parts, now in subspaces of `subspace` operations. */
export type MeasureObserver = (subspace: number | null, done: number, total: number) => void

/** What was seen of subspaces of L operations. */
export interface Measurement extends Pick<Footprint, 'typical' | 'spread'> {
  readonly subspace: number | null
  readonly secondsPerStep: number
  /** Of the measurement of accuracy. */
  readonly secondsPerImage: number
}

/** Training images of both CIFAR data sets. */
const cifarImages = 50_000

/** What a plan knows of the images of a search. */
interface PlannedImages {
  readonly shape: ImagesShape
  /** Images that a search will read before it makes tensors of them. */
  readonly unread: number
}

/** CIFAR's are known; those of a folder are counted. Throws DdsasError 'input' or 'data' where that cannot be. */
function plannedImages({ data }: PlanRequest, config: SearchConfig, device: string): PlannedImages {
  const { dataset } = config
  if (dataset !== 'folder') {
    checkCounts(cifarImages, config)
    const { classes } = cifarLayouts[dataset]
    return { shape: shapeOfDataset(cifarImages, classes.length, config), unread: cifarImages }
  }
  if (data === undefined)
    throw new DdsasError(
      'input',
      'how much a search needs depends on the number of images: name their folder by --data',
    )
  return { shape: findImages(config, data, device).shape, unread: 0 }
}

/** The values of L that a plan may be asked for, those it shows, and where it measures. */
interface Lengths {
  readonly smallest: number
  readonly largest: number
  /** From which L on every candidate runs. */
  readonly whole: number
}

/** Undefined where the strategy has no L. */
function lengthsOf(config: SearchConfig, { space, strategy }: SearchParts): Lengths | undefined {
  if (strategy.subspace === undefined) return undefined
  const [smallest, largest] = strategy.subspace.range(space)
  return { smallest, largest, whole: strategy.subspace.whole(config, space) }
}

/** Parts of the whole space: of the 112 operations of DARTS's 15, 21, 28, 35, 42, 56, 84, 112. */
function usualLengths({ smallest, largest }: Lengths): number[] {
  const parts = [0.1875, 0.25, 0.3125, 0.375, 0.5, 0.75].map((part) => Math.round(part * largest))
  return [smallest, ...parts, largest]
}

/**
 * Where to measure besides the smallest L: in its middle, and where all operations run, which is the same in every subspace; or
 * nearer where there is no memory for these.
 */
function measuredLengths({ smallest, largest, whole }: Lengths) {
  const part = (share: number, least: number) => Math.max(Math.round(share * largest), smallest + least)
  return { middle: part(0.3125, 2), nearMiddle: part(0.1875, 1), whole, nearWhole: part(0.625, 3) }
}

/** Parts of measuring, at most. */
const mostParts = 10

/**
 * Measures a few steps and predicts peak memory and time for each L. Throws DdsasError 'input' or 'device' for what cannot
 * be used, 'budget' where not even small subspaces fit, 'interrupted' when the user stops it.
 */
export function planLengths(request: PlanRequest, observer?: MeasureObserver): Plan {
  checkRequest(request, planRequest, 'planLengths')
  const { config: asked, parts } = requestedSearch(request)
  const device = resolveDevice(asked.device)
  const images = plannedImages(request, asked, device)
  setThreads(asked.threads)
  const filled = fillsMemory(asked, parts) ? planFilled(asked, parts, device, images.shape) : null
  const config = filled ? withLength(asked, parts, Math.round(filled.operations)) : asked
  const lengths = askedLengths(filled ? { lengths: 'own' } : request, config, parts)
  const { measurements, budget, besides } = measure(config, parts, device, images, observer)
  const predict = fit(lengthsOf(config, parts)?.whole, measurements)
  const { train, valid } = images.shape
  const stepsPerEpoch = Math.ceil(train / config.data.batch)
  const evaluated = Math.min(valid, config.evaluation.images || valid)
  const rows = lengths.map((subspace): PlannedLength => {
    const { memory, tensors, secondsPerStep, secondsPerImage } = predict(subspace)
    const seconds = config.epochs * (stepsPerEpoch * secondsPerStep + evaluated * secondsPerImage)
    const fits = budget ? memory <= budget.bytes : null
    const row = { subspace, memory, tensors, fits, secondsPerStep, seconds }
    return filled ? { ...row, memory: filled.predicted, fits: true } : row
  })
  const measured = measurements.map(({ subspace }) => subspace)
  const networks = { size: targetNetwork(config, parts.space), costs: costRanges(config, parts.space) }
  return {
    ...{ config: asked, device, budget: budget ?? null, besides, measured, stepsPerEpoch, filled },
    ...{ lengths: rows, networks },
  }
}

/** What the limit of a search buys that fills its subspaces up to it. */
function planFilled(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: ImagesShape,
): FilledSubspaces {
  const model = fitSubspaceMemory(config, parts, device, images)
  return filledSubspaces(config, parts, device, model, images.classes)
}

/** Those asked for, else a few over the whole range and the one of the settings. Throws DdsasError 'input' for what does not fit. */
function askedLengths(
  { lengths }: Pick<PlanRequest, 'lengths'>,
  config: SearchConfig,
  parts: SearchParts,
): readonly (number | null)[] {
  const known = lengthsOf(config, parts)
  const own = parts.strategy.subspace?.of(config)
  if (lengths === 'own') return [own ?? null]
  if (known === undefined || own === undefined) {
    if (lengths === undefined) return [null]
    throw new DdsasError('input', `${parts.strategy.name} has no L: leave it out`)
  }
  const { smallest, largest } = known
  for (const length of lengths ?? [])
    if (!Number.isInteger(length) || length < smallest || length > largest)
      throw new DdsasError('input', `L = ${length} does not fit this space: use ${smallest} … ${largest}`)
  return lengths ?? [...new Set([...usualLengths(known), own])].sort((a, b) => a - b)
}

interface Measured {
  readonly measurements: readonly Measurement[]
  readonly budget: Budget | undefined
  readonly besides: number
}

/** Measures in subspaces of a few sizes. */
function measure(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: PlannedImages,
  observer: MeasureObserver = () => {},
): Measured {
  const interrupts = watchInterrupts()
  let done = 0
  const begin = (subspace: number | null) => {
    if (interrupts.interrupted()) throw new DdsasError('interrupted', 'stopped before all was measured')
    observer(subspace, done++, mostParts)
  }
  const { shape, unread } = images
  const options = { images: shape, largest: largestBatch(config, shape), unread }
  try {
    return withDryRun(config, parts, device, options, (dry) =>
      measureIn(dry, config, parts, device, images, begin),
    )
  } finally {
    interrupts.stop()
  }
}

/** Memory, and time where that suffices; `begin` is called before each part. */
function measureIn(
  dry: DryRun,
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  { shape, unread }: PlannedImages,
  begin: (subspace: number | null) => void,
): Measured {
  const meter = new FootprintMeter(dry, config, parts, device, shape)
  const batches = batchesOf(config, shape)
  const lengths = lengthsOf(config, parts)
  let budget: Budget | undefined
  let besides: number | undefined
  const fits = (needed: number) => needed <= (budget?.bytes ?? Number.POSITIVE_INFINITY)
  const measurements: Measurement[] = []
  /** Measures times where there is memory; returns how much is needed. */
  const take = (subspace: number | null): number => {
    // where a line says that there is none, not even small batches are tried
    const expected = measurements.length > 1 ? fit(lengths?.whole, measurements)(subspace).memory : 0
    if (!fits(expected)) return expected
    begin(subspace)
    const footprint = meter.footprint(subspace ?? undefined)
    const needed = likelyPeak(footprint)
    // only after the first steps: they make the process grow by what a search takes besides tensors
    budget ??= memoryBudget(config, parts, device, { unread })
    besides ??= bytesBesides(config, parts, device, unread)
    if (!fits(needed)) return needed
    const times = measureTimes(dry, batches, timedTurns(device), () => begin(subspace))
    measurements.push({ subspace, ...footprint, ...times })
    return needed
  }
  const must = (subspace: number | null) =>
    checkFits(withLength(config, parts, subspace), parts, take(subspace), budget)
  must(lengths?.smallest ?? null)
  if (lengths !== undefined) {
    const { middle, nearMiddle, whole, nearWhole } = measuredLengths(lengths)
    if (!fits(take(middle))) must(nearMiddle)
    else if (!fits(take(whole))) take(nearWhole)
  }
  return { measurements, budget, besides: besides ?? 0 }
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

function withLength(config: SearchConfig, { strategy }: SearchParts, subspace: number | null): SearchConfig {
  return subspace === null ? config : { ...config, ...strategy.subspace?.with(config, subspace) }
}

type Prediction = Pick<PlannedLength, 'memory' | 'tensors' | 'secondsPerStep'> & {
  readonly secondsPerImage: number
}

/** All of it is a constant and a part for each operation that runs; `whole`: from which L on all do. */
export function fit(
  whole: number | undefined,
  measurements: readonly Measurement[],
): (subspace: number | null) => Prediction {
  const lineOf = (key: 'typical' | 'secondsPerStep' | 'secondsPerImage') =>
    line(measurements.map((measurement) => [measurement.subspace ?? 0, measurement[key]]))
  const [tensors, perStep, perImage] = [
    lineOf('typical'),
    lineOf('secondsPerStep'),
    lineOf('secondsPerImage'),
  ]
  // how sums over L of all operations differ, where each is taken once at most
  const shape = (subspace: number) =>
    whole === undefined ? 1 : Math.sqrt(subspace * Math.max(0, whole - subspace))
  const spreads = measurements.flatMap(({ subspace, spread }) => {
    const by = shape(subspace ?? 0)
    return by === 0 ? [] : [spread / by]
  })
  const spread = spreads.reduce((sum, one) => sum + one, 0) / spreads.length
  return (subspace) => {
    const at = Math.min(subspace ?? 0, whole ?? 0)
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
