/** How much memory a search will need, known before it begins, and the refusal of one that will not find it. */

import type { OperationName } from '../budget/legacy-cells.ts'
import { type Available, availableMemory } from '../budget/memory-available.ts'
import { type Active, type KernelKind, passPeak } from '../budget/memory-model.ts'
import { formatSize } from '../budget/memory-size.ts'
import type { Wanted } from '../budget/memory-tape.ts'
import { imageBytes, imageSize } from '../data/cifar-layout.ts'
import { DdsasError } from '../errors.ts'
import { disposeModule, Network, namedBuffers, namedParameters } from '../nn/index.ts'
import { supernetProgram } from '../spaces/darts/programs.ts'
import { darts, edgeCount } from '../spaces/darts/space.ts'
import { variants } from '../strategies/ddsas/ddsas.ts'
import { activeOperations, sampleSubspace } from '../strategies/ddsas/subspace.ts'
import { describeEngine, Generator, type Tensor } from '../torch/index.ts'
import { commandLine } from '../words.ts'
import type { SearchConfig } from './config.ts'

type Mask = readonly (readonly boolean[])[]

/** A subspace of each cell type. */
export type Subspaces = Readonly<Record<'normal' | 'reduce', Mask>>

/** Bytes at the peak of a search: of tensors in the first three. */
export interface Footprint {
  /** Mean over subspaces. */
  readonly expected: number
  /** Of the largest subspace that a search is likely to meet. */
  readonly likely: number
  /** Of the L operations that take most. */
  readonly worst: number
  /**
   * What has to be there: on the CPU for the whole process (resident, as `top` counts it) in the largest likely subspace, on
   * other devices for the tensors.
   */
  readonly needed: number
}

const edges = edgeCount(darts)
const names = Object.keys(darts.operations)
const none = names.indexOf('none')
const everything = Array.from({ length: edges }, () => names.map(() => true))

/** How many subspaces stand for all: their peaks lie close together. */
const samples = 24

/** Bytes of the tensors of so many images and labels. */
export function datasetBytes(count: number): number {
  return count * (imageBytes + 8)
}

/**
 * What a search needs on its device; `images`: how many the data set has. Takes milliseconds: subspaces are drawn
 * uniformly and followed through the passes of a step in bytes.
 */
export function searchFootprint(config: SearchConfig, device: string, images: number): Footprint {
  const peak = peakOf(config, device, images)
  const peaks = sampleSubspaces(config).map(peak)
  const mean = meanOf(peaks)
  const deviation = Math.sqrt(meanOf(peaks.map((value) => (value - mean) ** 2)))
  const worst = peak(heaviestSubspaces(config))
  // A search samples hundreds of subspaces, and its peak is that of the largest: of so many the largest lies three
  // standard deviations above the mean. What the method learns to prefer is not known before; the worst case, though, is
  // up to half as much again and is as good as never sampled, so that refusing it would refuse what runs.
  const likely = Math.min(worst, mean + 3 * deviation)
  const needed = device === 'cpu' ? processBytes(config, likely, images) : likely
  return { expected: mean, likely, worst, needed }
}

/** What the program takes while it searches besides tensors and images, at most; 120 to 145 MiB were seen of it. */
const working = 176 * 2 ** 20

/** Bytes of a whole process whose tensors take `tensors` at their peak. */
function processBytes(config: SearchConfig, tensors: number, images: number): number {
  const { parameters, buffers } = weightBytes(config)
  // The images as they were read stay beside their tensors; a checkpoint's bytes are made before they are written; and
  // what is freed is not always large enough for what comes next.
  const copies = datasetBytes(images) + 2 * (2 * parameters + buffers)
  return describeEngine().resident + working + copies + 1.03 * tensors
}

/** Of many subspaces those whose peak is nearest to the mean. */
export function typicalSubspaces(config: SearchConfig, device: string, images: number): Subspaces {
  const peak = peakOf(config, device, images)
  const drawn = sampleSubspaces(config)
  const peaks = drawn.map(peak)
  const mean = meanOf(peaks)
  const distances = peaks.map((value) => Math.abs(value - mean))
  return drawn[distances.indexOf(Math.min(...distances))]
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Some drawn with equal chances, always the same. */
function sampleSubspaces(config: SearchConfig): Subspaces[] {
  const generator = new Generator(0, 'memory')
  const draw = () => subspaceOf(config, () => generator.uniform())
  return Array.from({ length: samples }, () => ({ normal: draw(), reduce: draw() }))
}

/** Those whose operations keep most: sampled by what each adds to the peak. */
export function heaviestSubspaces(config: SearchConfig): Subspaces {
  const alone = (only: number) => {
    const active = Array.from({ length: edges }, () => [only])
    return passPeak(passShape(config, 'vector', 'weights'), { normal: active, reduce: active }, 0)
  }
  const costs = names.map((_, operation) => (operation === none ? 0 : alone(operation)))
  const mask = subspaceOf(config, (operation) => costs[operation])
  return { normal: mask, reduce: mask }
}

function subspaceOf({ ddsas }: SearchConfig, score: (operation: number) => number): Mask {
  const scores = everything.map((row) => row.map((_, operation) => score(operation)))
  const { noneCounts } = variants[ddsas.variant]
  return sampleSubspace(scores, scores, everything, { size: ddsas.subspace, none, noneCounts })
}

function activeOf({ normal, reduce }: Subspaces): Active {
  return { normal: activeOperations(normal, none), reduce: activeOperations(reduce, none) }
}

function passShape({ network, data, precision }: SearchConfig, kernels: KernelKind, wanted: Wanted) {
  const element = precision === 'bfloat16' ? 2 : 4
  return {
    space: { nodes: darts.nodes, operations: names as OperationName[], name: 'darts' },
    ...network,
    batch: data.batch,
    side: imageSize,
    element,
    wanted,
    kernels,
  }
}

/** What computes a search on a device. */
function kernelsOn(device: string, { precision }: SearchConfig): KernelKind {
  if (device !== 'cpu') return describeEngine().cudaKernels ? 'grid' : 'none'
  return precision === 'bfloat16' ? 'grid' : 'vector'
}

/** Bytes of all weights and of all running statistics of the supernet. */
function weightBytes({ network }: SearchConfig): { readonly parameters: number; readonly buffers: number } {
  // the number of classes changes next to nothing
  const shape = { space: darts, ...network, classes: 100 }
  const supernet = new Network(supernetProgram(shape), {
    device: 'meta',
    generator: new Generator(0, 'shape'),
  })
  const bytes = (tensors: ReadonlyMap<string, Tensor>) =>
    [...tensors.values()].reduce((sum, { size }) => sum + 4 * size, 0)
  const sizes = { parameters: bytes(namedParameters(supernet)), buffers: bytes(namedBuffers(supernet)) }
  disposeModule(supernet)
  return sizes
}

/** Images of the largest batches there are, of `images` in two halves: of a step, and of an evaluation. */
function batchesOf(
  { data, evaluation }: SearchConfig,
  images: number,
): Record<'batch' | 'evaluated', number> {
  const half = Math.ceil(Math.min(data.images || images, images) / 2)
  return {
    batch: Math.min(half, data.batch),
    evaluated: Math.min(half, evaluation.batch, evaluation.images || half),
  }
}

/** A function from subspaces to the peak of a search in them. */
export function peakOf(
  config: SearchConfig,
  device: string,
  images: number,
  kernels = kernelsOn(device, config),
): (subspaces: Subspaces) => number {
  const { parameters, buffers } = weightBytes(config)
  const { batch, evaluated } = batchesOf(config, images)
  // all the time there are weights and a velocity for each, and the data set
  const constant = 2 * parameters + buffers + datasetBytes(images)
  const batchBytes = (count: number) => count * 4 * imageBytes
  // in use and under preparation, for weights and architecture, and a copy
  const step = constant + batchBytes(5 * batch)
  const evaluating = constant + batchBytes(2 * batch + evaluated) + buffers
  return (subspaces) => {
    const active = activeOf(subspaces)
    const pass = (wanted: Wanted) => passPeak({ ...passShape(config, kernels, wanted), batch }, active, step)
    // our kernels keep no more where gradients of the architecture alone are wanted; ATen's products do
    const steps = kernels !== 'none' ? pass('weights') : Math.max(pass('weights'), pass('architecture'))
    const evaluation = { ...passShape(config, kernels, 'nothing'), batch: evaluated }
    const peak = Math.max(steps, passPeak(evaluation, active, evaluating))
    // what is too small to be followed: alpha, zeta, losses, indices
    return 1.02 * peak + 2 ** 18
  }
}

/**
 * What a search may take: its budget where it has one, else what is free, on the CPU with what the process holds already;
 * undefined where nobody can tell.
 */
export function memoryBudget(
  { memory }: SearchConfig,
  device: string,
  available: (device: string) => Available | undefined = availableMemory,
): Available | undefined {
  if (memory.limit > 0) return { bytes: memory.limit, where: 'allowed by memory.limit' }
  const free = available(device)
  if (free === undefined || device !== 'cpu') return free
  return { bytes: free.bytes + process.memoryUsage.rss(), where: `${free.where} or held already` }
}

/** Throws DdsasError 'memory' where a search would need more than it may take; `images`: how many the data set has. */
export function checkMemory(
  config: SearchConfig,
  device: string,
  images: number,
  budget: Available | undefined = memoryBudget(config, device),
): void {
  if (budget === undefined) return
  const { needed } = searchFootprint(config, device, images)
  if (needed <= budget.bytes) return
  throw new DdsasError(
    'memory',
    `L = ${config.ddsas.subspace} needs about ${formatSize(needed)} of memory, ${formatSize(budget.bytes)} are ` +
      `${budget.where}: use a smaller ddsas.subspace, data.batch, network.channels or evaluation.batch ` +
      `(see: ${commandLine('plan')}), or set memory.limit to what it may take, such as --set memory.limit="${Math.ceil(needed / 2 ** 30)} GiB"`,
  )
}
