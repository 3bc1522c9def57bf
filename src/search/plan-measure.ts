/** Takes a few steps of a search on images of noise, in subspaces of given sizes: their peak memory and their time. */
import { type CifarName, cifarLayouts, imageBytes, imageSize } from '../data/cifar-layout.ts'
import type { ImageDataset } from '../data/index.ts'
import { DdsasError } from '../errors.ts'
import { namedParameters } from '../nn/index.ts'
import { emptyMemory } from '../strategies/ddsas/saliency.ts'
import {
  Generator,
  resetPeakMemory,
  type Tensor,
  tensorMemory,
  tidy,
  watchInterrupts,
} from '../torch/index.ts'
import type { SearchConfig } from './config.ts'
import { evaluateSupernet } from './evaluate.ts'
import { datasetBytes, type Subspaces, typicalSubspaces } from './memory.ts'
import { searchStep } from './search.ts'
import { createSession, disposeSession, type Session } from './session.ts'

/** What was seen of a subspace of L operations; peaks in bytes, as if the data set were there and all velocities. */
export interface Measurement {
  readonly subspace: number
  readonly stepBytes: number
  readonly evaluationBytes: number
  readonly secondsPerStep: number
  /** Of the measurement of accuracy. */
  readonly secondsPerImage: number
}

/** Who is told how far it is: `done` of `total` parts, now in subspaces of `subspace` operations. */
export type MeasureObserver = (subspace: number, done: number, total: number) => void

/** Measures in subspaces that are typical of their size; else as `measureSubspaces`. */
export function measureLengths(
  config: SearchConfig,
  device: string,
  images: number,
  lengths: readonly number[],
  observer?: MeasureObserver,
): Measurement[] {
  const cases = lengths.map((subspace) => {
    const own = { ...config, ddsas: { ...config.ddsas, subspace } }
    return { subspace, subspaces: typicalSubspaces(own, device, images) }
  })
  return measureSubspaces(config, device, images, cases, observer)
}

/** Subspaces to measure in, and L. */
interface Case {
  readonly subspace: number
  readonly subspaces: Subspaces
}

/**
 * Measures a step and an evaluation in each pair of subspaces; `images`: how many the data set has. Throws DdsasError
 * 'interrupted' when the user stops it.
 */
export function measureSubspaces(
  config: SearchConfig,
  device: string,
  images: number,
  cases: readonly Case[],
  observer: MeasureObserver = () => {},
): Measurement[] {
  const own = { ...config, data: { ...config.data, images: 0 }, ddsas: { ...config.ddsas, window: 2 } }
  const noise = makeNoise(config.dataset, 2 * Math.max(config.data.batch, config.evaluation.batch))
  const interrupts = watchInterrupts()
  const total = cases.length * 4
  let done = 0
  try {
    const session = createSession(own, noise, device)
    try {
      return cases.map((one) =>
        measureCase(session, one, images, () => {
          if (interrupts.interrupted()) throw new DdsasError('interrupted', 'stopped before all was measured')
          observer(one.subspace, done++, total)
        }),
      )
    } finally {
      disposeSession(session)
    }
  } finally {
    interrupts.stop()
  }
}

function makeNoise(name: CifarName, count: number): ImageDataset {
  const generator = new Generator(0, 'noise')
  const { classes, mean, std } = cifarLayouts[name]
  return {
    name: 'noise',
    split: 'train',
    images: Uint8Array.from({ length: count * imageBytes }, () => generator.below(256)),
    labels: Uint8Array.from({ length: count }, () => generator.below(classes.length)),
    count,
    size: imageSize,
    classes,
    mean,
    std,
    fingerprint: '',
  }
}

function measureCase(
  session: Session,
  { subspace, subspaces }: Case,
  images: number,
  begin: () => void,
): Measurement {
  const { config, device, supernet, strategy, data, evaluated, optimizer } = session
  sampleAs(session, subspaces)
  const step = repeat(device, begin, () => {
    // not the first step of a window: the subspace stays
    session.progress = { ...session.progress, step: 1, globalStep: 1 }
    searchStep(session, config.weightOptimizer.lr)
  })
  const { batch } = config.evaluation
  const evaluation = repeat(device, begin, () =>
    evaluateSupernet(supernet, strategy, data, evaluated.slice(0, batch), { batch, device }),
  )
  // a long search has a velocity for every weight, and images of its own in place of the noise
  const velocities = bytesOf(namedParameters(supernet)) - bytesOf(optimizer.state())
  const dataset = datasetBytes(images) - datasetBytes(data.labels.size)
  return {
    subspace,
    stepBytes: step.peak + velocities + dataset,
    evaluationBytes: evaluation.peak + velocities + dataset,
    secondsPerStep: step.seconds,
    secondsPerImage: evaluation.seconds / batch,
  }
}

/** Puts the strategy into a window with these subspaces. */
function sampleAs({ strategy }: Session, subspaces: Subspaces): void {
  const memory = (mask: Subspaces['normal']) => ({ ...emptyMemory(mask.length, mask[0].length, 0), mask })
  const { tensors, data } = strategy.state()
  const { normal, reduce } = subspaces
  tidy(() =>
    strategy.load({
      tensors,
      data: { ...data, memory: { normal: memory(normal), reduce: memory(reduce) } },
    }),
  )
}

/** Peak bytes and seconds of a part, once it is warm. On a GPU the first time warms up, and the second may be recorded. */
function repeat(
  device: string,
  begin: () => void,
  part: () => void,
): { readonly peak: number; readonly seconds: number } {
  begin()
  resetPeakMemory(device)
  part()
  if (device !== 'cpu') part()
  begin()
  if (device === 'cpu') resetPeakMemory(device)
  const began = performance.now()
  part()
  return { peak: tensorMemory(device).peak, seconds: (performance.now() - began) / 1000 }
}

function bytesOf(tensors: ReadonlyMap<string, Tensor>): number {
  return [...tensors.values()].reduce((sum, { size }) => sum + 4 * size, 0)
}
