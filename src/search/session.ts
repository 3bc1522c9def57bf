/** All that a search holds while it runs, and how it is saved and restored: the state behind exact resume. */
import { z } from 'zod'
import { oneProcess, type Ranks } from '../distributed/ranks.ts'
import { type Average, emptyAverage } from '../loop/averages.ts'
import { ReplayedStep } from '../loop/replay.ts'
import {
  averageSchema,
  countSchema,
  progressSchema,
  type ReadFiles,
  readState,
  readTensors,
  streamSchema,
  streamState,
} from '../loop/state-file.ts'
import {
  disposeModule,
  type InitContext,
  loadTensors,
  Network,
  namedParameters,
  Sgd,
  stateDict,
  Widening,
} from '../nn/index.ts'
import type { Progress } from '../nn/step.ts'
import type { LogLengths } from '../runs/folder.ts'
import { type SearchSpace, type SupernetOptions, stemKinds } from '../spaces/space.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { encodeSafetensors, Generator, tidy } from '../torch/index.ts'
import { type OwnParts, partsOf, type SearchConfig, type SearchParts, searchConfigSchema } from './config.ts'
import type { HalfStreams, SearchImages } from './images.ts'
import { limitsOf, SearchLimits } from './limits.ts'
import { type MemoryWatch, memoryStateSchema, SubspaceMemory } from './memory-watch.ts'
import { type SearchStage, sameSize, stageAt, stagesOf, wholeSize } from './stages.ts'
import { noHistory, type TrustHistory, trustHistory } from './trust.ts'

/** Where a search stands, as plain data. */
export interface SearchProgress extends Progress {
  /** Over this epoch's weight steps. */
  readonly train: Average
  /** Over this epoch's architecture steps. */
  readonly valid: Average
  /** The architecture at the end of the last epoch. */
  readonly lastArchitecture: unknown
  readonly trust: TrustHistory
}

/** What a session uses of its images. */
export type SessionImages = Pick<SearchImages, 'classes' | 'streams' | 'evaluate' | 'dispose'>

/** A search between two steps. */
export interface Session {
  /** The processes that share it. */
  readonly ranks: Ranks
  readonly config: SearchConfig
  readonly device: string
  readonly images: SessionImages
  readonly parts: SearchParts
  readonly space: SearchSpace
  readonly strategy: Strategy
  readonly replay: ReplayedStep
  /** Where the networks that it is for are limited. */
  readonly limits: SearchLimits | undefined
  /** Where subspaces are filled up to memory. */
  readonly memory: SubspaceMemory | undefined
  readonly stages: readonly SearchStage[]
  /** Of this stage. */
  size: Required<SupernetOptions>
  supernet: Network
  optimizer: Sgd
  readonly streams: HalfStreams
  progress: SearchProgress
}

const start: SearchProgress = {
  epoch: 0,
  step: 0,
  globalStep: 0,
  train: emptyAverage,
  valid: emptyAverage,
  lastArchitecture: null,
  trust: noHistory,
}

/**
 * A search before its first step: everything drawn from the seed. It becomes the owner of the images. `fill`: what its subspaces
 * take, where they are filled up to memory.
 * @throws {DdsasError} `input` for a space or strategy that there is not, or settings that do not fit.
 */
export function createSession(
  config: SearchConfig,
  images: SessionImages,
  device: string,
  own: OwnParts = {},
  ranks: Ranks = oneProcess,
  fill?: Pick<MemoryWatch, 'model' | 'available'>,
): Session {
  const { seed } = config
  const parts = partsOf(config, own)
  const { strategy: definition } = parts
  const limiting = limitsOf(config, parts.space, images.classes.length)
  const limits =
    limiting.length > 0 ? new SearchLimits(parts.space, limiting, config.limits, device) : undefined
  const space = limits?.space ?? parts.space
  const init: InitContext = { device, generator: new Generator(seed, 'weights') }
  const stages = stagesOf(config, parts)
  const [{ batch, size: first }] = stages
  const size = { ...wholeSize(first), classes: images.classes.length }
  const stage = makeStage(config, space, size, init, ranks)
  resizeBatches(images.streams, batch)
  const memory = fill && new SubspaceMemory({ config, parts, device, classes: size.classes, ...fill })
  const strategy = definition.create({ space, init, seed, epochs: config.epochs, memory }, config)
  // a sum over processes is not part of a graph
  const replay = ReplayedStep.on(ranks.world > 1 ? 'cpu' : device)
  return {
    ranks,
    config,
    device,
    images,
    parts,
    space,
    strategy,
    replay,
    limits,
    memory,
    stages,
    streams: images.streams,
    ...stage,
    progress: start,
  }
}

/** A supernet and what trains it. */
function makeStage(
  config: SearchConfig,
  space: SearchSpace,
  size: Session['size'],
  init: InitContext,
  { world }: Ranks,
) {
  const synchronised = config.syncBatchNorm && world > 1
  const supernet = new Network(space.supernet(size), init, { precision: config.precision, synchronised })
  return { size, supernet, optimizer: new Sgd(namedParameters(supernet), config.weightOptimizer) }
}

/** What a stage begins with: other batches, or another supernet, whose weights are drawn by the seed or carried over. */
export function beginStage(session: Session, { size, batch, keeps }: SearchStage): void {
  resizeBatches(session.streams, batch)
  if (keeps === 'supernet') return
  const { supernet, optimizer } = session
  replaceSupernet(session, { ...wholeSize(size), classes: session.size.classes })
  if (keeps === 'weights') {
    const generator = new Generator(session.config.seed, `channels of epoch ${session.progress.epoch}`)
    const widening = new Widening(supernet, generator)
    widening.carry(stateDict(supernet), stateDict(session.supernet))
    tidy(() => session.optimizer.load(widening.grown(optimizer.state(), namedParameters(session.supernet))))
  }
  optimizer.dispose()
  disposeModule(supernet)
}

/** Another supernet in the place of the one there is, which stays the caller's, as its optimizer does. */
function replaceSupernet(session: Session, size: Session['size']): void {
  const { config, device, space, ranks, replay } = session
  const generator = new Generator(config.seed, `weights of epoch ${session.progress.epoch}`)
  // what was recorded reads weights that will be gone
  replay.dispose()
  Object.assign(session, makeStage(config, space, size, { device, generator }, ranks))
}

function resizeBatches({ train, valid }: HalfStreams, batch: number): void {
  train.resize(batch)
  valid.resize(batch)
}

/** Frees every tensor of a session. */
export function disposeSession(session: Session): void {
  const { images, supernet, strategy, optimizer, replay, limits } = session
  replay.dispose()
  limits?.dispose()
  images.dispose()
  optimizer.dispose()
  strategy.dispose()
  disposeModule(supernet)
}

const stateSchema = z.object({
  progress: progressSchema.extend({
    train: averageSchema,
    valid: averageSchema,
    lastArchitecture: z.unknown(),
    // older runs did not look
    trust: trustHistory.default(noHistory),
  }),
  streams: z.object({ train: streamSchema, valid: streamSchema }),
  size: z.object({
    channels: z.number(),
    cells: z.number(),
    // older runs had no other
    stem: z.enum(stemKinds).default('cifar'),
    partialChannels: z.number().default(1),
    skipDropout: z.boolean().default(false),
    classes: z.number(),
  }),
  strategy: z.record(z.string(), z.unknown()),
  memory: memoryStateSchema.optional(),
  metricsBytes: countSchema,
  // older runs wrote none
  windowsBytes: countSchema.default(0),
  // of limits alone
  lambdas: z.array(z.number().nonnegative()).optional(),
})

/** The files of a checkpoint. Weights have PyTorch's names, so that other programs can read them. */
export function sessionFiles(session: Session, logs: LogLengths): Record<string, string | Uint8Array> {
  const { config, size, supernet, strategy, optimizer, streams, progress } = session
  const { tensors, data } = strategy.state()
  const state: z.infer<typeof stateSchema> & { readonly config: SearchConfig } = {
    config,
    progress,
    streams: { train: streamState(streams.train), valid: streamState(streams.valid) },
    size,
    strategy: data,
    ...(session.limits ? { lambdas: [...session.limits.penalty.lambdas] } : {}),
    ...(session.memory ? { memory: session.memory.state() } : {}),
    ...logs,
  }
  return {
    'weights.safetensors': encodeSafetensors(stateDict(supernet)),
    'momentum.safetensors': encodeSafetensors(optimizer.state()),
    'strategy.safetensors': encodeSafetensors(tensors),
    'state.json': JSON.stringify(state),
  }
}

/** state.json of a checkpoint of a search with these settings. Throws DdsasError 'checkpoint'. */
export function readSearchState(
  files: ReadFiles,
  config: SearchConfig,
  own: OwnParts,
): z.infer<typeof stateSchema> {
  const schema = z.object({ config: searchConfigSchema(own), ...stateSchema.shape })
  return readState(files, schema, config, 'search')
}

/** The supernet of a later stage, for weights that were saved. */
function restoreSupernet(session: Session, size: Session['size']): void {
  const { supernet, optimizer } = session
  replaceSupernet(session, size)
  optimizer.dispose()
  disposeModule(supernet)
}

/** Puts a new session where a checkpoint's stood; returns how long the run's logs were. */
export function restoreSession(session: Session, files: ReadFiles): LogLengths {
  const state = readSearchState(files, session.config, session.parts)
  const { streams, progress, size } = state
  resizeBatches(session.streams, stageAt(session.stages, progress.epoch).batch)
  if (!sameSize(size, session.size)) restoreSupernet(session, size)
  tidy(() => {
    const tensors = (name: string) => readTensors(files, name)
    loadTensors(stateDict(session.supernet), tensors('weights.safetensors'), 'weights.safetensors')
    session.optimizer.load(tensors('momentum.safetensors'))
    session.strategy.load({ tensors: tensors('strategy.safetensors'), data: state.strategy })
  })
  if (state.lambdas !== undefined) session.limits?.penalty.load(state.lambdas)
  if (state.memory) session.memory?.load(state.memory)
  session.streams.train.load(streams.train)
  session.streams.valid.load(streams.valid)
  const { lastArchitecture: last } = progress
  const lastArchitecture = last === null ? null : session.space.parse(last, 'state.json')
  session.progress = { ...progress, lastArchitecture }
  return { metricsBytes: state.metricsBytes, windowsBytes: state.windowsBytes }
}
