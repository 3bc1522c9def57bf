/** A training as one run folder: begins a new one or resumes one, and sees that both are what was asked for. */
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { OnSkippedFile, SkippedFile } from '../data/folder-images.ts'
import { resizeOf } from '../data/folder-transform.ts'
import { DdsasError } from '../errors.ts'
import {
  beginRun,
  deviceOf,
  type LifeCycle,
  openRun,
  refuseCheckpoint,
  resumeRun,
  type Started,
} from '../loop/life-cycle.ts'
import { type RunKind, requestedConfig } from '../loop/record.ts'
import { type CommonRequest, checkRequest, commonRequest } from '../loop/request.ts'
import { emptyLogs, RunFolder } from '../runs/folder.ts'
import { findSpace } from '../spaces/index.ts'
import { spaceOf, usualNetwork } from '../spaces/network-shape.ts'
import type { SearchSpace } from '../spaces/space.ts'
import { type TrainConfig, trainConfigSchema } from './config.ts'
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
  genotype: z.unknown().optional(),
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

export interface TrainStart extends Omit<Started<TrainConfig, never>, 'session'> {
  readonly training: Training
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

function lifeOf(
  genotype: unknown,
  request: TrainRequest,
  observer: TrainRunObserver,
): LifeCycle<TrainConfig, Training, TrainResult> {
  const { ranks } = request
  const onSkip: OnSkippedFile = (file, count) => observer.skip?.(file, count)
  return {
    kind: trainKind,
    open: (config, device, directory) =>
      createTraining(config, genotype, directory, device, {
        onSkip,
        space: spaceFor(request, config),
        ranks,
      }),
    dispose: disposeTraining,
    module: ({ network }) => network,
    data: ({ images: { fingerprint, classes } }) => ({ fingerprint, classes }),
    resumable: (training) => ({
      globalStep: () => training.progress.globalStep,
      restore: (files) => ({ ...emptyLogs, metricsBytes: restoreTraining(training, files) }),
      files: ({ metricsBytes }) => trainingFiles(training, metricsBytes),
    }),
    warnings: ({ config, images }) => trainWarnings(config, images),
    begin: (_, run) => run.writeGenotype(genotype),
    run: async ({ session: training, ...about }) => {
      observer.start?.({ ...about, training })
      return { run: about.run, report: await train(training, about.run, observer, request.signal) }
    },
  }
}

async function beginTrain(request: TrainRequest, observer: TrainRunObserver): Promise<TrainResult> {
  const { preset = 'cifar10' } = request
  refuseCheckpoint(request)
  if (request.genotype === undefined)
    throw new DdsasError(
      'input',
      'name the genotype to train: a name, a run or a file; or a run with --resume',
    )
  const config = requestedConfig(trainKind, inSpace(request, trainPreset(preset)), request)
  const genotype = spaceFor(request, config).parse(request.genotype, 'given to runTrain')
  const out = resolve(request.out ?? join('runs', `train-${preset}`))
  if (request.out !== undefined && (request.ranks?.rank ?? 0) === 0) RunFolder.refuseUnlessNew(out)
  const plan = { preset, config, out, device: deviceOf(config, request.ranks) }
  return beginRun(lifeOf(genotype, request, observer), request, plan)
}

async function resumeTrain(
  request: TrainRequest,
  path: string,
  observer: TrainRunObserver,
): Promise<TrainResult> {
  const opened = openRun(trainKind, request, path)
  const genotype = genotypeOf(opened.run, spaceFor(request, opened.config), request.genotype)
  return resumeRun(lifeOf(genotype, request, observer), request, opened)
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
