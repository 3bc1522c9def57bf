/** The training step of a network: cross entropy with label smoothing, plus that of the auxiliary head; one SGD update. */

import { sgdStep, type WeightOutcome, type WeightStepOptions } from '../loop/weight-step.ts'
import type { Batch, DropPath, Network, Outputs, Sgd } from '../nn/index.ts'
import { add, crossEntropy, mul, type Tensor, tidy } from '../torch/index.ts'

export interface NetworkLoss {
  /** How much of the target is spread evenly over all classes, 0 … 1. */
  readonly smoothing: number
  /** Weight of the auxiliary head's loss. */
  readonly auxiliary: number
}

export interface NetworkStepOptions extends WeightStepOptions {
  readonly loss: NetworkLoss
  readonly dropPath: DropPath
}

/** Logits [n, classes] and int64 labels [n] -> the scalar that training makes small. */
export function networkLoss({ logits, auxiliary }: Outputs, labels: Tensor, how: NetworkLoss): Tensor {
  return tidy(() => {
    const loss = crossEntropy(logits, labels, how.smoothing)
    if (auxiliary === undefined || how.auxiliary === 0) return loss
    return add(loss, mul(crossEntropy(auxiliary, labels, how.smoothing), how.auxiliary))
  })
}

/** One update of all weights on a batch, in training mode with drop-path. */
export function networkStep(
  network: Network,
  batch: Batch,
  optimizer: Sgd,
  { loss, dropPath, ...options }: NetworkStepOptions,
): WeightOutcome {
  return sgdStep(batch, optimizer, options, ({ images, labels, part }) => {
    const how = { training: true, dropPath: { ...dropPath, place: part }, auxiliary: true, part }
    const output = network.forward(images, how)
    return { logits: output.logits, loss: networkLoss(output, labels, loss) }
  })
}
