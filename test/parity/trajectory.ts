/** A whole search in miniature, and what it computes on its way under the names that the golden files have for it. */
import { z } from 'zod'
import {
  disposeModule,
  type InitContext,
  loadTensors,
  Network,
  namedParameters,
  Sgd,
  stateDict,
} from '../../src/nn/index.ts'
import { weightStep } from '../../src/search/weight-step.ts'
import { cellSpace } from '../../src/spaces/darts/cell-space.ts'
import { cellTypes, type Genotype } from '../../src/spaces/darts/genotype.ts'
import { operations } from '../../src/spaces/darts/operations.ts'
import { type CellSpace, darts } from '../../src/spaces/darts/space.ts'
import type { SearchSpace, StemKind } from '../../src/spaces/space.ts'
import { Ddsas } from '../../src/strategies/ddsas/ddsas.ts'
import type { DdsasSettings } from '../../src/strategies/ddsas/settings.ts'
import type { Batch, Outcome } from '../../src/strategies/strategy.ts'
import {
  crossEntropy,
  type Dtype,
  Generator,
  grad,
  noGrad,
  setRequiresGrad,
  setThreads,
  Tensor,
  tidy,
  to,
} from '../../src/torch/index.ts'
import { below, tensorOf } from './fixtures.ts'

const optimizerSettings = { lr: z.number(), weight_decay: z.number() }
export const searchSchema = z.object({
  C: z.number(),
  layers: z.number(),
  L: z.number(),
  M: z.number(),
  steps: z.number(),
  classes: z.number(),
  primitives: z.array(z.string()),
  confidence: z.number(),
  saliency_type: z.enum(['simple', 'all']),
  weights: z.object({ ...optimizerSettings, momentum: z.number(), grad_clip: z.number() }),
  arch: z.object({
    ...optimizerSettings,
    betas: z.tuple([z.number(), z.number()]),
    grad_clip_alpha: z.number().optional(),
  }),
})
export const recordSchema = searchSchema.extend({
  log: z.array(z.object({ valid_loss: z.number(), train_loss: z.number(), grad_norm: z.number() })),
})

/** Settings of a search and tensors: initial ones, batches, subspaces, gradients, final ones. */
export interface GoldenSearch<Recorded = z.infer<typeof searchSchema>> {
  readonly recorded: Recorded
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** With the numbers of each step. */
export type Golden = GoldenSearch<z.infer<typeof recordSchema>>

/** How a search is computed. */
export interface Manner {
  readonly dtype: Dtype
  /** `cpu` where not said. */
  readonly device?: string
  /** 1 where not said. */
  readonly threads?: number
  readonly layout: (x: Tensor) => Tensor
  readonly run: (body: () => void) => void
  /** Whether the vector kernels compute, not ATen's operators. */
  readonly byKernel: boolean
}

/** Stands around every pass through the supernet in training mode. */
export interface Course {
  run(body: () => void): void
  /** The next pass is the first again. */
  rewind(): void
}

/** A search left to itself. */
export const free: Course = { run: (body) => body(), rewind: () => {} }

/** Takes what was computed: a number of a step, a subspace, a tensor. */
export type Observer = (name: string, value: number | readonly boolean[] | Tensor) => void

const isStrategy = (name: string) => /^(alpha|zeta)\./.test(name)

/** The operations with these names, in their order. */
function named(names: readonly string[]): CellSpace['operations'] {
  const all: CellSpace['operations'] = operations
  return Object.fromEntries(names.map((name) => [name, all[name]]))
}

export class Search {
  readonly supernet: Network
  readonly strategy: Ddsas<Genotype>
  readonly sgd: Sgd

  constructor({ recorded, tensors }: GoldenSearch, { dtype, device = 'cpu' }: Manner, stem: StemKind) {
    const { C: channels, layers: cells, classes, arch, weights } = recorded
    const context: InitContext = { device, generator: new Generator(0), dtype }
    const space: SearchSpace<Genotype> = cellSpace({ ...darts, operations: named(recorded.primitives) })
    this.supernet = new Network(space.supernet({ channels, cells, classes, stem }), context)
    const settings: DdsasSettings = {
      ddsas: {
        variant: 'authors-code',
        subspace: recorded.L,
        fill: 'operations',
        window: recorded.M,
        mixture: recorded.saliency_type === 'all' ? 'joint' : 'simple',
        changes: [],
      },
      archOptimizer: {
        ...{ lr: arch.lr, betas: arch.betas, weightDecay: arch.weight_decay },
        gradClip: arch.grad_clip_alpha,
      },
    }
    this.strategy = new Ddsas({ space, init: context, seed: 0, epochs: 50 }, settings)
    this.sgd = new Sgd(namedParameters(this.supernet), {
      momentum: weights.momentum,
      weightDecay: weights.weight_decay,
    })
    const own = (ofStrategy: boolean) => below(tensors, 'init/', (name) => isStrategy(name) === ofStrategy)
    loadTensors(namedParameters(this.supernet), own(false), 'golden weights')
    loadTensors(this.strategy.parameters(), own(true), 'golden alpha and zeta')
  }

  forward(images: Tensor, training: boolean): Tensor {
    const archWeights = (group: string) => this.strategy.archWeights(group)
    return this.supernet.forward(images, { training, archWeights }).logits
  }

  archStep(train: Batch, valid: Batch, lr: number): Outcome {
    return this.strategy.archStep({ supernet: this.supernet, weightOptimizer: this.sgd, lr }, train, valid)
  }

  dispose(): void {
    this.strategy.dispose()
    this.sgd.dispose()
    disposeModule(this.supernet)
  }
}

export function batchOf(
  { tensors }: GoldenSearch,
  step: number,
  half: 'train' | 'valid',
  { dtype, device = 'cpu', layout }: Manner,
): Batch {
  const images = layout(to(tensorOf(tensors, `step${step}/${half}.x`), { dtype, device }))
  return { images, labels: to(tensorOf(tensors, `step${step}/${half}.y`), { device }) }
}

export function withSearch(
  golden: GoldenSearch,
  manner: Manner,
  use: (search: Search) => void,
  stem: StemKind = 'cifar',
): void {
  setThreads(manner.threads ?? 1)
  manner.run(() =>
    tidy(() => {
      const search = new Search(golden, manner, stem)
      try {
        use(search)
      } finally {
        search.dispose()
        setThreads(1)
      }
    }),
  )
}

/**
 * The gradients before anything moved, in the first subspace: of alpha and zeta on the first validation batch, as
 * `step0/grad/alpha.normal`; then, where `weights` says so, of the weights on the first training batch, as
 * `step0/grad/stem.0.weight`.
 */
export function firstGradients(
  golden: Golden,
  manner: Manner,
  course: Course,
  observe: Observer,
  weights = false,
): void {
  withSearch(golden, manner, (search) => {
    search.strategy.openWindow()
    const report = (half: 'train' | 'valid', parameters: ReadonlyMap<string, Tensor>) => {
      const { images, labels } = batchOf(golden, 0, half, manner)
      course.run(() => {
        setRequiresGrad([...parameters.values()], true)
        const loss = crossEntropy(search.forward(images, true), labels)
        const gradients = grad(loss, [...parameters.values()])
        setRequiresGrad([...parameters.values()], false)
        for (const [index, name] of [...parameters.keys()].entries()) {
          const gradient = gradients[index]
          if (gradient !== null) observe(`step0/grad/${name}`, gradient)
        }
      })
    }
    report('valid', search.strategy.parameters())
    if (weights) report('train', search.sgd.parameters)
  })
  course.rewind()
}

/** Computes `steps` steps, or as many as were recorded and what is left in the end. */
export function trajectory(
  golden: Golden,
  manner: Manner,
  course: Course,
  observe: Observer,
  steps?: number,
): void {
  withSearch(golden, manner, (search) => {
    const { weights, steps: all } = golden.recorded
    for (let step = 0; step < (steps ?? all); step += 1) {
      const train = batchOf(golden, step, 'train', manner)
      const valid = batchOf(golden, step, 'valid', manner)
      const { strategy, supernet, sgd } = search
      strategy.prepareStep({ epoch: 0, step, globalStep: step })
      for (const cell of cellTypes) observe(`step${step}/mask.${cell}`, strategy.memory(cell).mask.flat())
      course.run(() =>
        observe(`step${step}/valid_loss`, search.archStep(train, valid, weights.lr).loss.item()),
      )
      course.run(() => {
        const options = { lr: weights.lr, gradClip: weights.grad_clip }
        const { loss, gradNorm } = weightStep(supernet, strategy, train, sgd, options)
        observe(`step${step}/train_loss`, loss.item())
        observe(`step${step}/grad_norm`, gradNorm.item())
      })
    }
    if (steps === undefined) observeEnd(search, batchOf(golden, 0, 'train', manner).images, observe)
  })
  course.rewind()
}

/** Saliency, pulls, alpha, zeta, weights and running statistics in the end, and logits in evaluation mode. */
function observeEnd(search: Search, images: Tensor, observe: Observer): void {
  const { strategy, supernet } = search
  for (const cell of cellTypes) {
    const { saliency, pulls } = strategy.memory(cell)
    for (const [kind, values] of Object.entries({ saliency, opt_steps: pulls }))
      observe(
        `final/${kind}.${cell}`,
        Tensor.from(Float32Array.from(values.flat()), [values.length, values[0].length]),
      )
  }
  for (const [name, tensor] of strategy.parameters()) observe(`final/${name}`, tensor)
  for (const [name, tensor] of stateDict(supernet)) observe(`final/${name}`, tensor)
  const logits = noGrad(() => search.forward(images, false))
  observe('final/eval.logits', logits)
}
