/** One group of decisions as DDSAS holds it: alpha and zeta, the subspace that runs, and what is remembered of the sampling. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import { type ArchWeights, type InitContext, sampledIndex } from '../../nn/index.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import { keep, type Tensor } from '../../torch/index.ts'
import { smallNormal } from '../shared/alphas.ts'
import type { FilledGroup } from './fill.ts'
import { maskTensor, mixingWeights, unnormalisedWeights } from './mixing-weights.ts'
import { type EdgeMask, type EdgeMatrix, type Mixture, rawWeights } from './mixture.ts'
import { closeWindow, emptyState, type SamplingState } from './saliency.ts'
import { activeOperations, sampleSubspace } from './subspace.ts'
import { ucbScores } from './ucb.ts'

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
  mask,
  available: mask,
})

export class SampledGroup {
  readonly choices: ChoiceGroup
  readonly alpha: Tensor
  readonly zeta: Tensor
  readonly #none: number
  #state: SamplingState
  #subspace: Subspace | undefined

  /** `prior`: t of every candidate at first. */
  constructor(choices: ChoiceGroup, prior: number, init: InitContext) {
    this.choices = choices
    this.alpha = smallNormal(choices, init)
    this.zeta = smallNormal(choices, init)
    this.#none = choices.none ?? -1
    this.#state = emptyState(choices.rows, choices.candidates.length, prior)
  }

  get parameters(): readonly (readonly [name: string, tensor: Tensor])[] {
    return [
      [`alpha.${this.choices.name}`, this.alpha],
      [`zeta.${this.choices.name}`, this.zeta],
    ]
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
    const scores = ucbScores(zeta, pulls, totalPulls, exploration)
    return { scores, estimates: zeta, available, none: this.#none }
  }

  /** Goes on in the subspace of a mask. */
  take(mask: EdgeMask): void {
    this.#state = { ...this.#state, mask }
  }

  /** Credits the window that ends, where there is one; `decay` of the windows before. */
  credit({ alpha, zeta }: Values, mixture: Mixture, decay: number): void {
    const state = this.#state
    if (state.mask.flat().includes(true))
      this.#state = closeWindow(state, rawWeights(alpha, zeta, state.mask, mixture), decay)
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

  /** The mask as tensors; made once for a window. */
  #sampled(): Subspace {
    const { mask } = this.#state
    if (this.#subspace?.mask === mask) return this.#subspace
    this.#disposeSubspace()
    const { device } = this.alpha
    const sampledOps = activeOperations(mask, this.#none)
    const index = keep(sampledIndex(sampledOps, mask[0].length, device))
    this.#subspace = { mask, sampledOps, sampled: keep(maskTensor(mask, device)), index }
    return this.#subspace
  }

  /** What picks the architecture. */
  get scores(): EdgeMatrix {
    return this.#state.saliency
  }

  #disposeSubspace(): void {
    this.#subspace?.sampled.dispose()
    this.#subspace?.index.dispose()
    this.#subspace = undefined
  }

  dispose(): void {
    this.#disposeSubspace()
    this.alpha.dispose()
    this.zeta.dispose()
  }
}
