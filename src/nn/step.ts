/** What a training step is given, what it gives, and where it stands: the words that loops and strategies share. */
import type { Tensor } from '../torch/index.ts'

/** Images float32 [n, 3, h, w], channels last, and int64 labels [n]. */
export interface Batch {
  readonly images: Tensor
  readonly labels: Tensor
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
