/** One group of decisions as DDSAS holds it: alpha and zeta, the subspace that runs, and what is remembered of the sampling. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import { type ArchWeights, type InitContext, sampledIndex } from '../../nn/index.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import { keep, type Tensor, tidy } from '../../torch/index.ts'
import { smallNormal } from '../shared/alphas.ts'
import { betaDecayGradient } from './beta-decay.ts'
import type { FilledGroup } from './fill.ts'
import { GradientSizes, noRewards, rewarded, rewardMeans, rewardsOf } from './gradient-reward.ts'
import { maskTensor, mixingWeights, unnormalisedWeights } from './mixing-weights.ts'
import { type EdgeMask, type EdgeMatrix, type Mixture, rawWeights } from './mixture.ts'
import { closeWindow, emptyState, type SamplingState } from './saliency.ts'
import { activeOperations, sampleSubspace } from './subspace.ts'
import { ucbScores, upperBounds } from './ucb.ts'

/** Alpha and zeta as they were read from the device. */
export interface Values {
  readonly alpha: EdgeMatrix
  readonly zeta: EdgeMatrix
}

/** The constants of Eq. (4) in a window. */
export interface Exploration {
  readonly exploration: number
  /** T. */
  readonly totalPulls: number
}

/** Eq. (4) and the rule of section 3.3 for a window. */
export interface Sampling extends Exploration {
  /** L. */
  readonly size: number
  readonly noneCounts: boolean
}

/** What runs in a window, on the device. */
interface Subspace {
  readonly mask: EdgeMask
  readonly sampledOps: ArchWeights['sampledOps']
  /** The mask, bool [rows, candidates]. */
  readonly sampled: Tensor
  readonly index: Tensor
}

const numbers = z.array(z.array(z.number()))
const mask = z.array(z.array(z.boolean()))
export const samplingState = z.object({
  saliency: numbers,
  pulls: numbers,
  credits: numbers.optional(),
  rewards: numbers.optional(),
  rewarded: numbers.optional(),
  mask,
  available: mask,
})

/** What a mask lets run: its weights, which the caller disposes of. */
export type OwnedWeights = ArchWeights & { readonly index: Tensor }

export class SampledGroup {
  readonly choices: ChoiceGroup
  readonly alpha: Tensor
  readonly zeta: Tensor
  readonly #none: number
  /** Where those say what is sampled. */
  readonly #sizes: GradientSizes | undefined
  #state: SamplingState
  #subspace: Subspace | undefined
  #available: { readonly mask: EdgeMask; readonly tensor: Tensor } | undefined

  /** `prior`: t of every candidate at first. `byGradient`: whether the sizes of gradients say what is sampled. */
  constructor(choices: ChoiceGroup, prior: number, init: InitContext, byGradient: boolean) {
    this.choices = choices
    this.alpha = smallNormal(choices, init)
    this.zeta = smallNormal(choices, init)
    this.#none = choices.none ?? -1
    const state = emptyState(choices.rows, choices.candidates.length, prior)
    this.#sizes = byGradient ? new GradientSizes(this.alpha) : undefined
    this.#state = byGradient ? { ...state, ...noRewards(state.saliency) } : state
  }

  get parameters(): readonly (readonly [name: string, tensor: Tensor])[] {
    return [
      [`alpha.${this.choices.name}`, this.alpha],
      [`zeta.${this.choices.name}`, this.zeta],
    ]
  }

  /** What a checkpoint holds besides parameters, by name. */
  get tensors(): readonly (readonly [name: string, tensor: Tensor])[] {
    return this.#sizes ? [[`gradient.${this.choices.name}`, this.#sizes.sums]] : []
  }

  get state(): SamplingState {
    return this.#state
  }

  /** Throws DdsasError 'checkpoint' where the state is that of another group. */
  set state(saved: SamplingState) {
    const sizes = (matrix: readonly (readonly unknown[])[]) => matrix.map((row) => row.length).join()
    for (const [name, matrix] of Object.entries(saved))
      if (matrix !== undefined && sizes(matrix) !== sizes(this.#state.mask))
        throw new DdsasError(
          'checkpoint',
          `${name} of '${this.choices.name}' is that of another space; resume with its own`,
        )
    this.#state = saved
  }

  /** Waits for the device. */
  values(): Values {
    return { alpha: this.alpha.matrix(), zeta: this.zeta.matrix() }
  }

  /** Samples the next subspace. */
  sample(values: Values, { size, noneCounts, ...constants }: Sampling): void {
    const { scores, estimates, available, none } = this.scored(values, constants)
    this.take(sampleSubspace(scores, estimates, available, { size, none, noneCounts }))
  }

  /** What the next subspace is sampled by. */
  scored({ zeta }: Values, { exploration, totalPulls }: Exploration): FilledGroup {
    const { pulls, available } = this.#state
    const means = this.rewardMeans
    const scores = means
      ? upperBounds(means, pulls, totalPulls, exploration)
      : ucbScores(zeta, pulls, totalPulls, exploration)
    return { scores, estimates: zeta, available, none: this.#none }
  }

  /** First part of the scores, where that is not sigmoid(zeta). */
  get rewardMeans(): number[][] | undefined {
    const rewards = rewardsOf(this.#state)
    return rewards && rewardMeans(rewards)
  }

  /** Notes the gradient of alpha that a step found, where that says what is sampled. */
  follow(gradient: Tensor): void {
    this.#sizes?.add(gradient)
  }

  /** Of the beta-decay regulariser, by alpha of the available operations; float32 [rows, candidates]. */
  betaDecay(lambda: number): Tensor {
    return betaDecayGradient(this.alpha, this.#availability(), lambda)
  }

  /** Goes on in the subspace of a mask. */
  take(mask: EdgeMask): void {
    this.#state = { ...this.#state, mask }
  }

  /** Credits the window that ends, where there is one; `decay` of the windows before. */
  credit({ alpha, zeta }: Values, mixture: Mixture, decay: number): void {
    const sums = this.#sizes?.take()
    const state = this.#state
    if (!state.mask.flat().includes(true)) return
    const rewards = rewardsOf(state)
    const next = rewards && sums ? rewarded(rewards, sums, state.mask) : {}
    const weights = rawWeights(alpha, zeta, state.mask, mixture)
    this.#state = { ...closeWindow(state, weights, decay), ...next }
  }

  archWeights(mixture: Mixture): ArchWeights {
    const { sampled, sampledOps, index } = this.#sampled()
    return {
      weights: mixingWeights(this.alpha, this.zeta, sampled, mixture),
      sampledOps,
      index,
      strengths: () => unnormalisedWeights(this.alpha, this.zeta, sampled, mixture),
    }
  }

  /** Eq. (7) in another subspace than the window's. */
  weightsIn(mask: EdgeMask, mixture: Mixture): OwnedWeights {
    const { sampled, ...subspace } = this.#subspaceOf(mask)
    const weights = tidy(() => keep(mixingWeights(this.alpha, this.zeta, sampled, mixture)))
    sampled.dispose()
    return { weights, sampledOps: subspace.sampledOps, index: subspace.index }
  }

  /** The mask as tensors; made once for a window. */
  #sampled(): Subspace {
    const { mask } = this.#state
    if (this.#subspace?.mask === mask) return this.#subspace
    this.#disposeSubspace()
    this.#subspace = this.#subspaceOf(mask)
    return this.#subspace
  }

  #subspaceOf(mask: EdgeMask): Subspace {
    const { device } = this.alpha
    const sampledOps = activeOperations(mask, this.#none)
    const index = keep(sampledIndex(sampledOps, mask[0].length, device))
    return { mask, sampledOps, sampled: keep(maskTensor(mask, device)), index }
  }

  /** What is available as a tensor, bool [rows, candidates]; made once until that changes. */
  #availability(): Tensor {
    const { available } = this.#state
    if (this.#available?.mask === available) return this.#available.tensor
    this.#available?.tensor.dispose()
    this.#available = { mask: available, tensor: keep(maskTensor(available, this.alpha.device)) }
    return this.#available.tensor
  }

  /** What picks the architecture. */
  get scores(): EdgeMatrix {
    return this.#state.saliency
  }

  /** What may be picked: of what is available all but what is nothing, which may be sampled. */
  get pickable(): boolean[][] {
    return this.#state.available.map((row) => row.map((is, column) => is && column !== this.#none))
  }

  #disposeSubspace(): void {
    this.#subspace?.sampled.dispose()
    this.#subspace?.index.dispose()
    this.#subspace = undefined
  }

  dispose(): void {
    this.#disposeSubspace()
    this.#available?.tensor.dispose()
    this.#sizes?.dispose()
    this.alpha.dispose()
    this.zeta.dispose()
  }
}
