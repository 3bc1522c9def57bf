/** Costs of a part's candidates from costs of its alternatives: linear equations, of which only independent ones need to be known. */
import type { Choice } from '../nn/index.ts'
import type { Alternative } from '../spaces/space.ts'

interface Equation {
  /** One for each candidate; where it leads, 1, and 0 where the equations before it lead. */
  readonly factors: number[]
  readonly leads: number
  value: number
}

/** Sums and differences of a few numbers of 1 or 0 are exact; of more, nearly. */
const tiny = 1e-9

const keyOf = ({ group, row, column }: Choice) => `${group} ${row} ${column}`

export class PartEquations {
  readonly #candidates: readonly Choice[]
  readonly #places: ReadonlyMap<string, number>
  readonly #alternatives: readonly Alternative[]
  readonly #equations: Equation[] = []

  constructor(alternatives: readonly Alternative[]) {
    const candidates = new Map(alternatives.flat().map((choice) => [keyOf(choice), choice]))
    this.#candidates = [...candidates.values()]
    this.#places = new Map([...candidates.keys()].map((key, place) => [key, place]))
    this.#alternatives = alternatives
  }

  /** The candidates of an alternative cost `value` together; that is asked for only where it does not follow from others. */
  add(alternative: Alternative, value: () => number): void {
    const factors = this.#candidates.map(() => 0)
    for (const choice of alternative) factors[this.#places.get(keyOf(choice)) ?? 0] += 1
    const steps: { readonly by: Equation; readonly factor: number }[] = []
    for (const by of this.#equations) {
      const factor = factors[by.leads]
      if (Math.abs(factor) < tiny) continue
      for (const [place, other] of by.factors.entries()) factors[place] -= factor * other
      steps.push({ by, factor })
    }
    const leads = factors.findIndex((factor) => Math.abs(factor) > tiny)
    if (leads < 0) return
    const rest = steps.reduce((sum, { by, factor }) => sum - factor * by.value, value())
    const by = factors[leads]
    this.#equations.push({ factors: factors.map((factor) => factor / by), leads, value: rest / by })
  }

  /**
   * What each candidate costs, and what the network then costs more by itself. Of a row that every alternative takes as many
   * candidates of, the cheapest costs 0; of all other rows together likewise: equations cannot tell that from the rest of the network.
   */
  solve(): {
    readonly shift: number
    readonly solved: readonly { readonly choice: Choice; readonly cost: number }[]
  } {
    // what no equation decides is 0
    const costs = this.#candidates.map(() => 0)
    for (const { factors, leads, value } of this.#equations.toReversed())
      costs[leads] = factors.reduce(
        (sum, factor, place) => (place === leads ? sum : sum - factor * costs[place]),
        value,
      )
    const rows = this.#candidates.map(({ group, row }) => `${group} ${row}`)
    const fixed = new Set(rows.filter((row) => this.#taken((own) => own === row) !== undefined))
    const together = new Set(rows.map((row) => (fixed.has(row) ? row : '')))
    let shift = 0
    for (const name of together) {
      const belongs = (row: string) => (name === '' ? !fixed.has(row) : row === name)
      const taken = this.#taken(belongs)
      if (taken === undefined) continue
      const least = Math.min(...costs.filter((_, place) => belongs(rows[place])))
      for (const [place, row] of rows.entries()) if (belongs(row)) costs[place] -= least
      shift += taken * least
    }
    return { shift, solved: this.#candidates.map((choice, place) => ({ choice, cost: costs[place] })) }
  }

  /** How many candidates every alternative takes of some rows; undefined where they differ. */
  #taken(belongs: (row: string) => boolean): number | undefined {
    const [first, ...others] = this.#alternatives.map(
      (alternative) => alternative.filter(({ group, row }) => belongs(`${group} ${row}`)).length,
    )
    return others.every((count) => count === first) ? first : undefined
  }
}
