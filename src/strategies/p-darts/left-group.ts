/** A group of decisions of which some candidates are left: a softmax over alpha of those, and the best of them by it. */
import { DdsasError } from '../../errors.ts'
import { type ArchWeights, sampledIndex } from '../../nn/index.ts'
import type { ChoiceGroup } from '../../spaces/space.ts'
import { add, keep, softmax, type Tensor, tidy } from '../../torch/index.ts'
import { bestOfRows, type Mask, matrixTensor } from '../shared/matrix.ts'

export class LeftGroup {
  readonly choices: ChoiceGroup
  readonly #device: string
  #left: Mask
  #runs: { readonly sampledOps: ArchWeights['sampledOps']; readonly index: Tensor; readonly barrier: Tensor }

  constructor(choices: ChoiceGroup, device: string) {
    this.choices = choices
    this.#device = device
    this.#left = Array.from({ length: choices.rows }, () => choices.candidates.map(() => true))
    this.#runs = this.#run()
  }

  /** `barrier` [rows, candidates]: minus infinity for what is not left. */
  #run() {
    const sampledOps = this.#left.map((row) => [...row.keys()].filter((column) => row[column]))
    const barrier = this.#left.map((row) => row.map((left) => (left ? 0 : Number.NEGATIVE_INFINITY)))
    return {
      sampledOps,
      index: keep(sampledIndex(sampledOps, this.choices.candidates.length, this.#device)),
      barrier: tidy(() => keep(matrixTensor(barrier, this.#device))),
    }
  }

  /** [rows, candidates]. */
  get left(): Mask {
    return this.#left
  }

  /** Throws DdsasError 'checkpoint' where it is of another group. */
  set left(left: Mask) {
    const { rows, candidates, name } = this.choices
    const fits = (row: readonly boolean[]) => row.length === candidates.length && row.some(Boolean)
    if (left.length !== rows || !left.every(fits))
      throw new DdsasError(
        'checkpoint',
        `what is left of '${name}' is that of another space; resume with its own`,
      )
    this.#free()
    this.#left = left
    this.#runs = this.#run()
  }

  archWeights(alpha: Tensor): ArchWeights {
    const { sampledOps, index, barrier } = this.#runs
    return { weights: tidy(() => softmax(add(alpha, barrier), 1)), sampledOps, index }
  }

  /** The softmax over what is left, 0 elsewhere; waits for the device. */
  shares(alpha: Tensor): number[][] {
    return tidy(() => this.archWeights(alpha).weights.matrix())
  }

  /** Leaves the best of each row, by what is left of it now. */
  narrow(alpha: Tensor, count: number): void {
    const left = this.#left
    const best = bestOfRows(
      this.shares(alpha).map((row, at) => row.map((share, k) => (left[at][k] ? share : -1))),
      count,
    )
    this.left = best.map((row, at) => row.map((one, k) => one && left[at][k]))
  }

  #free(): void {
    this.#runs.index.dispose()
    this.#runs.barrier.dispose()
  }

  dispose(): void {
    this.#free()
  }
}
