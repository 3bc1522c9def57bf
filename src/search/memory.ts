/** What the tensors of a search may take, and the refusal of one that needs more before it begins. */
import { availableMemory } from '../budget/memory-available.ts'
import { formatSize } from '../budget/memory-size.ts'
import { DdsasError } from '../errors.ts'
import { setMemoryLimit, tensorMemory } from '../torch/index.ts'
import { commandLine } from '../words.ts'
import type { SearchConfig, SearchParts } from './config.ts'
import { DryRun } from './dry-run.ts'
import { FootprintMeter, largestBatch, likelyPeak } from './footprint.ts'
import { batchBytes, datasetBytes, type ImagesShape } from './images-shape.ts'
import { checkpointBytes, type Look, supernetBytes, tensorRoom } from './memory-room.ts'
import { configOf, type SearchStage, stagesOf } from './stages.ts'

/** What tensors may take. */
export interface Budget {
  readonly bytes: number
  /** Who says so, as part of a sentence: "free for tensors on this machine". */
  readonly where: string
}

interface BudgetOptions {
  /** Images that are not read yet. */
  readonly unread?: number
  readonly available?: Look
}

interface DryRunOptions extends BudgetOptions {
  readonly images: ImagesShape
  /** The most in a batch of the dry run. */
  readonly largest: number
  /** What the dry run may take where that is less than there is: it then ends with the DdsasError 'memory' itself. */
  readonly within?: number
  /** Of the search; the first unless given. */
  readonly stage?: SearchStage
}

/**
 * What a process still takes besides after its first steps, at most: JavaScript's memory grows, and cells are drawn in the end. 80
 * to 115 MiB were seen of it.
 */
const margin = 144 * 2 ** 20

/** Bytes that the process will take besides tensors and what it holds already. */
function bytesToCome(config: SearchConfig, parts: SearchParts, unread: number): number {
  const { imageSize, batch, load } = config.data
  // pixels that were decoded, and are not tensors yet
  const decoded = load === 'stream' ? 4 * batchBytes(batch, imageSize) : 0
  return margin + checkpointBytes(config, parts) + datasetBytes(unread, imageSize) + decoded
}

/** What tensors take in any case: weights, a velocity for each, and the data set. */
function leastBytes(config: SearchConfig, parts: SearchParts, { kept }: ImagesShape): number {
  const { weights, statistics } = supernetBytes(config, parts)
  return 2 * weights + statistics + datasetBytes(kept, config.data.imageSize)
}

/** What is free for tensors and what the process holds for them, on the CPU less what it will take besides. */
function roomFor(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  unread: number,
  available: Look,
): Budget | undefined {
  const free = available(device)
  if (free === undefined) return undefined
  const toCome = device === 'cpu' ? bytesToCome(config, parts, unread) : 0
  return { bytes: tensorRoom(free.bytes, device, toCome), where: `${free.where} for tensors` }
}

/** What a search may take for its tensors: its limit where it has one, else what there is; undefined where nobody can tell. */
export function memoryBudget(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  { unread = 0, available = availableMemory }: BudgetOptions = {},
): Budget | undefined {
  return config.memory.limit > 0 ? limitOf(config) : roomFor(config, parts, device, unread, available)
}

function limitOf({ memory }: SearchConfig): Budget {
  return { bytes: memory.limit, where: 'allowed by memory.limit' }
}

/** What the process takes at its peak besides tensors; 0 on devices that have memory of their own. */
export function bytesBesides(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  unread: number,
): number {
  if (device !== 'cpu') return 0
  return process.memoryUsage.rss() - tensorMemory().held + bytesToCome(config, parts, unread)
}

/**
 * Runs `body` with a dry run, which may take no more than there is, or than the limit where that is more. Throws DdsasError
 * 'budget' where it would.
 */
export function withDryRun<Result>(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  { images, largest, unread = 0, available = availableMemory, within, stage }: DryRunOptions,
  body: (dry: DryRun) => Result,
): Result {
  const staged = stage ? configOf(config, stage) : config
  const room = roomFor(staged, parts, device, unread, available)
  const most = room && room.bytes < config.memory.limit ? limitOf(config) : room
  const least = leastBytes(staged, parts, images)
  if (most && least > most.bytes) throw refusal(staged, parts, 'more than', least, most)
  const dry = new DryRun(config, parts, device, largest, images.classes, stage)
  try {
    const bytes = Math.min(most?.bytes ?? Number.POSITIVE_INFINITY, within ?? Number.POSITIVE_INFINITY)
    if (Number.isFinite(bytes) && device === 'cpu') setMemoryLimit(device, bytes)
    return body(dry)
  } catch (error) {
    if (!(error instanceof DdsasError) || error.kind !== 'memory' || !most || within !== undefined)
      throw error
    throw refusal(staged, parts, 'more than', most.bytes, most)
  } finally {
    if (device === 'cpu') setMemoryLimit(device, 0)
    dry.dispose()
  }
}

/**
 * Throws DdsasError 'budget' where the tensors of a search would take more than they may, in any of its stages.
 * Takes a step on small batches of noise in each supernet; near the limit a few more.
 */
export function checkMemory(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: ImagesShape,
  available: Look = availableMemory,
  stages: readonly SearchStage[] = stagesOf(config, parts),
): void {
  if (memoryBudget(config, parts, device, { available }) === undefined) return
  let room = 0
  for (const stage of stages) {
    // with the same supernet fewer candidates run than before: it fits if as many would
    if (stage.keeps === 'supernet' && stage.batch <= room) continue
    room = checkStage(config, parts, device, images, available, stage)
  }
}

/** Returns how large batches could be in such a stage that are known to fit. */
function checkStage(
  config: SearchConfig,
  parts: SearchParts,
  device: string,
  images: ImagesShape,
  available: Look,
  stage: SearchStage,
): number {
  const staged = configOf(config, stage)
  const largest = largestBatch(staged, images)
  return withDryRun(config, parts, device, { images, largest, available, stage }, (dry) => {
    const subspace = parts.strategy.subspace?.of(config)
    const meter = new FootprintMeter(dry, staged, parts, device, images)
    dry.begin(subspace)
    const peak = meter.peak()
    // only now: the process has grown by what such a search takes besides tensors
    const budget = memoryBudget(staged, parts, device, { available })
    // no subspace takes twice as much as another of its size: most searches are known to fit by now
    if (budget && 2 * peak > budget.bytes)
      checkFits(staged, parts, likelyPeak(meter.footprint(subspace)), budget)
    return budget ? (stage.batch * budget.bytes) / (2 * peak) : 0
  })
}

/** Throws DdsasError 'budget' where `needed` bytes of tensors are more than they may take. */
export function checkFits(
  config: SearchConfig,
  parts: SearchParts,
  needed: number,
  budget: Budget | undefined,
): void {
  if (budget !== undefined && needed > budget.bytes) throw refusal(config, parts, 'about', needed, budget)
}

function refusal(
  config: SearchConfig,
  parts: SearchParts,
  about: string,
  needed: number,
  { bytes, where }: Budget,
): DdsasError {
  const subspace = parts.strategy.subspace?.of(config)
  const what = subspace === undefined ? `this search by ${parts.strategy.name}` : `L = ${subspace}`
  const smaller = subspace === undefined ? '' : `${parts.strategy.name}.subspace, `
  return new DdsasError(
    'budget',
    `${what} needs ${about} ${formatSize(needed)} of memory for its tensors, ${formatSize(bytes)} are ` +
      `${where}: use a smaller ${smaller}data.batch, network.channels or evaluation.batch ` +
      `(see: ${commandLine('plan')}), or set memory.limit to what they may take, such as --set memory.limit="${Math.ceil(needed / 2 ** 30)} GiB"`,
  )
}
