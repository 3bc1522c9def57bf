/** The training step of a network: cross entropy with label smoothing, plus that of the auxiliary head; one SGD update. */

import type { NetworkOutput } from '../spaces/network.ts'
import { add, crossEntropy, mul, type Tensor, tidy } from '../torch/index.ts'

export interface NetworkLoss {
  /** How much of the target is spread evenly over all classes, 0 … 1. */
  readonly smoothing: number
  /** Weight of the auxiliary head's loss. */
  readonly auxiliary: number
}

/** Logits [n, classes] and int64 labels [n] -> the scalar that training makes small. */
export function networkLoss({ logits, auxiliary }: NetworkOutput, labels: Tensor, how: NetworkLoss): Tensor {
  return tidy(() => {
    const loss = crossEntropy(logits, labels, how.smoothing)
    if (auxiliary === undefined || how.auxiliary === 0) return loss
    return add(loss, mul(crossEntropy(auxiliary, labels, how.smoothing), how.auxiliary))
  })
}
