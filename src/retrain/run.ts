/** A training as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { DdsasError } from '../errors.ts'
import {
  describeChanges,
  newRecord,
  type RunKind,
  type RunRecord,
  readRecord,
  requestedConfig,
  resumedConfig,
} from '../loop/record.ts'
import { type CommonRequest, checkRequest, commonRequest, type StopSignal } from '../loop/request.ts'
import {
  checkSpace,
  createRun,
  deviceOf,
  refuseCheckpoint,
  refuseOut,
  restoreCheckpoint,
  withLock,
} from '../loop/resume.ts'
import { emptyLogs, RunFolder } from '../runs/folder.ts'
import { findSpace } from '../spaces/index.ts'
import { spaceOf, usualNetwork } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { setThreads } from '../torch/index.ts'
import { type TrainConfig, trainConfigSchema } from './config.ts'
import { type OnSkippedFile, resizeOf, type SkippedFile } from './images.ts'
import { trainPreset } from './presets.ts'
import { type TrainObserver, type TrainReport, train } from './train.ts'
import { createTraining, disposeTraining, restoreTraining, type Training, trainingFiles } from './training.ts'
import { trainWarnings } from './warnings.ts'

/** What a user asks for: a cell and a preset with changes, or a run to go on with. */
export interface TrainRequest extends CommonRequest {
  /** Required for a new training: an architecture, or the text of one. */
  readonly genotype?: unknown
  /** What it is an architecture of: a name, `darts` unless given, or a space of one's own. */
  readonly space?: string | SearchSpace | undefined
  /** `cifar10` unless given. */
  readonly preset?: string | undefined
}

const trainRequest = {
  ...commonRequest,
  genotype: z.unknown(),
  space: z.union([z.string(), z.looseObject({ name: z.string() })]).optional(),
}

/** The space of a request, else that of the settings; a run's own cannot be another. */
function spaceFor({ space }: TrainRequest, config: TrainConfig): SearchSpace {
  if (typeof space === 'object' && space.name === config.space) return space
  return findSpace(config.space)
}

/** Settings for the space that a request names: where that is another, with the size of its networks. */
function inSpace({ space }: TrainRequest, config: TrainConfig): TrainConfig {
  if (space === undefined) return config
  const found = spaceOf({ space })
  if (found.name === config.space) return config
  const { kind, channels, cells } = usualNetwork(found, config.network.kind)
  return { ...config, space: found.name, network: { kind, channels, cells } }
}

export interface TrainStart {
  readonly run: RunFolder
  readonly config: TrainConfig
  readonly device: string
  readonly training: Training
  /** Steps already done by the run that is resumed; 0 for a new one. */
  readonly done: number
  /** What may make a resumed run differ from an uninterrupted one, such as another libtorch. */
  readonly notes: readonly string[]
  /** What the user may want to change, or know. */
  readonly warnings: readonly string[]
}

/** Who is told what a run is before it starts, and of its progress. */
export interface TrainRunObserver extends TrainObserver {
  start?(about: TrainStart): void
  /** Of each file of an image folder that cannot be decoded, once, with how many there are so far. */
  skip?(file: SkippedFile, count: number): void
}

export interface TrainResult {
  readonly run: RunFolder
  readonly report: TrainReport
}

export const trainKind: RunKind<TrainConfig> = {
  kind: 'train',
  name: 'training',
  schema: trainConfigSchema,
  preset: trainPreset,
  effective: (config) => {
    const { dataset, data } = config
    // CIFAR's images are not resized, whatever is set
    return { ...config, data: { ...data, resize: dataset === 'folder' ? resizeOf(data) : 0 } }
  },
}

/**
 * Begins a new training or resumes one, and runs it to the end; whatever can be refused is refused before anything is
 * written. Throws DdsasError: 'input', 'data', 'checkpoint' or 'device' for what cannot be used; what `train` throws.
 */
export async function runTrain(request: TrainRequest, observer: TrainRunObserver = {}): Promise<TrainResult> {
  checkRequest(request, trainRequest, 'runTrain')
  return request.resume === undefined
    ? beginTrain(request, observer)
    : resumeTrain(request, request.resume, observer)
}

async function beginTrain(request: TrainRequest, observer: TrainRunObserver): Promise<TrainResult> {
  const { preset = 'cifar10', data: directory = 'data' } = request
  refuseCheckpoint(request)
  if (request.genotype === undefined)
    throw new DdsasError(
      'input',
      'name the genotype to train: a name, a run or a file; or a run with --resume',
    )
  const config = requestedConfig(trainKind, inSpace(request, trainPreset(preset)), request)
  const space = spaceFor(request, config)
  const genotype = space.parse(request.genotype, 'given to runTrain')
  const out = resolve(request.out ?? join('runs', `train-${preset}`))
  if (request.out !== undefined) RunFolder.refuseUnlessNew(out)
  const device = deviceOf(config)
  setThreads(config.threads)
  const onSkip = skipsOf(observer)
  return withTraining(
    createTraining(config, genotype, directory, device, { onSkip, space }),
    async (training) => {
      checkSpace(out, training.network)
      const { fingerprint, classes } = training.images
      const data = { directory, fingerprint, classes }
      const record = newRecord(trainKind, preset, config, device, data)
      const run = createRun(request, out, record)
      return withLock(run, () => {
        run.writeGenotype(genotype)
        const warnings = trainWarnings(config, training.images)
        return runSession(
          { run, config, device, training, done: 0, notes: [], warnings },
          observer,
          request.signal,
        )
      })
    },
  )
}

async function resumeTrain(
  request: TrainRequest,
  path: string,
  observer: TrainRunObserver,
): Promise<TrainResult> {
  const { data } = request
  refuseOut(request)
  const run = RunFolder.open(path)
  const record = readRecord(run, trainKind)
  const config = resumedConfig(trainKind, record, request)
  const space = spaceFor(request, config)
  const genotype = genotypeOf(run, space, request.genotype)
  const device = deviceOf(config)
  setThreads(config.threads)
  const directory = data ?? record.data.directory
  const onSkip = skipsOf(observer)
  const body = () =>
    withTraining(createTraining(config, genotype, directory, device, { onSkip, space }), (training) => {
      checkSameImages(training, record, directory)
      const { done, lost } = restoreCheckpoint(run, request.checkpoint, {
        globalStep: () => training.progress.globalStep,
        restore: (files) => ({ ...emptyLogs, metricsBytes: restoreTraining(training, files) }),
        files: ({ metricsBytes }) => trainingFiles(training, metricsBytes),
      })
      const notes = describeChanges(record, config, device)
      const warnings = [...lost, ...trainWarnings(config, training.images)]
      return runSession({ run, config, device, training, done, notes, warnings }, observer, request.signal)
    })
  return withLock(run, body, request.takeOver)
}

function skipsOf(observer: TrainRunObserver): OnSkippedFile {
  return (file, count) => observer.skip?.(file, count)
}

async function runSession(
  about: TrainStart,
  observer: TrainRunObserver,
  signal: StopSignal | undefined,
): Promise<TrainResult> {
  observer.start?.(about)
  return { run: about.run, report: await train(about.training, about.run, observer, signal) }
}

async function withTraining<T>(training: Training, body: (training: Training) => Promise<T>): Promise<T> {
  try {
    return await body(training)
  } finally {
    disposeTraining(training)
  }
}

/** The architecture of a run. Throws DdsasError 'input' where another one is asked for. */
export function genotypeOf(run: RunFolder, space: SearchSpace, asked?: unknown): unknown {
  const own = space.parse(run.readGenotype(), join(run.path, 'genotype.json'))
  if (asked === undefined || space.distance(own, space.parse(asked, 'given to runTrain')) < 1e-9) return own
  throw new DdsasError(
    'input',
    'the run trains another genotype than the one given; resume without it, or begin a new run with another --out',
  )
}

/** Throws DdsasError 'input' where the training images are not those the run began with. */
function checkSameImages({ images }: Training, { data }: RunRecord<TrainConfig>, directory: string): void {
  if (images.fingerprint === data.fingerprint) return
  throw new DdsasError(
    'input',
    `the images in ${directory} are not those of the run, read from ${data.directory}: name those with --data`,
  )
}
