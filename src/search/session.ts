/** All that a search holds while it runs, and how it is saved and restored: the state behind exact resume. */
import { z } from 'zod'
import { BatchStream, type ImageDataset, type ImageTensors } from '../data/index.ts'
import { toTensors } from '../data/training-images.ts'
import { type Average, emptyAverage } from '../loop/averages.ts'
import type { Place } from '../loop/fit.ts'
import { ReplayedStep } from '../loop/replay.ts'
import {
  averageSchema,
  countSchema,
  placeSchema,
  type ReadFiles,
  readState,
  readTensors,
  streamSchema,
  streamState,
} from '../loop/state-file.ts'
import { disposeModule, loadTensors, type Maker, namedParameters, Sgd, stateDict } from '../nn/index.ts'
import type { LogLengths } from '../runs/folder.ts'
import type { Genotype } from '../spaces/darts/genotype.ts'
import { parseGenotype } from '../spaces/darts/genotype-file.ts'
import { darts } from '../spaces/darts/space.ts'
import { Supernet } from '../spaces/darts/supernet.ts'
import { Ddsas } from '../strategies/ddsas/ddsas.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { encodeSafetensors, Generator, tidy } from '../torch/index.ts'
import { type SearchConfig, searchConfigSchema } from './config.ts'
import { splitInHalves } from './split.ts'

/** Where a search stands, as plain data. */
export interface Progress extends Place {
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
  readonly supernet: Supernet
  readonly strategy: Strategy
  readonly optimizer: Sgd
  readonly replay: ReplayedStep
  readonly streams: { readonly weights: BatchStream; readonly architecture: BatchStream }
  /** Positions of the images that accuracy is measured on. */
  readonly evaluated: readonly number[]
  progress: Progress
}

const start: Progress = {
  epoch: 0,
  step: 0,
  total: 0,
  train: emptyAverage,
  valid: emptyAverage,
  lastGenotype: null,
}

/** A search before its first step: everything drawn from the seed. */
export function createSession(config: SearchConfig, dataset: ImageDataset, device: string): Session {
  const { network, weights, architecture, data: how, seed } = config
  const maker: Maker = { device, generator: new Generator(seed, 'weights') }
  const shape = { space: darts, ...network, classes: dataset.classes.length, precision: config.precision }
  const halves = splitInHalves(dataset.count, config)
  const supernet = new Supernet(shape, maker)
  const strategy = new Ddsas(supernet, { ...config.ddsas, optimizer: architecture }, maker)
  const data = toTensors(dataset, device)
  const stream = (part: readonly number[], name: string) =>
    new BatchStream(data, { part, batch: how.batch, augmentation: how }, new Generator(seed, name))
  const streams = {
    weights: stream(halves.weights, 'weight batches'),
    architecture: stream(halves.architecture, 'architecture batches'),
  }
  const { images } = config.evaluation
  const evaluated = halves.architecture.slice(0, images === 0 ? undefined : images)
  const optimizer = new Sgd(namedParameters(supernet), weights)
  const replay = ReplayedStep.on(device)
  return { config, device, data, supernet, strategy, optimizer, replay, streams, evaluated, progress: start }
}

/** Frees every tensor of a session. */
export function disposeSession(session: Session): void {
  const { data, supernet, strategy, optimizer, replay, streams } = session
  replay.dispose()
  streams.weights.dispose()
  streams.architecture.dispose()
  optimizer.dispose()
  strategy.dispose()
  disposeModule(supernet)
  data.images.dispose()
  data.labels.dispose()
}

const stateSchema = z.object({
  config: searchConfigSchema,
  progress: placeSchema.extend({ train: averageSchema, valid: averageSchema, lastGenotype: z.unknown() }),
  streams: z.object({ weights: streamSchema, architecture: streamSchema }),
  strategy: z.record(z.string(), z.unknown()),
  metricsBytes: countSchema,
  // older runs wrote none
  windowsBytes: countSchema.default(0),
})

/** The files of a checkpoint. Weights have PyTorch's names, so that other programs can read them. */
export function sessionFiles(session: Session, logs: LogLengths): Record<string, string | Uint8Array> {
  const { config, supernet, strategy, optimizer, streams, progress } = session
  const { tensors, data } = strategy.state()
  const state: z.infer<typeof stateSchema> = {
    config,
    progress,
    streams: { weights: streamState(streams.weights), architecture: streamState(streams.architecture) },
    strategy: data,
    ...logs,
  }
  return {
    'weights.safetensors': encodeSafetensors(stateDict(supernet)),
    'momentum.safetensors': encodeSafetensors(optimizer.state()),
    'strategy.safetensors': encodeSafetensors(tensors),
    'state.json': JSON.stringify(state),
  }
}

/** Puts a new session where a checkpoint's stood; returns how long the run's logs were. */
export function restoreSession(session: Session, files: ReadFiles): LogLengths {
  const state = readState(files, stateSchema, session.config, 'search')
  const { streams, progress } = state
  tidy(() => {
    const tensors = (name: string) => readTensors(files, name)
    loadTensors(stateDict(session.supernet), tensors('weights.safetensors'), 'weights.safetensors')
    session.optimizer.load(tensors('momentum.safetensors'))
    session.strategy.load({ tensors: tensors('strategy.safetensors'), data: state.strategy })
  })
  session.streams.weights.load(streams.weights)
  session.streams.architecture.load(streams.architecture)
  const { lastGenotype } = progress
  const genotype = lastGenotype === null ? null : parseGenotype(lastGenotype, 'state.json')
  session.progress = { ...progress, lastGenotype: genotype }
  return { metricsBytes: state.metricsBytes, windowsBytes: state.windowsBytes }
}
