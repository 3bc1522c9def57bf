/**
 * Parameters and multiply-adds of all networks of a space, as sums over their picks: found from the programs of networks that differ
 * in one part, and compared with networks drawn at random.
 */
import { DdsasError } from '../errors.ts'
import { layersOf, type Program, parameterCount, programCosts, withoutAuxiliary } from '../nn/index.ts'
import { assembled, partsOfSpace, picksOf } from '../spaces/parts.ts'
import type { Alternative, NetworkSize, Picks, SearchSpace } from '../spaces/space.ts'
import { Generator } from '../torch/random.ts'
import { type CostTable, tableCost } from './cost-table.ts'
import { PartEquations } from './cost-table-equations.ts'

/** Networks that are to be trained: their size, and height and width of their images in pixels. */
export interface TargetNetwork extends NetworkSize {
  readonly imageSide: number
}

/** As `ddsas describe` counts: without the auxiliary head. */
const counters = {
  parameters: {
    quantity: 'parameters',
    count: ({ states }: Program) => parameterCount(states.flatMap(layersOf)),
  },
  multiplyAdds: {
    quantity: 'multiply-adds',
    count: (program: Program, side: number) => {
      const costs = programCosts(program, [3, side, side])
      return [...costs.values()].reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0)
    },
  },
} as const

export type Counted = keyof typeof counters

/** How many networks drawn at random are held against a table. */
const drawn = 12

const known = new WeakMap<SearchSpace, Map<string, CostTable>>()

/**
 * The table of a space's networks, in units of one; made once for a space and size.
 * @throws {DdsasError} `input` for a space without `parts`, a size that cannot be, or networks whose cost is no sum over their picks.
 */
export function networkCosts(space: SearchSpace, target: TargetNetwork, what: Counted): CostTable {
  const ofSpace = known.get(space) ?? new Map<string, CostTable>()
  known.set(space, ofSpace)
  const key = JSON.stringify([what, target])
  const table = ofSpace.get(key) ?? makeTable(space, target, what)
  ofSpace.set(key, table)
  return table
}

function makeTable(space: SearchSpace, target: TargetNetwork, what: Counted): CostTable {
  const { quantity, count } = counters[what]
  const parts = partsOfSpace(space, `a limit of ${quantity}`)
  const first = parts.map(([alternative]) => alternative)
  const costOf = (chosen: readonly Alternative[]) => {
    const network = space.network(assembled(space, chosen), { ...target, auxiliary: false })
    return count(withoutAuxiliary(network), target.imageSide)
  }
  let base = costOf(first)
  const costs = new Map(
    space.choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, () => candidates.map(() => 0)),
    ]),
  )
  const start = base
  for (const [at, alternatives] of parts.entries()) {
    const equations = new PartEquations(alternatives)
    for (const alternative of alternatives)
      equations.add(alternative, () => costOf(first.with(at, alternative)) - start)
    const { shift, solved } = equations.solve()
    base += shift
    for (const { choice, cost } of solved) {
      const rows = costs.get(choice.group)
      if (rows) rows[choice.row][choice.column] = cost
    }
  }
  const table = { quantity, unit: '', base, costs }
  checkSums(space, table, parts, costOf)
  return table
}

/** Throws DdsasError 'input' with the largest error, where the table is off. */
function checkSums(
  { name, choices }: SearchSpace,
  table: CostTable,
  parts: readonly (readonly Alternative[])[],
  costOf: (chosen: readonly Alternative[]) => number,
): void {
  const generator = new Generator(0, `networks of ${name}`)
  let largest = 0
  for (let network = 0; network < drawn; network++) {
    const chosen = parts.map((alternatives) => alternatives[generator.below(alternatives.length)])
    const picks: Picks = picksOf(choices, chosen.flat())
    largest = Math.max(largest, Math.abs(tableCost(table, picks) / costOf(chosen) - 1))
  }
  // whole numbers, which sum without rounding, unless a layer of one's own counts otherwise
  if (largest <= 1e-12) return
  throw new DdsasError(
    'input',
    `${table.quantity} of networks of the space '${name}' are no sum over their candidates (off by up to ${(100 * largest).toFixed(2)} %): ` +
      'it cannot be searched within limits on them; leave the limit out',
  )
}
