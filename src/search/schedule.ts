/** The learning rate of the weights in each epoch of a search. */
import { carriedCosineLr, cosineLr, warmUp } from '../nn/index.ts'
import type { SearchConfig } from './config.ts'
import { type SearchStage, stageAt } from './stages.ts'

/** Epochs count from 0. `stages`: with new weights the schedule begins anew, and is as long as those last. */
export function searchLr(
  epoch: number,
  config: Pick<SearchConfig, 'epochs' | 'weightOptimizer'>,
  stages: readonly SearchStage[] = [],
): number {
  const { from, to } = stages.length > 0 ? stageAt(stages, epoch).schedule : { from: 0, to: config.epochs }
  return scheduledLr(epoch - from, to - from, config.weightOptimizer)
}

function scheduledLr(
  epoch: number,
  epochs: number,
  weightOptimizer: SearchConfig['weightOptimizer'],
): number {
  const { lr, minLr, schedule, warmUp: rising } = weightOptimizer
  if (schedule === 'authors-code') return carriedCosineLr(epoch, epochs, lr, minLr, rising)
  return cosineLr(epoch, epochs, lr, minLr) * warmUp(epoch, rising)
}
