/** Batch norm by the images of all processes that share a batch (torch.nn.SyncBatchNorm), as a composition of ATen's operators. */
import {
  add,
  type BatchNormOptions,
  call,
  mul,
  noGrad,
  reshape,
  run,
  sumOverRanks,
  type Tensor,
} from '../torch/index.ts'
import type { BatchPart } from './step.ts'

/** Which part of a batch is computed with; none in a pass that no other process takes. */
export interface Synchronised {
  part: BatchPart | undefined
}

/**
 * Normalises each channel of x [n, c, h, w] by mean and variance over the whole batch, and moves the running statistics, the same on
 * every rank. Two sums over ranks on the way there, two on the way back.
 */
export function synchronisedNorm(
  x: Tensor,
  { images, total }: BatchPart,
  { weight, bias, runningMean, runningVar, momentum = 0.1, eps = 1e-5 }: Omit<BatchNormOptions, 'training'>,
): Tensor {
  const [, channels, height, width] = x.shape
  const count = total * height * width
  // an image that stands in for none does not count
  const counted = images > 0 ? 1 : 0
  const mean = (of: Tensor) =>
    mul(sumOverRanks(mul(call('aten::sum.dim_IntList', of, [0, 2, 3]), counted)), 1 / count)
  const wide = (of: Tensor) => reshape(of, [1, channels, 1, 1])
  const average = mean(x)
  const centred = call('aten::sub.Tensor', x, wide(average))
  const variance = mean(mul(centred, centred))
  noGrad(() => {
    run('aten::lerp_.Scalar', runningMean, average, momentum)
    run('aten::lerp_.Scalar', runningVar, mul(variance, count / Math.max(count - 1, 1)), momentum)
  })
  const normal = mul(centred, wide(call('aten::rsqrt', call('aten::add.Scalar', variance, eps))))
  const scaled = weight ? mul(normal, wide(weight)) : normal
  return bias ? add(scaled, wide(bias)) : scaled
}
