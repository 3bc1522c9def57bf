/** The weight step: one SGD update of the supernet's weights on a batch of the training half; alpha and zeta constant. */
import { sgdStep, type WeightOutcome, type WeightStepOptions } from '../loop/weight-step.ts'
import type { ArchWeightsOf, Batch, Network, Sgd } from '../nn/index.ts'
import type { Penalty, Strategy } from '../strategies/strategy.ts'
import { crossEntropy } from '../torch/index.ts'
import type { SearchConfig } from './config.ts'

export interface SupernetStepOptions extends WeightStepOptions {
  /** Whether gradients of alpha and zeta by this loss count in the norm that those of the weights are clipped by. */
  readonly clipArch?: boolean
  /** Where limits steer a strategy that takes its gradients from this step. */
  readonly penalty?: Penalty | undefined
}

/** Of a step at a learning rate. */
export function stepOptions(
  { data, weightOptimizer }: Pick<SearchConfig, 'data' | 'weightOptimizer'>,
  lr: number,
): SupernetStepOptions {
  const { gradClip, clipArch } = weightOptimizer
  return { lr, gradClip, clipArch, microBatch: data.microBatch }
}

/**
 * Weights need gradients during this step alone: the architecture step records nothing for them. A strategy that follows this loss
 * takes its own from the same pass.
 */
export function weightStep(
  supernet: Network,
  strategy: Pick<Strategy, 'archWeights' | 'parameters' | 'stepWithWeights' | 'dropout'>,
  batch: Batch,
  optimizer: Sgd,
  options: SupernetStepOptions,
): WeightOutcome {
  const archWeights: ArchWeightsOf = (group) => strategy.archWeights(group, 'train')
  const follows = strategy.stepWithWeights !== undefined
  const { clipArch = false, penalty } = options
  const { dropout } = strategy
  const parameters = clipArch || follows ? [...(strategy.parameters?.().values() ?? [])] : []
  const { beside, ...outcome } = sgdStep(
    batch,
    optimizer,
    options,
    ({ images, labels, part }) => {
      const { logits } = supernet.forward(images, { training: true, archWeights, part, dropout })
      const loss = crossEntropy(logits, labels)
      return { logits, loss, ...(follows && penalty ? { penalty: penalty(archWeights) } : {}) }
    },
    { parameters, clip: clipArch && parameters.length > 0 },
  )
  strategy.stepWithWeights?.(beside)
  return outcome
}
