/** A group of decisions weighted by samples of Dirichlet distributions: which of its candidates take part, and which are left. */
import { DdsasError } from '../../errors.ts'
import { type ArchWeights, sampledIndex } from '../../nn/index.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import {
  cat,
  copy,
  div,
  type Generator,
  indexSelect,
  keep,
  mul,
  noGrad,
  slice,
  softmax,
  sum,
  Tensor,
  tidy,
  to,
  zerosLike,
} from '../../torch/index.ts'
import { bestOfRows, type Mask, matrixTensor } from '../shared/matrix.ts'
import { concentrationOf, dirichletSample, pathwiseSample } from './dirichlet.ts'

/** Parts of a sample, or of a softmax, that are left add up to 1 again: [rows, candidates], `left` of ones and zeros. */
export function renormalised(weights: Tensor, left: Tensor): Tensor {
  const kept = mul(weights, left)
  return div(kept, sum(kept, [1], true))
}

/** The columns of a group that take part. */
export function columnsOf({ candidates, none }: ChoiceGroup, withNone: boolean): number[] {
  return [...candidates.keys()].filter((column) => withNone || column !== none)
}

/** A group of decisions: the sample that its candidates are weighted by, and which of them are left. */
export class DirichletGroup {
  readonly #choices: ChoiceGroup
  readonly #columns: readonly number[]
  readonly alpha: Tensor
  /** float32 [rows, columns]. */
  readonly #sample: Tensor
  /** The same: ones for what is left, and zeros. */
  readonly #ones: Tensor
  /** int64 [candidates]: where each stands among the columns and a zero after them. */
  readonly #places: Tensor
  #runs: { readonly left: Mask; readonly sampledOps: ArchWeights['sampledOps']; readonly index: Tensor }

  constructor(choices: ChoiceGroup, columns: readonly number[], alpha: Tensor) {
    const { candidates, rows } = choices
    this.#choices = choices
    this.#columns = columns
    this.alpha = alpha
    this.#sample = keep(zerosLike(alpha))
    this.#ones = keep(zerosLike(alpha))
    const places = candidates.map((_, column) => {
      const at = columns.indexOf(column)
      return BigInt(at < 0 ? columns.length : at)
    })
    this.#places = tidy(() =>
      keep(to(Tensor.from(BigInt64Array.from(places), [candidates.length]), { device: alpha.device })),
    )
    this.#runs = this.#run(Array.from({ length: rows }, () => columns.map(() => true)))
  }

  #run(left: Mask) {
    const { alpha } = this
    const sampledOps = left.map((row) => this.#columns.filter((_, at) => row[at]))
    tidy(() =>
      copy(
        this.#ones,
        matrixTensor(
          left.map((row) => row.map(Number)),
          alpha.device,
        ),
      ),
    )
    return {
      left,
      sampledOps,
      index: keep(sampledIndex(sampledOps, this.#choices.candidates.length, alpha.device)),
    }
  }

  /** Which of the columns are left. */
  get left(): Mask {
    return this.#runs.left
  }

  /** Throws DdsasError 'checkpoint' where these are other columns. */
  set left(left: Mask) {
    const size = (of: Mask) => of.map((row) => row.length).join()
    if (size(left) !== size(this.left) || left.some((row) => !row.some(Boolean)))
      throw new DdsasError(
        'checkpoint',
        `what is left of '${this.#choices.name}' is that of another space; resume with its own`,
      )
    this.#runs.index.dispose()
    this.#runs = this.#run(left)
  }

  /** Which candidates of the group are left. */
  get available(): boolean[][] {
    const { sampledOps } = this.#runs
    return sampledOps.map((row) => this.#choices.candidates.map((_, column) => row.includes(column)))
  }

  /** Prunes all but the best; their alphas become 0, as published. Says what was available before. */
  prune(count: number): boolean[][] {
    const before = this.available
    const alpha = this.alpha.matrix()
    this.left = bestOfRows(alpha, count)
    noGrad(() => tidy(() => copy(this.alpha, mul(this.alpha, this.#ones))))
    return before
  }

  draw(generator: Generator): void {
    tidy(() => {
      const concentration = concentrationOf(this.alpha).matrix()
      copy(this.#sample, matrixTensor(dirichletSample(concentration, generator), this.alpha.device))
    })
  }

  /** `eval`: by a softmax of what is left. */
  archWeights(mode: 'train' | 'eval'): ArchWeights {
    const weights =
      mode === 'eval' ? softmax(this.alpha, 1) : pathwiseSample(this.#sample, concentrationOf(this.alpha))
    const { sampledOps, index } = this.#runs
    return { weights: this.#spread(renormalised(weights, this.#ones)), sampledOps, index }
  }

  /** [rows, columns] -> [rows, candidates], with zeros for those that take no part. */
  #spread(weights: Tensor): Tensor {
    const nothing = mul(slice(weights, 1, 0, 1), 0)
    return indexSelect(cat([weights, nothing], 1), 1, this.#places)
  }

  get scores(): number[][] {
    return tidy(() => this.archWeights('eval').weights.matrix())
  }

  dispose(): void {
    for (const tensor of [this.#sample, this.#ones, this.#places, this.#runs.index]) tensor.dispose()
  }
}
