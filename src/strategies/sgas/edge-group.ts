/** A group of decisions of which some edges are decided: those run one candidate, and their alpha rests. */
import { DdsasError } from '../../errors.ts'
import { type ArchWeights, sampledIndex } from '../../nn/index.ts'
import { type ChoiceGroup, nodesOf } from '../../spaces/space.ts'
import { call, clone, copy, keep, noGrad, softmax, Tensor, tidy, to } from '../../torch/index.ts'
import { type Matrix, matrixTensor } from '../shared/matrix.ts'
import { type Decision, decidedScores } from './edge-decision.ts'

/** What runs and weighs on the device, of decisions as they are. */
interface Standing {
  readonly sampledOps: ArchWeights['sampledOps']
  readonly index: Tensor
  /** bool [rows, 1]. */
  readonly open: Tensor
  /** float32 [rows, candidates]: ones for what was decided. */
  readonly decided: Tensor
  /** Alpha as it was; of rows that are not open it stays so. */
  readonly frozen: Tensor
}

export class EdgeGroup {
  readonly choices: ChoiceGroup
  readonly alpha: Tensor
  readonly nodes: ReturnType<typeof nodesOf>
  history: readonly Matrix[] = []
  #decisions: readonly Decision[]
  #standing: Standing

  constructor(choices: ChoiceGroup, alpha: Tensor) {
    this.choices = choices
    this.alpha = alpha
    this.nodes = nodesOf(choices)
    this.#decisions = Array.from({ length: choices.rows }, (): Decision => 'open')
    this.#standing = this.#stand()
  }

  #stand(): Standing {
    const { candidates } = this.choices
    const { device } = this.alpha
    const sampledOps = this.#decisions.map((decision) => {
      if (decision === 'closed') return []
      return decision === 'open' ? [...candidates.keys()] : [decision]
    })
    const open = Uint8Array.from(this.#decisions, (decision) => Number(decision === 'open'))
    return tidy(() => ({
      sampledOps,
      index: keep(sampledIndex(sampledOps, candidates.length, device)),
      open: keep(to(Tensor.from(open, [open.length, 1], 'bool'), { device })),
      decided: keep(
        matrixTensor(
          this.#decisions.map((decision) => candidates.map((_, k) => Number(k === decision))),
          device,
        ),
      ),
      frozen: keep(noGrad(() => clone(this.alpha))),
    }))
  }

  get decisions(): readonly Decision[] {
    return this.#decisions
  }

  /** Throws DdsasError 'checkpoint' where these are of another group. */
  set decisions(decisions: readonly Decision[]) {
    const { rows, candidates, name } = this.choices
    const known = (decision: Decision) => typeof decision === 'string' || decision < candidates.length
    if (decisions.length !== rows || !decisions.every(known))
      throw new DdsasError(
        'checkpoint',
        `the decisions of '${name}' are those of another space; resume with its own`,
      )
    this.#free()
    this.#decisions = decisions
    this.#standing = this.#stand()
  }

  /** What runs. */
  get available(): boolean[][] {
    return this.#standing.sampledOps.map((row) => this.choices.candidates.map((_, k) => row.includes(k)))
  }

  /** For `decode`; waits for the device. */
  get scores(): number[][] {
    return decidedScores(this.#decisions, this.alpha.matrix(), this.choices.none)
  }

  archWeights(): ArchWeights {
    const { open, decided, sampledOps, index } = this.#standing
    return { weights: call('aten::where.self', open, softmax(this.alpha, 1), decided), sampledOps, index }
  }

  /** After a step of Adam, which moves by L2 what has no gradient. */
  keepDecided(): void {
    const { open, frozen } = this.#standing
    noGrad(() => tidy(() => copy(this.alpha, call('aten::where.self', open, this.alpha, frozen))))
  }

  #free(): void {
    const { index, open, decided, frozen } = this.#standing
    for (const tensor of [index, open, decided, frozen]) tensor.dispose()
  }

  dispose(): void {
    this.#free()
  }
}
