/**
 * What an architecture's network costs: a sum over the candidates it consists of, and over nodes that nothing leads into. It is the
 * form in which limits are kept.
 */
import { z } from 'zod'
import { checkGiven } from '../checks.ts'
import { DdsasError } from '../errors.ts'
import type { Picks } from '../spaces/space.ts'

/**
 * A node of several rows that costs something of its own where `none` is picked in each: a runtime has to make zeros for what reads it,
 * which no single pick says.
 */
export interface EmptyNode {
  readonly group: string
  readonly rows: readonly number[]
  /** The column of `none`. */
  readonly none: number
  readonly cost: number
}

/** A network costs `base`, what each pick adds, [rows, candidates] for each group of decisions, and its empty nodes. */
export interface CostTable {
  /** As people say: "parameters", "multiply-adds", "latency". */
  readonly quantity: string
  /** `M`, `ms`; of `base` and all costs. */
  readonly unit: string
  readonly base: number
  readonly costs: ReadonlyMap<string, readonly (readonly number[])[]>
  /** Absent: a sum over picks says all. */
  readonly empty?: readonly EmptyNode[]
}

const tableSchema = z.object({ quantity: z.string(), base: z.number(), costs: z.instanceof(Map) })

/** Throws DdsasError 'input' where the table lacks a group that was picked from. */
export function tableCost(table: CostTable, picks: Picks): number {
  checkGiven(tableSchema, table, 'tableCost', 'table')
  checkGiven(z.instanceof(Map), picks, 'tableCost', 'picks')
  const { base, costs, empty = [], quantity } = table
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
  for (const node of empty) if (isEmpty(node, picks)) total += node.cost
  return total
}

/** Whether `none`, and nothing else, is picked in each row of a node. */
export function isEmpty(
  { group, rows, none }: Pick<EmptyNode, 'group' | 'rows' | 'none'>,
  picks: Picks,
): boolean {
  const picked = picks.get(group)
  return picked !== undefined && rows.every((row) => picked[row].every((column) => column === none))
}
