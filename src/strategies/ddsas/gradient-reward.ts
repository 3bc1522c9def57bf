/**
 * What an operation is sampled for where that is not zeta: the size of the gradient of its path, against others of its window.
 *
 * The size is |d loss / d alpha_k|. With w the weights of Eq. (7) on an edge and g = d loss / d w it is |w_k (g_k - sum_j w_j g_j)|: weight
 * times gradient of the weight, against the edge's mean, since weights add up to one; 1 - w_k times what the loss changes at first
 * order when the path is left out. Every step computes it anyway. |d loss / d zeta_k| is that times 1 - p_k (Eq. 7), which would rate
 * an operation lower because its zeta has risen, and is zero throughout by Eq. (9).
 */
import { call, fillWith, keep, noGrad, run, type Tensor, tidy, zerosLike } from '../../torch/index.ts'
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

/** Of one group; all [edges x operations]. */
export interface Rewards {
  /** Mean over windows of an operation's size by the mean size of all in its window; 0 before the first. */
  readonly rewards: EdgeMatrix
  /** Of how many windows. */
  readonly rewarded: EdgeMatrix
}

/** Before the first window; as large as a matrix of the group. */
export function noRewards(like: EdgeMatrix): Rewards {
  const zeros = () => like.map((row) => row.map(() => 0))
  return { rewards: zeros(), rewarded: zeros() }
}

/** What a state holds of them; undefined where they are not what is sampled by. */
export function rewardsOf({
  rewards,
  rewarded,
}: { [Key in keyof Rewards]?: Rewards[Key] | undefined }): Rewards | undefined {
  return rewards && rewarded && { rewards, rewarded }
}

/** Sums of sizes in the open window, on the device. */
export class GradientSizes {
  /** float32 [edges, operations]. */
  readonly sums: Tensor

  constructor(alpha: Tensor) {
    this.sums = noGrad(() => keep(zerosLike(alpha)))
  }

  add(gradient: Tensor): void {
    noGrad(() => tidy(() => run('aten::add_.Tensor', this.sums, call('aten::abs', gradient))))
  }

  /** The sums, and begins anew; waits for the device. */
  take(): number[][] {
    const sums = this.sums.matrix()
    noGrad(() => fillWith(this.sums, 0))
    return sums
  }

  dispose(): void {
    this.sums.dispose()
  }
}

/**
 * Credits a window with its sums of sizes. An operation that was alone on its edge has no gradient, whatever it does: that says
 * nothing, and counts as no window.
 */
export function rewarded({ rewards, rewarded: counts }: Rewards, sums: EdgeMatrix, mask: EdgeMask): Rewards {
  const seen = mask.map((row) => row.map((is) => is && row.filter(Boolean).length > 1))
  const sizes = sums.flatMap((row, edge) => row.filter((_, k) => seen[edge][k]))
  const mean = sizes.reduce((total, size) => total + size, 0) / sizes.length
  if (!(mean > 0)) return { rewards, rewarded: counts }
  return {
    rewards: rewards.map((row, edge) =>
      row.map((value, k) => {
        const count = counts[edge][k]
        return seen[edge][k] ? (value * count + sums[edge][k] / mean) / (count + 1) : value
      }),
    ),
    rewarded: counts.map((row, edge) => row.map((count, k) => (seen[edge][k] ? count + 1 : count))),
  }
}

/** First part of the score, in place of sigmoid(zeta): r / (r + 1), one half for what is as usual and where nothing is known. */
export function rewardMeans({ rewards, rewarded: counts }: Rewards): number[][] {
  return rewards.map((row, edge) => row.map((r, k) => (counts[edge][k] > 0 ? r / (r + 1) : 0.5)))
}
