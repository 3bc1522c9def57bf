/** The learning rate of the weights in each epoch of a search. */
import { carriedCosineLr, cosineLr, warmUp } from '../nn/index.ts'
import type { SearchConfig } from './config.ts'

/** Epochs count from 0. */
export function searchLr(
  epoch: number,
  { epochs, weightOptimizer }: Pick<SearchConfig, 'epochs' | 'weightOptimizer'>,
): number {
  const { lr, minLr, schedule, warmUp: rising } = weightOptimizer
  if (schedule === 'authors-code') return carriedCosineLr(epoch, epochs, lr, minLr, rising)
  return cosineLr(epoch, epochs, lr, minLr) * warmUp(epoch, rising)
}
