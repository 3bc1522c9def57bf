/** What a controller decides, one thing after the other: the candidates of all rows, as far as an architecture keeps the row. */
import { DdsasError } from '../../errors.ts'
import { drawArchitecture } from '../../spaces/architecture-weights.ts'
import { assembled, partsOfSpace } from '../../spaces/parts.ts'
import type { Picks, SearchSpace } from '../../spaces/space.ts'
import type { Generator } from '../../torch/index.ts'

/** One decision: a candidate of a row. */
export interface Decision {
  readonly group: string
  readonly row: number
  /** Whether each candidate can be picked there. */
  readonly allowed: readonly boolean[]
}

/** For each decision the column that was picked; -1 where the architecture leaves the row out. */
export type Decided = readonly number[]

/** No candidate: the row is left out. */
export const leftOut = -1

/**
 * The decisions of a space in the order of its groups and rows: one for each row, or as many as an architecture can have candidates
 * there. @throws {DdsasError} `input` for a space that does not say its parts.
 */
export function decisionsOf(space: SearchSpace): Decision[] {
  const alternatives = partsOfSpace(space, 'enas').flat()
  return space.choices.flatMap(({ name, rows, candidates }) =>
    Array.from({ length: rows }, (_, row) => {
      const there = alternatives.map((choices) =>
        choices.flatMap(({ group, row: at, column }) => (group === name && at === row ? [column] : [])),
      )
      const columns = new Set(there.flat())
      const decision = { group: name, row, allowed: candidates.map((_, column) => columns.has(column)) }
      return Array.from({ length: Math.max(...there.map(({ length }) => length)) }, () => decision)
    }).flat(),
  )
}

/** Which of the decisions are made for an architecture of these picks: those of the rows that it keeps. */
export function madeFor(decisions: readonly Decision[], picks: Picks): boolean[] {
  return decisions.map(({ group, row }, at) => {
    const first = decisions.findIndex((other) => other.group === group && other.row === row)
    return at - first < (picks.get(group)?.[row]?.length ?? 0)
  })
}

/** The rows that an architecture keeps where not all are: drawn evenly among what the space allows. */
export function drawMade(
  space: SearchSpace,
  decisions: readonly Decision[],
  generator: Generator,
): boolean[] {
  return madeFor(decisions, space.encode(drawArchitecture(space, generator)))
}

/** The architecture that was decided. */
export function architectureOf<Architecture>(
  space: SearchSpace<Architecture>,
  decisions: readonly Decision[],
  decided: Decided,
): Architecture {
  const chosen = decisions.flatMap(({ group, row }, at) =>
    decided[at] === leftOut ? [] : [{ group, row, column: decided[at] }],
  )
  return assembled(space, [chosen])
}

/** Throws DdsasError 'checkpoint' for a sequence that is none of these decisions. */
export function checkDecided(decided: Decided, decisions: readonly Decision[]): void {
  const fits = decisions.every(({ allowed }, at) => decided[at] === leftOut || allowed[decided[at]])
  if (fits && decided.length === decisions.length) return
  throw new DdsasError(
    'checkpoint',
    `the state of the strategy has a sequence of ${decided.length} decisions that are not the space's ${decisions.length}; resume with its own space`,
  )
}
