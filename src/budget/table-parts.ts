/** Parts of a space as tables price them: alternatives whose costs sum up, those of rows into one node joined where an empty node costs. */
import { partsOfSpace, sumOf } from '../spaces/parts.ts'
import type { Alternative, SearchSpace } from '../spaces/space.ts'
import type { CostTable, EmptyNode } from './cost-table.ts'

type Parts = readonly (readonly Alternative[])[]

/**
 * The parts of a space, so that each empty node of the tables lies in one: an alternative is then all that decides whether the node is
 * empty. Throws DdsasError 'input' where the space does not say its parts; `what`: who needs them.
 */
export function partsOfTables(space: SearchSpace, tables: readonly CostTable[], what: string): Parts {
  return tables
    .flatMap(({ empty = [] }) => empty)
    .reduce((parts: Parts, node) => joined(parts, node), partsOfSpace(space, what))
}

/** The parts with those that decide on a node's rows made one, which stands where the first of them stood. */
function joined(parts: Parts, { group, rows }: EmptyNode): Parts {
  const belongs = (alternatives: readonly Alternative[]) =>
    alternatives.some((one) => one.some((choice) => choice.group === group && rows.includes(choice.row)))
  const own = parts.filter(belongs)
  if (own.length < 2) return parts
  const product = own.reduce<readonly Alternative[]>(
    (found, alternatives) => found.flatMap((one) => alternatives.map((other) => [...one, ...other])),
    [[]],
  )
  const first = parts.findIndex(belongs)
  return parts.flatMap((alternatives, at) =>
    at === first ? [product] : belongs(alternatives) ? [] : [alternatives],
  )
}

/** What an alternative costs, the nodes that it leaves empty included. */
export function alternativeCost(alternative: Alternative, { costs, empty = [] }: CostTable): number {
  return empty
    .filter(({ group, rows, none }) =>
      rows.every((row) => {
        const columns = alternative.filter((choice) => choice.group === group && choice.row === row)
        return columns.length > 0 && columns.every(({ column }) => column === none)
      }),
    )
    .reduce((total, { cost }) => total + cost, sumOf(alternative, costs))
}
