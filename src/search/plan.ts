/** What a search will cost before it begins: memory and time for each L, from a few steps measured on this device. */
import { z } from 'zod'
import type { CostRange } from '../budget/limits.ts'
import type { TargetNetwork } from '../budget/network-costs.ts'
import { cifarLayouts } from '../data/cifar-layout.ts'
import { DdsasError } from '../errors.ts'
import { checkRequest } from '../loop/request.ts'
import { resolveDevice, setThreads, watchInterrupts } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import type { DryRun } from './dry-run.ts'
import { batchesOf, FootprintMeter, largestBatch, likelyPeak } from './footprint.ts'
import { findImages } from './images.ts'
import { type ImagesShape, shapeOfDataset } from './images-shape.ts'
import { costRanges, targetNetwork } from './limits.ts'
import { type Budget, bytesBesides, checkFits, memoryBudget, withDryRun } from './memory.ts'
import { type FilledSubspaces, filledSubspaces, fitSubspaceMemory } from './memory-fill.ts'
import { fillsMemory } from './memory-request.ts'
import { fit, type Measurement, type Prediction } from './plan-fit.ts'
import { requestedSearch, type SearchRequest, searchRequest } from './request.ts'
import { checkCounts } from './split.ts'
import { configOf, type SearchStage, stagesOf } from './stages.ts'

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

/** What the epochs of a stage will take. */
export interface PlannedStage
  extends Pick<SearchStage, 'from' | 'to' | 'size' | 'batch'>,
    Pick<PlannedLength, 'memory' | 'tensors' | 'secondsPerStep' | 'seconds'> {
  readonly stepsPerEpoch: number
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
  /** Where a search has several stages: what each takes. */
  readonly stages: readonly PlannedStage[]
  /** Where subspaces are filled up to memory: what that buys, and the one L of the plan. */
  readonly filled: FilledSubspaces | null
  readonly lengths: readonly PlannedLength[]
  /** Networks to be trained of the usual size, or of `limits.network`: what they cost. */
  readonly networks: { readonly size: TargetNetwork; readonly costs: readonly CostRange[] }
}

/** Who is told how far it is: `done` of `total` parts, now in subspaces of `subspace` operations. */
export type MeasureObserver = (subspace: number | null, done: number, total: number) => void

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
  return [smallest, ...parts.filter((length) => length > smallest), largest]
}

/**
 * Where to measure besides the smallest L: in its middle, and where all operations run, which is the same in every subspace; or
 * nearer where there is no memory for these.
 */
function measuredLengths({ smallest, largest, whole }: Lengths) {
  const part = (share: number, least: number) => Math.max(Math.round(share * largest), smallest + least)
  return { middle: part(0.3125, 2), nearMiddle: part(0.1875, 1), whole, nearWhole: part(0.625, 3) }
}

/** Parts of measuring, at most; of several stages each has two. */
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
  const all = stagesOf(config, parts)
  const perStage = Math.max(2, Math.ceil(mostParts / all.length))
  const found = all.map((stage, index) =>
    measure(config, parts, device, images, stage, (subspace, done) =>
      observer?.(subspace, index * perStage + done, all.length * perStage),
    ),
  )
  const [{ measurements, budget, besides }] = found.toReversed()
  const whole = lengthsOf(config, parts)?.whole
  const predict = found.map((measured) => fit(whole, measured.measurements))
  const rows = lengths.map((subspace): PlannedLength => {
    const row = totalOf(
      subspace,
      all.map((stage, at) => plannedStage(stage, predict[at](subspace), config, images.shape)),
    )
    const fits = budget ? row.memory <= budget.bytes : null
    return filled ? { ...row, memory: filled.predicted, fits: true } : { ...row, fits }
  })
  const stages =
    all.length > 1 ? all.map((stage, at) => plannedStage(stage, predict[at](null), config, images.shape)) : []
  const stepsPerEpoch = Math.ceil(images.shape.train / config.data.batch)
  const measured = measurements.map(({ subspace }) => subspace)
  const networks = { size: targetNetwork(config, parts.space), costs: costRanges(config, parts.space) }
  return {
    ...{ config: asked, device, budget: budget ?? null, besides, measured, stepsPerEpoch, filled },
    ...{ stages, lengths: rows, networks },
  }
}

function plannedStage(
  { from, to, size, batch }: SearchStage,
  { memory, tensors, secondsPerStep, secondsPerImage }: Prediction,
  { evaluation }: SearchConfig,
  { train, valid }: ImagesShape,
): PlannedStage {
  const stepsPerEpoch = Math.ceil(train / batch)
  const evaluated = Math.min(valid, evaluation.images || valid)
  const seconds = (to - from) * (stepsPerEpoch * secondsPerStep + evaluated * secondsPerImage)
  return { from, to, size, batch, stepsPerEpoch, memory, tensors, secondsPerStep, seconds }
}

/** Memory of the largest stage, time of all, and of a mean step. */
function totalOf(subspace: number | null, stages: readonly PlannedStage[]): Omit<PlannedLength, 'fits'> {
  const most = (key: 'memory' | 'tensors') => Math.max(...stages.map((stage) => stage[key]))
  const sum = (of: (stage: PlannedStage) => number) => stages.reduce((total, stage) => total + of(stage), 0)
  const steps = ({ from, to, stepsPerEpoch }: PlannedStage) => (to - from) * stepsPerEpoch
  const secondsPerStep =
    stages.length === 1
      ? stages[0].secondsPerStep
      : sum((stage) => steps(stage) * stage.secondsPerStep) / sum(steps)
  const seconds = sum((stage) => stage.seconds)
  return { subspace, memory: most('memory'), tensors: most('tensors'), secondsPerStep, seconds }
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

/** Measures in subspaces of a few sizes, in the supernet and the batches of a stage. */
function measure(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: PlannedImages,
  stage: SearchStage,
  tell: (subspace: number | null, done: number) => void,
): Measured {
  const interrupts = watchInterrupts()
  let done = 0
  const begin = (subspace: number | null) => {
    if (interrupts.interrupted()) throw new DdsasError('interrupted', 'stopped before all was measured')
    tell(subspace, done++)
  }
  const { shape, unread } = images
  const staged = configOf(config, stage)
  const options = { images: shape, largest: largestBatch(staged, shape), unread, stage }
  try {
    return withDryRun(config, parts, device, options, (dry) =>
      measureIn(dry, staged, parts, device, images, begin),
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
