/** The one interface of all search strategies: how a supernet is searched. */

import type { ArchWeights } from '../nn/index.ts'
import type { CellType, Genotype } from '../spaces/darts/genotype.ts'
import type { Tensor } from '../torch/index.ts'

/** Images float32 [n, 3, h, w], channels last, and int64 labels [n]. */
export interface Batch {
  readonly images: Tensor
  readonly labels: Tensor
}

/** Where a search stands. */
export interface Progress {
  /** From 0. */
  readonly epoch: number
  /** Step within the epoch, from 0. */
  readonly step: number
  /** Steps since the search began, from 0. */
  readonly globalStep: number
}

/** What a forward pass on a batch gave: tensors, so that nobody waits for the device before the values are needed. */
export interface Outcome {
  /** Scalar. */
  readonly loss: Tensor
  /** How many predictions were right. */
  readonly correct: Tensor
}

/** The state of a strategy as a checkpoint holds it: tensors by name, and plain data. */
export interface StateDict {
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly data: Readonly<Record<string, unknown>>
}

/** How the space of one cell type changed. */
export interface CellSpaceChange {
  /** How many operations of all edges are available now. */
  readonly available: number
  /** On how many edges an operation was deleted, or added, by its name; the others are left out. */
  readonly deleted: Readonly<Record<string, number>>
  readonly added: Readonly<Record<string, number>>
}

/** How the space changed, by cell type. */
export type SpaceReport = Readonly<Record<CellType, CellSpaceChange>>

/** The loop in `search/search.ts` owns data, the weights' optimizer, clipping, logging and resume. */
export interface Strategy {
  /** Called before the first step of an epoch: spaces may shrink or grow. Says how, where one did. */
  beginEpoch(epoch: number): SpaceReport | undefined
  /** Called before each step: what the host does for it, such as to sample which operations run. */
  beginStep(progress: Progress): void
  /** Changes when other operations run than before: a step recorded under another key cannot be replayed. */
  readonly graphKey: string
  /**
   * Update the architecture parameters with a batch of the validation half; says how that batch fared. On a GPU this is
   * recorded and replayed: it computes on tensors alone, and looks at none of their values.
   */
  update(train: Batch, valid: Batch): Outcome
  /** Weights and sampled operations of a group of decisions for the next forward pass. */
  archWeights(group: string): ArchWeights
  /** The architecture this search would pick now. */
  genotype(): Genotype
  /** Called after the last step of the search. */
  finish(): void
  state(): StateDict
  load(state: StateDict): void
  dispose(): void
}
