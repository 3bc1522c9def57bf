/** What an architecture's network costs, as a sum over the candidates it consists of: the form in which limits are kept. */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
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

const tableSchema = z.object({ quantity: z.string(), base: z.number(), costs: z.instanceof(Map) })

/** Throws DdsasError 'input' where the table lacks a group that was picked from. */
export function tableCost(table: CostTable, picks: Picks): number {
  checkGiven(tableSchema, table, 'tableCost', 'table')
  checkGiven(z.instanceof(Map), picks, 'tableCost', 'picks')
  const { base, costs, quantity } = table
  let total = base
  for (const [group, rows] of picks) {
    const rowCosts = costs.get(group)
    if (rowCosts === undefined)
      throw new DdsasError(
        'input',
        `the table of ${quantity} has no group '${group}'; make one of this space`,
      )
    for (const [row, columns] of rows.entries()) for (const column of columns) total += rowCosts[row][column]
  }
  return total
}
