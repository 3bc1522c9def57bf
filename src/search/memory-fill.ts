/** What subspaces take that are filled up to `memory.limit`: fitted before a search to peaks of a few small steps. */
import {
  fitMemoryModel,
  type MemoryModel,
  predictMemory,
  type SubspacePeaks,
} from '../budget/memory-model.ts'
import { formatSize } from '../budget/memory-size.ts'
import { DdsasError } from '../errors.ts'
import { Generator, releaseMemory } from '../torch/index.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import type { DryRun } from './dry-run.ts'
import { FootprintMeter, largestBatch } from './footprint.ts'
import type { ImagesShape } from './images-shape.ts'
import { withDryRun } from './memory.ts'
import { memoryForLimit } from './memory-request.ts'
import type { Look } from './memory-room.ts'
import { leastMemory, partsOfConfig, SubspaceMemory } from './memory-watch.ts'
import { runsOf } from './runs.ts'

/** Subspaces that are measured for each kind of part, and at least. */
const perKind = 1.6
const fewest = 24

/**
 * The model of a search's subspaces. Throws DdsasError 'input' where no limit is given, 'budget' where none would be left under
 * it, with the nearest that can be met.
 */
export function fitSubspaceMemory(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: ImagesShape,
  available?: Look,
): MemoryModel {
  if (config.memory.limit === 0)
    throw new DdsasError(
      'input',
      'ddsas.fill = memory fills subspaces up to memory.limit, which is not set: say how much with --memory SIZE',
    )
  const options = { images, largest: largestBatch(config, images), ...(available ? { available } : {}) }
  const fit = ({ few, ...within }: Measuring) =>
    withDryRun(config, parts, device, { ...options, ...within }, (dry) => {
      const meter = new FootprintMeter(dry, config, parts, device, images, few)
      return fitMemoryModel(measureSubspaces(dry, meter, config, parts, images.classes))
    })
  try {
    const model = fitWithin(config.memory.limit, fit)
    checkLeast(config, parts, device, model, images.classes)
    return model
  } finally {
    // else the process would hold what was measured as long as it searches
    releaseMemory()
  }
}

interface Measuring {
  /** Bytes; what is free where it is not said. */
  readonly within?: number
  /** Images of a step that is measured. */
  readonly few?: number
}

/**
 * Measures subspaces under a limit: by smaller steps where hardly any fits, and where that is too little with what is free, so that
 * the nearest limit can be named.
 */
function fitWithin(within: number, fit: (how: Measuring) => MemoryModel): MemoryModel {
  for (const how of [{ within }, { within, few: 8 }])
    try {
      return fit(how)
    } catch (error) {
      if (!(error instanceof DdsasError) || error.kind !== 'memory') throw error
    }
  return fit({})
}

/** What a budget buys. */
export interface FilledSubspaces {
  /** Operations of a group, as a mean over some subspaces. */
  readonly operations: number
  /** Bytes of tensors at the peak of the largest of them. */
  readonly predicted: number
}

/** Subspaces that stand for all that a search samples. */
const someWindows = 8

/** What a search would sample at first, as its strategy fills subspaces up to the limit. */
export function filledSubspaces(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  model: MemoryModel,
  classes: number,
): FilledSubspaces {
  const { space, strategy: definition } = parts
  const available = () => undefined
  const memory = new SubspaceMemory({ config, parts, device, model, classes, available })
  const init = { device, generator: new Generator(config.seed, 'weights') }
  const context = { space, init, seed: config.seed, epochs: config.epochs, memory }
  const strategy = definition.create(context, config)
  try {
    const windows = Array.from({ length: someWindows }, () => {
      strategy.prepareStep({ epoch: 0, step: 0, globalStep: 0 })
      const runs = runsOf(space, strategy)
      const counts = [...runs.values()].map((rows) => rows.flat().length)
      return { count: counts.reduce((sum, one) => sum + one, 0) / counts.length, bytes: memory.predict(runs) }
    })
    const operations = windows.reduce((sum, { count }) => sum + count, 0) / someWindows
    return { operations, predicted: Math.max(...windows.map(({ bytes }) => bytes)) }
  } finally {
    strategy.dispose()
  }
}

/** Throws DdsasError 'budget' where the limit leaves no subspace. */
function checkLeast(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  model: MemoryModel,
  classes: number,
): void {
  const counted = partsOfConfig(config, parts, classes)
  const least = leastMemory(parts, (runs) => predictMemory(model, counted.count(runs)))
  if (least <= config.memory.limit) return
  const process = memoryForLimit(config, parts, device, least)
  throw new DdsasError(
    'budget',
    `the smallest subspaces of '${parts.space.name}' need about ${formatSize(least)} of memory for their tensors, ` +
      `${formatSize(config.memory.limit)} are allowed by memory.limit: the nearest that can be met is --memory ` +
      `${Math.ceil(process / 2 ** 20)}MiB; or use a smaller data.batch, network.channels or evaluation.batch`,
  )
}

/** Peaks in subspaces of all sizes, each of other candidates. */
function measureSubspaces(
  dry: DryRun,
  meter: FootprintMeter,
  config: SearchConfig,
  parts: SearchParts,
  classes: number,
): SubspacePeaks[] {
  const counted = partsOfConfig(config, parts, classes)
  const [smallest] = parts.strategy.subspace?.range(parts.space) ?? [0]
  let largest = parts.strategy.subspace?.whole(config, parts.space) ?? 0
  const seen: SubspacePeaks[] = []
  const wanted = Math.max(fewest, Math.ceil(perKind * counted.kinds))
  for (let turn = 0; seen.length < wanted; turn++) {
    // spread evenly, however many there are
    const size = smallest + Math.round((largest - smallest) * ((turn * goldenRatio) % 1))
    dry.begin(size, turn)
    try {
      const peaks = meter.peaks()
      seen.push({ counts: counted.count(dry.runs), peaks })
    } catch (error) {
      // subspaces as large as this will not be sampled
      if (!(error instanceof DdsasError) || error.kind !== 'memory' || size <= smallest) throw error
      largest = size - 1
    }
  }
  return seen
}

const goldenRatio = (Math.sqrt(5) - 1) / 2
