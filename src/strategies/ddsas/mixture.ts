/** How much an operation weighs on its edge: p = sigmoid(zeta), q = softmax of alpha over the sampled (Eq. 5, 8, 9). */

/** One value for each operation (column) of each edge (row). */
export type EdgeMatrix = readonly (readonly number[])[]

/** Which operations of each edge are meant: sampled, or available. */
export type EdgeMask = readonly (readonly boolean[])[]

/** `simple`: p_k q_k, the weight of Eq. (7). `joint`: Eq. (9), the probability of the whole sampled edge times q_k. */
export type Mixture = 'simple' | 'joint'

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/** q_k of Eq. (8) on one edge: softmax of alpha over the sampled operations, 0 elsewhere. */
function architectureProbabilities(alpha: readonly number[], sampled: readonly boolean[]): number[] {
  const largest = Math.max(...alpha.filter((_, k) => sampled[k]))
  const powers = alpha.map((value, k) => (sampled[k] ? Math.exp(value - largest) : 0))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map((power) => power / total)
}

/** Probability that exactly the sampled operations of one edge are sampled: the product in Eq. (9). */
function edgeProbability(p: readonly number[], sampled: readonly boolean[]): number {
  return p.reduce((product, probability, k) => product * (sampled[k] ? probability : 1 - probability), 1)
}

/** The weights of one edge before they are normalised; 0 for operations that are not sampled. */
function edgeWeights(
  alpha: readonly number[],
  zeta: readonly number[],
  sampled: readonly boolean[],
  mixture: Mixture,
): number[] {
  const p = zeta.map(sigmoid)
  const q = architectureProbabilities(alpha, sampled)
  const joint = mixture === 'joint' ? edgeProbability(p, sampled) : undefined
  return q.map((probability, k) => probability * (joint ?? p[k]))
}

/** Unnormalised weights of all edges [edges x operations]: what saliency averages. */
export function rawWeights(
  alpha: EdgeMatrix,
  zeta: EdgeMatrix,
  mask: EdgeMask,
  mixture: Mixture,
): number[][] {
  return alpha.map((row, edge) => edgeWeights(row, zeta[edge], mask[edge], mixture))
}
