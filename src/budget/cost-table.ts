/** What an architecture's network costs, as a sum over the candidates it consists of: the form in which limits are kept. */
import { DdsasError } from '../errors.ts'
import type { Picks } from '../spaces/space.ts'

/** A network costs `base` and what each pick adds, [rows, candidates] for each group of decisions. */
export interface CostTable {
  /** As people say: "parameters", "multiply-adds", "latency". */
  readonly quantity: string
  /** `M`, `ms`; of `base` and all costs. */
  readonly unit: string
  readonly base: number
  readonly costs: ReadonlyMap<string, readonly (readonly number[])[]>
}

/** Throws DdsasError 'input' where the table lacks a group that was picked from. */
export function tableCost({ base, costs, quantity }: CostTable, picks: Picks): number {
  let total = base
  for (const [group, rows] of picks) {
    const table = costs.get(group)
    if (table === undefined)
      throw new DdsasError(
        'input',
        `the table of ${quantity} has no group '${group}'; make one of this space`,
      )
    for (const [row, columns] of rows.entries()) for (const column of columns) total += table[row][column]
  }
  return total
}
