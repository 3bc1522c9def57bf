/** What a search will cost before it begins: memory and time for each L, from a few steps measured on this device. */
import { z } from 'zod'
import { leastSquares } from '../budget/least-squares.ts'
import type { Available } from '../budget/memory-available.ts'
import { DdsasError } from '../errors.ts'
import { checkRequest, commonRequest } from '../loop/request.ts'
import { darts, edgeCount } from '../spaces/darts/space.ts'
import { variants } from '../strategies/ddsas/ddsas.ts'
import { subspaceSizeRange } from '../strategies/ddsas/subspace.ts'
import { resolveDevice, setThreads } from '../torch/index.ts'
import { applySettings, checkSchedule, type SearchConfig } from './config.ts'
import { checkMemory, memoryBudget, searchFootprint } from './memory.ts'
import { type Measurement, type MeasureObserver, measureLengths } from './plan-measure.ts'
import { searchPreset } from './presets.ts'
import { checkCounts } from './split.ts'

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
  /** Bytes that `ddsas search` asks for before it starts: of the whole process on the CPU, else of the device. */
  readonly memory: number
  /** Of these the tensors at the peak in a typical subspace, from what was measured. */
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
  /** What a search may take. */
  readonly budget: Available | null
  /** Values of L that were measured. */
  readonly measured: readonly number[]
  readonly stepsPerEpoch: number
  readonly lengths: readonly PlannedLength[]
}

/** Training images of both CIFAR data sets. */
const cifarImages = 50_000

const edges = edgeCount(darts)
const [smallest, largest] = subspaceSizeRange(edges, Object.keys(darts.operations).length)
const usualLengths = [smallest, 21, 28, 35, 42, 56, 84, largest]

/** Where to measure, as far as there is memory: far enough apart that noise in the times matters little. */
const candidates = [smallest, 21, 35, 70]

/**
 * Measures a few steps and predicts peak memory and time for each L. Throws DdsasError 'input' or 'device' for what cannot
 * be used, 'memory' where not even small subspaces fit, 'interrupted' when the user stops it.
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
  const images = config.data.images || cifarImages
  setThreads(config.threads)
  const budget = memoryBudget(config, device)
  const chosen = chooseMeasured(config, device, budget)
  const predict = fit(config, measureLengths(config, device, cifarImages, chosen, observer))
  const stepsPerEpoch = Math.ceil(Math.floor(images / 2) / config.data.batch)
  const rows = lengths.map((subspace) => {
    const { needed } = searchFootprint(withLength(config, subspace), device, cifarImages)
    const { tensors, secondsPerStep, secondsPerImage } = predict(subspace)
    const half = Math.ceil(images / 2)
    const evaluated = config.evaluation.images === 0 ? half : Math.min(half, config.evaluation.images)
    const seconds = config.epochs * (stepsPerEpoch * secondsPerStep + evaluated * secondsPerImage)
    return {
      subspace,
      memory: needed,
      tensors,
      fits: budget ? needed <= budget.bytes : null,
      secondsPerStep,
      seconds,
    }
  })
  return { config, device, budget: budget ?? null, measured: chosen, stepsPerEpoch, lengths: rows }
}

function checkLength(length: number): void {
  if (Number.isInteger(length) && length >= smallest && length <= largest) return
  throw new DdsasError('input', `L = ${length} does not fit this space: use ${smallest} … ${largest}`)
}

function withLength(config: SearchConfig, subspace: number): SearchConfig {
  return { ...config, ddsas: { ...config.ddsas, subspace } }
}

/** The smallest L, the largest candidate that fits, and one between where there is one. */
function chooseMeasured(config: SearchConfig, device: string, budget: Available | undefined): number[] {
  const footprint = (length: number) =>
    searchFootprint(withLength(config, length), device, cifarImages).needed
  const fitting = candidates.filter((length) => budget === undefined || footprint(length) <= budget.bytes)
  if (fitting.length < 2)
    checkMemory(withLength(config, candidates[fitting.length]), device, cifarImages, budget)
  return fitting.length > 3 ? [fitting[0], ...fitting.slice(-2)] : fitting
}

type Prediction = Pick<PlannedLength, 'tensors' | 'secondsPerStep'> & { readonly secondsPerImage: number }

/** All of it is a constant and a part for each operation that runs. */
export function fit(
  { ddsas }: SearchConfig,
  measurements: readonly Measurement[],
): (subspace: number) => Prediction {
  // where `none` takes no place of a subspace, there is no more to run once all others are in
  const most = variants[ddsas.variant].noneCounts ? largest : largest - edges
  const lineOf = (key: Exclude<keyof Measurement, 'subspace'>) =>
    line(measurements.map((measurement) => [measurement.subspace, measurement[key]]))
  const lines = {
    step: lineOf('stepBytes'),
    evaluation: lineOf('evaluationBytes'),
    perStep: lineOf('secondsPerStep'),
    perImage: lineOf('secondsPerImage'),
  }
  return (subspace) => {
    const at = Math.min(subspace, most)
    return {
      tensors: Math.max(lines.step(at), lines.evaluation(at)),
      secondsPerStep: lines.perStep(at),
      secondsPerImage: lines.perImage(at),
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
