/**
 * The beta-decay regulariser of Beta-DARTS, which decays the softmax of alpha in place of alpha: lambda times the mean over a group's
 * edges of ln sum_k exp(alpha_k), over all operations k that the edge has available, sampled or not, `none` among them.
 */
import { logicalNot, maskedFill, mul, softmax, type Tensor, tidy } from '../../torch/index.ts'

/** Its gradient, lambda / E softmax(alpha) over the `available` of each edge, bool [E, operations]; 0 for what is not. */
export function betaDecayGradient(alpha: Tensor, available: Tensor, lambda: number): Tensor {
  return tidy(() => {
    const part = softmax(maskedFill(alpha, logicalNot(available), Number.NEGATIVE_INFINITY), 1)
    return mul(part, lambda / alpha.shape[0])
  })
}
