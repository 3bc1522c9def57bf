/** The weights of the mixed operations as a differentiable function of alpha and zeta (Eq. 7 to 9). */
import {
  call,
  div,
  logicalNot,
  maskedFill,
  mul,
  sigmoid,
  softmax,
  sum,
  Tensor,
  tidy,
  to,
} from '../../torch/index.ts'
import type { EdgeMask, Mixture } from './mixture.ts'

/** bool [edges, operations] on a device. */
export function maskTensor(mask: EdgeMask, device: string): Tensor {
  const flat = Uint8Array.from(mask.flat(), Number)
  return tidy(() => to(Tensor.from(flat, [mask.length, mask[0].length], 'bool'), { device }))
}

/** Product over an edge of p where sampled and 1 - p elsewhere [edges, 1]: Eq. (9) without q. */
function edgeProbability(p: Tensor, mask: Tensor): Tensor {
  const absent = call('aten::rsub.Scalar', p, 1)
  return call('aten::prod.dim_int', call('aten::where.self', mask, p, absent), 1, true)
}

/** p_k q_k, or Eq. (9), before it is normalised over the edge: float32 [edges, operations], 0 where not sampled. */
export function unnormalisedWeights(alpha: Tensor, zeta: Tensor, sampled: Tensor, mixture: Mixture): Tensor {
  return tidy(() => {
    const q = softmax(maskedFill(alpha, logicalNot(sampled), Number.NEGATIVE_INFINITY), 1)
    const p = sigmoid(zeta)
    return mul(q, mixture === 'joint' ? edgeProbability(p, sampled) : p)
  })
}

/** The weights of Eq. (7): each edge's sum to one over its sampled operations, bool [edges, operations]. */
export function mixingWeights(alpha: Tensor, zeta: Tensor, sampled: Tensor, mixture: Mixture): Tensor {
  return tidy(() => {
    const weights = unnormalisedWeights(alpha, zeta, sampled, mixture)
    return div(weights, sum(weights, [1], true))
  })
}
