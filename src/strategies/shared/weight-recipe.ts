/** How weights of supernets were trained where methods were compared. */
import type { SearchSpace } from '../../spaces/space.ts'
import type { WeightRecipe } from '../strategy.ts'

/** SGD on the weights as NAS-Bench-201's authors ran all methods there; elsewhere as usual. */
export function nasbench201Weights({ name }: SearchSpace): WeightRecipe {
  return name === 'nasbench201' ? { nesterov: true, weightDecay: 5e-4 } : {}
}

/** How long methods were run there that train one architecture at a step. */
export function nasbench201Epochs({ name }: SearchSpace): Readonly<Record<string, number>> {
  return name === 'nasbench201' ? { epochs: 250 } : {}
}
