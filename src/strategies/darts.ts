/**
 * DARTS: every candidate runs, weighted by a softmax of alpha; alpha follows the validation loss of the weights as they are
 * (first order), or as they would be after one more step (second order, Eq. 7 and 8 of its paper).
 */
import { z } from 'zod'
import type { ArchWeights, ArchWeightsOf } from '../nn/index.ts'
import { call, clone, copy, noGrad, run, type Tensor, tidy } from '../torch/index.ts'
import { Alphas } from './shared/alphas.ts'
import { archOptimizerSettings, lossGradients, usualArchOptimizer } from './shared/arch-optimizer.ts'
import { nasbench201Weights } from './shared/weight-recipe.ts'
import type {
  ArchScores,
  Batch,
  Outcome,
  StateDict,
  StepContext,
  Strategy,
  StrategyContext,
  StrategyDefinition,
} from './strategy.ts'

const dartsSettings = {
  darts: z
    .strictObject({
      order: z
        .enum(['first', 'second'])
        .describe('whether alpha follows the weights as they are, or as they would be after one more step'),
    })
    .describe('the search by DARTS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(dartsSettings)
export type DartsSettings = z.infer<typeof settingsSchema>

/** Norm of the two small moves of the weights whose gradients of alpha are compared. */
const finiteDifference = 0.01

class Darts<Architecture> implements Strategy<Architecture> {
  readonly #context: StrategyContext<Architecture>
  readonly #order: DartsSettings['darts']['order']
  readonly #alphas: Alphas

  constructor(context: StrategyContext<Architecture>, settings: DartsSettings) {
    this.#context = context
    this.#order = settings.darts.order
    this.#alphas = new Alphas(context.space.choices, context.init, settings)
  }

  prepareStep(): void {}

  archStep(context: StepContext, train: Batch, valid: Batch): Outcome {
    const archWeights: ArchWeightsOf = (group) => this.archWeights(group)
    if (this.#order === 'first') return this.#alphas.follow(context, archWeights, valid)
    return tidy(() => {
      const parameters = [...this.#alphas.parameters.values()]
      const { gradients, outcome } = unrolledGradients(context, parameters, archWeights, train, valid)
      this.#alphas.step(gradients)
      return outcome
    })
  }

  parameters(): ReadonlyMap<string, Tensor> {
    return this.#alphas.parameters
  }

  archWeights(name: string): ArchWeights {
    return this.#alphas.group(name).archWeights()
  }

  derive(): Architecture {
    return this.#context.space.decode(this.#alphas.scores())
  }

  scores(): ArchScores {
    return { values: this.#alphas.scores() }
  }

  /** The second order waits for a norm in the middle of a step. */
  get graphKey(): string | undefined {
    return this.#order === 'first' ? 'darts' : undefined
  }

  state(): StateDict {
    return this.#alphas.state()
  }

  load(state: StateDict): void {
    this.#alphas.load(state)
  }

  dispose(): void {
    this.#alphas.dispose()
  }
}

/** weights += factor * by, for all at once. */
function move(weights: Tensor[], by: Tensor[], factor: number): void {
  noGrad(() => run('aten::_foreach_add_.List', weights, by, factor))
}

/**
 * d valid(w') / d alpha with w' = w - lr (momentum v + d train / dw + L2 w): the direct part, minus lr times the product of the
 * mixed second derivative with d valid / dw', as a finite difference of d train / d alpha. The exact product differs from it by
 * more than its own size on networks with ReLU and max pooling; published results are by this one. The weights are put back to the bit.
 */
export function unrolledGradients(
  { supernet, weightOptimizer, lr, microBatch = 0, penalty }: StepContext,
  alphas: readonly Tensor[],
  archWeights: ArchWeightsOf,
  train: Batch,
  valid: Batch,
): { readonly gradients: Tensor[]; readonly outcome: Outcome } {
  const of = (parameters: readonly Tensor[], batch: Batch, more: Pick<StepContext, 'penalty'> = {}) =>
    lossGradients(supernet, parameters, archWeights, batch, { microBatch, ...more })
  const all = [...weightOptimizer.parameters.values()]
  const velocities = weightOptimizer.velocities(of(all, train).gradients)
  // weights that the loss does not depend on stay where they are
  const moving = all.flatMap((weight, index) => {
    const velocity = velocities[index]
    return velocity === null ? [] : [{ weight, velocity }]
  })
  const weights = moving.map(({ weight }) => weight)
  const before = noGrad(() => weights.map(clone))
  const putBack = () => {
    for (const [index, weight] of weights.entries()) copy(weight, before[index])
  }
  try {
    move(
      weights,
      moving.map(({ velocity }) => velocity),
      -lr,
    )
    const { gradients, outcome } = of([...alphas, ...weights], valid, { penalty })
    putBack()
    const known = gradients.map(
      (gradient, index) => gradient ?? call('aten::zeros_like', [...alphas, ...weights][index]),
    )
    const [direct, steepest] = [known.slice(0, alphas.length), known.slice(alphas.length)]
    const norm = noGrad(() =>
      call(
        'aten::stack',
        steepest.map((x) => call('aten::norm.Scalar', x, 2)),
        0,
      ),
    )
    const radius = finiteDifference / noGrad(() => call('aten::norm.Scalar', norm, 2)).item()
    const moved = (factor: number) => {
      move(weights, steepest, factor)
      const found = of(alphas, train).gradients
      putBack()
      return found
    }
    const [ahead, behind] = [moved(radius), moved(-radius)]
    return {
      outcome,
      gradients: noGrad(() =>
        direct.map((own, index) => mixedTerm(own, ahead[index], behind[index], lr / (2 * radius))),
      ),
    }
  } finally {
    putBack()
  }
}

/** own - factor (ahead - behind); what the training loss does not depend on has no such part. */
function mixedTerm(own: Tensor, ahead: Tensor | null, behind: Tensor | null, factor: number): Tensor {
  if (ahead === null || behind === null) return own
  return call('aten::sub.Tensor', own, call('aten::sub.Tensor', ahead, behind), factor)
}

/** DARTS for the registry. */
export const darts: StrategyDefinition<DartsSettings> = {
  name: 'darts',
  settings: dartsSettings,
  defaults: () => ({ darts: { order: 'first' }, ...usualArchOptimizer }),
  weightRecipe: nasbench201Weights,
  describe: ({ darts: { order } }) => `${order} order`,
  create: (context, settings) => new Darts(context, settings),
}
