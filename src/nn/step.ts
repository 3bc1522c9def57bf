/** What a training step is given, what it gives, and where it stands: the words that loops and strategies share. */
import type { Tensor } from '../torch/index.ts'

/** What one process has of a batch that several share. */
export interface BatchPart {
  /** Where its images begin in the whole batch. */
  readonly start: number
  /** How many it has; where there are fewer images than processes it may be none, and a batch of one stands in for it. */
  readonly images: number
  /** How many the whole batch has. */
  readonly total: number
  /** Sums over all processes, which call it in the same order with tensors of the same shapes. */
  sum(tensors: readonly Tensor[]): Tensor[]
}

/** Images float32 [n, 3, h, w], channels last, and int64 labels [n]. */
export interface Batch {
  readonly images: Tensor
  readonly labels: Tensor
  /** Absent where it is the whole. */
  readonly part?: BatchPart | undefined
}

/** What a forward pass on a batch gave: tensors, so that nobody waits for the device before the values are needed. */
export interface Outcome {
  /** Scalar. */
  readonly loss: Tensor
  /** How many predictions were right. */
  readonly correct: Tensor
}

/** Where a run stands between two steps. */
export interface Progress {
  /** From 0; `epochs` when all are done. */
  readonly epoch: number
  /** Steps done in this epoch. */
  readonly step: number
  /** Steps done since the run began. */
  readonly globalStep: number
}
