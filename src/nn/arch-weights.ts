/** What a strategy hands to a supernet for one forward pass: which candidates run and how much each weighs (Eq. 7). */
import { call, cat, indexSelect, reshape, slice, sum, Tensor, tidy, to } from '../torch/index.ts'
import type { Choice, ChoiceRow } from './program.ts'

/** The decisions of one group. */
export interface ArchWeights {
  /** Weight of each candidate of each row, float32 [rows, candidates]; those that do not run are not looked at. */
  readonly weights: Tensor
  /** For each row the columns of the candidates that run; one that is nothing but zeros need not. */
  readonly sampledOps: readonly (readonly number[])[]
  /** `sampledIndex` of them, where one keeps it from pass to pass: a recorded step cannot bring it to the device. */
  readonly index?: Tensor
  /** float32 [rows]: what a row as a whole weighs, for terms that pass by its candidates; ones where absent. */
  readonly rows?: Tensor
  /** float32 [rows]: what is added to every element of the sum that a row's candidates go into; nothing where absent. */
  readonly added?: Tensor
  /**
   * [rows, candidates]: how much each speaks for its row among the others, 0 where it does not run; `weights` unless given. Limits
   * on what networks cost steer a search by it.
   */
  readonly strengths?: () => Tensor
}

/** The groups by name. */
export type ArchWeightsOf = (group: string) => ArchWeights

/** Positions of the sampled candidates among all weights of a matrix with so many columns: int64 [sampled], on a device. */
export function sampledIndex(sampledOps: ArchWeights['sampledOps'], columns: number, device: string): Tensor {
  const positions = sampledOps.flatMap((row, at) => row.map((k) => BigInt(at * columns + k)))
  return tidy(() => to(Tensor.from(BigInt64Array.from(positions), [positions.length]), { device }))
}

const onesLike = (x: Tensor): Tensor => call('aten::ones_like', x)

interface Group {
  /** All that run, row by row: float32 [sampled]. */
  readonly flat: Tensor
  /** Where a row's begin in it. */
  readonly starts: readonly number[]
  readonly sampledOps: ArchWeights['sampledOps']
  readonly rows: Tensor | undefined
  readonly added: Tensor | undefined
}

/** A vector of a group, and the place of a weight in it. */
interface Position {
  readonly group: string
  readonly vector: 'flat' | 'rows'
  readonly at: number
}

/** The weights of sums' terms in one forward pass; what several sums share is taken out of the matrices once. */
export class TermWeights {
  readonly #of: ArchWeightsOf
  readonly #groups = new Map<string, Group>()
  readonly #slices = new Map<string, Tensor>()

  constructor(of: ArchWeightsOf) {
    this.#of = of
  }

  runs({ group, row, column }: Choice): boolean {
    return this.#group(group).sampledOps[row].includes(column)
  }

  /**
   * float32 [choices]: the weights of choices that run, or of rows as a whole, in their order; 1 where there is neither. Undefined
   * where nothing is weighted.
   */
  of(choices: readonly (Choice | ChoiceRow | undefined)[]): Tensor | undefined {
    const runs: { readonly from: Position | undefined; end: number }[] = []
    for (const choice of choices) {
      const from = choice && this.#position(choice)
      const last = runs.at(-1)
      const follows =
        from && last?.from?.group === from.group && last.from.vector === from.vector && last.end === from.at
      if (last && follows) last.end += 1
      else runs.push({ from, end: from ? from.at + 1 : 0 })
    }
    const parts = runs.map(({ from, end }) => from && this.#slice(from, end))
    const some = parts.find((part) => part !== undefined)
    if (some === undefined) return undefined
    const whole = parts.map((part) => part ?? onesLike(slice(some, 0, 0, 1)))
    return whole.length === 1 ? whole[0] : cat(whole, 0)
  }

  /** What rows add to the sum of these choices, [1]; undefined where they add nothing. */
  added(choices: readonly (Choice | undefined)[]): Tensor | undefined {
    const parts = new Map<string, Tensor>()
    for (const choice of choices) {
      const added = choice && this.#group(choice.group).added
      if (choice === undefined || added === undefined) continue
      const { group, row } = choice
      const key = `${group} ${row}`
      if (!parts.has(key)) parts.set(key, slice(added, 0, row, row + 1))
    }
    return parts.size === 0 ? undefined : sum(cat([...parts.values()], 0), [0], true)
  }

  /** Where a choice stands among all of its group that run, or a row among all rows; undefined for a row that weighs 1. */
  #position(choice: Choice | ChoiceRow): Position | undefined {
    const { group, row } = choice
    const { starts, sampledOps, rows } = this.#group(group)
    if ('column' in choice)
      return { group, vector: 'flat', at: starts[row] + sampledOps[row].indexOf(choice.column) }
    return rows && { group, vector: 'rows', at: row }
  }

  #slice({ group, vector, at }: Position, end: number): Tensor | undefined {
    const key = `${group} ${vector} ${at} ${end}`
    const whole = this.#group(group)[vector]
    const known = this.#slices.get(key) ?? (whole && slice(whole, 0, at, end))
    if (known === undefined) return undefined
    this.#slices.set(key, known)
    return known
  }

  #group(name: string): Group {
    const known = this.#groups.get(name)
    if (known) return known
    const { weights, sampledOps, index, rows, added } = this.#of(name)
    const flat = tidy(() =>
      indexSelect(
        reshape(weights, [-1]),
        0,
        index ?? sampledIndex(sampledOps, weights.shape[1], weights.device),
      ),
    )
    let next = 0
    const starts = sampledOps.map(({ length }) => {
      next += length
      return next - length
    })
    const made = { flat, starts, sampledOps, rows, added }
    this.#groups.set(name, made)
    return made
  }
}
