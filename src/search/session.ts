/** All that a search holds while it runs, and how it is saved and restored: the state behind exact resume. */
import { z } from 'zod'
import { BatchStream, type ImageDataset, type ImageTensors } from '../data/index.ts'
import { toTensors } from '../data/training-images.ts'
import { type Average, emptyAverage } from '../loop/averages.ts'
import type { Progress } from '../loop/fit.ts'
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
} from '../nn/index.ts'
import type { Genotype } from '../spaces/darts/genotype.ts'
import { parseGenotype } from '../spaces/darts/genotype-file.ts'
import { supernetProgram } from '../spaces/darts/programs.ts'
import { darts } from '../spaces/darts/space.ts'
import { Ddsas } from '../strategies/ddsas/ddsas.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { encodeSafetensors, Generator, tidy } from '../torch/index.ts'
import { type SearchConfig, searchConfigSchema } from './config.ts'
import { splitTrainVal } from './split.ts'

/** Where a search stands, as plain data. */
export interface SearchProgress extends Progress {
  /** Over this epoch's weight steps. */
  readonly train: Average
  /** Over this epoch's architecture steps. */
  readonly valid: Average
  /** The genotype at the end of the last epoch. */
  readonly lastGenotype: Genotype | null
}

/** A search between two steps. */
export interface Session {
  readonly config: SearchConfig
  readonly device: string
  readonly data: ImageTensors
  readonly supernet: Network
  readonly strategy: Strategy
  readonly optimizer: Sgd
  readonly replay: ReplayedStep
  readonly streams: { readonly train: BatchStream; readonly valid: BatchStream }
  /** Positions of the images that accuracy is measured on. */
  readonly evaluated: readonly number[]
  progress: SearchProgress
}

const start: SearchProgress = {
  epoch: 0,
  step: 0,
  globalStep: 0,
  train: emptyAverage,
  valid: emptyAverage,
  lastGenotype: null,
}

/** A search before its first step: everything drawn from the seed. */
export function createSession(config: SearchConfig, dataset: ImageDataset, device: string): Session {
  const { network, weightOptimizer, archOptimizer, data: how, seed } = config
  const context: InitContext = { device, generator: new Generator(seed, 'weights') }
  const program = supernetProgram({ space: darts, ...network, classes: dataset.classes.length })
  const split = splitTrainVal(dataset.count, config)
  const supernet = new Network(program, context, { precision: config.precision })
  const strategy = new Ddsas(darts, supernet, { ...config.ddsas, optimizer: archOptimizer }, context)
  const data = toTensors(dataset, device)
  const stream = (part: readonly number[], name: string) =>
    new BatchStream(data, { part, batch: how.batch, augmentation: how }, new Generator(seed, name))
  const streams = {
    train: stream(split.train, 'weight batches'),
    valid: stream(split.valid, 'architecture batches'),
  }
  const { images } = config.evaluation
  const evaluated = split.valid.slice(0, images === 0 ? undefined : images)
  const optimizer = new Sgd(namedParameters(supernet), weightOptimizer)
  const replay = ReplayedStep.on(device)
  return { config, device, data, supernet, strategy, optimizer, replay, streams, evaluated, progress: start }
}

/** Frees every tensor of a session. */
export function disposeSession(session: Session): void {
  const { data, supernet, strategy, optimizer, replay, streams } = session
  replay.dispose()
  streams.train.dispose()
  streams.valid.dispose()
  optimizer.dispose()
  strategy.dispose()
  disposeModule(supernet)
  data.images.dispose()
  data.labels.dispose()
}

const stateSchema = z.object({
  config: searchConfigSchema,
  progress: progressSchema.extend({ train: averageSchema, valid: averageSchema, lastGenotype: z.unknown() }),
  streams: z.object({ train: streamSchema, valid: streamSchema }),
  strategy: z.record(z.string(), z.unknown()),
  metricsBytes: countSchema,
})

/** The files of a checkpoint. Weights have PyTorch's names, so that other programs can read them. */
export function sessionFiles(session: Session, metricsBytes: number): Record<string, string | Uint8Array> {
  const { config, supernet, strategy, optimizer, streams, progress } = session
  const { tensors, data } = strategy.state()
  const state: z.infer<typeof stateSchema> = {
    config,
    progress,
    streams: { train: streamState(streams.train), valid: streamState(streams.valid) },
    strategy: data,
    metricsBytes,
  }
  return {
    'weights.safetensors': encodeSafetensors(stateDict(supernet)),
    'momentum.safetensors': encodeSafetensors(optimizer.state()),
    'strategy.safetensors': encodeSafetensors(tensors),
    'state.json': JSON.stringify(state),
  }
}

/** Puts a new session where a checkpoint's stood; returns how long the metrics were. */
export function restoreSession(session: Session, files: ReadFiles): number {
  const state = readState(files, stateSchema, session.config, 'search')
  const { streams, progress } = state
  tidy(() => {
    const tensors = (name: string) => readTensors(files, name)
    loadTensors(stateDict(session.supernet), tensors('weights.safetensors'), 'weights.safetensors')
    session.optimizer.load(tensors('momentum.safetensors'))
    session.strategy.load({ tensors: tensors('strategy.safetensors'), data: state.strategy })
  })
  session.streams.train.load(streams.train)
  session.streams.valid.load(streams.valid)
  const { lastGenotype } = progress
  const genotype = lastGenotype === null ? null : parseGenotype(lastGenotype, 'state.json')
  session.progress = { ...progress, lastGenotype: genotype }
  return state.metricsBytes
}
