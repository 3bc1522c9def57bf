/** Architectures put together from alternatives of their parts. */
import { DdsasError } from '../errors.ts'
import type { Choice } from '../nn/index.ts'
import type { Alternative, Available, ChoiceGroup, Picks, Scores, SearchSpace } from './space.ts'

/** Throws DdsasError 'input' where a space does not say its parts, or has a candidate in two; `what`: who needs them. */
export function partsOfSpace(
  { name, parts }: SearchSpace,
  what: string,
): readonly (readonly Alternative[])[] {
  if (parts === undefined)
    throw new DdsasError(
      'input',
      `the space '${name}' does not say what its architectures are made of, which ${what} needs: give it \`parts\``,
    )
  const owners = new Map<string, number>()
  for (const [at, alternatives] of parts.entries()) {
    if (alternatives.length === 0)
      throw new DdsasError('input', `part ${at} of the space '${name}' has no alternatives: give it one`)
    for (const { group, row, column } of alternatives.flat()) {
      const key = `${group} ${row} ${column}`
      if ((owners.get(key) ?? at) !== at)
        throw new DdsasError(
          'input',
          `candidate ${column} of row ${row} in '${group}' stands in two parts of the space '${name}': make one part of both`,
        )
      owners.set(key, at)
    }
  }
  return parts
}

export function picksOf(choices: readonly ChoiceGroup[], chosen: readonly Choice[]): Picks {
  const picks = new Map(
    choices.map(({ name, rows }) => [name, Array.from({ length: rows }, () => [] as number[])]),
  )
  for (const { group, row, column } of chosen) picks.get(group)?.[row].push(column)
  return picks
}

/**
 * The architecture of some alternatives, one of each part: what the space decodes where their candidates have the scores that they
 * have, 1 unless given, and all others less than any.
 */
export function assembled<Architecture>(
  space: SearchSpace<Architecture>,
  chosen: readonly Alternative[],
  scores?: Scores,
  available?: Available,
): Architecture {
  const all = scores ? [...scores.values()].flat(2) : [1]
  const low = all.reduce((least, score) => Math.min(least, score), 0) - 1
  const picks = picksOf(space.choices, chosen.flat())
  const kept = new Map(
    space.choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, (_, row) =>
        candidates.map((_, column) =>
          picks.get(name)?.[row].includes(column) ? (scores?.get(name)?.[row][column] ?? 1) : low,
        ),
      ),
    ]),
  )
  return space.decode(kept, available)
}

/** Whether all candidates of an alternative are there. */
export function isAvailable(alternative: Alternative, available: Available | undefined): boolean {
  return alternative.every(({ group, row, column }) => available?.get(group)?.[row]?.[column] ?? true)
}

/** The sum of the values that its candidates have; 0 where they have none. */
export function sumOf(alternative: Alternative, values: Scores | undefined): number {
  return alternative.reduce(
    (total, { group, row, column }) => total + (values?.get(group)?.[row]?.[column] ?? 0),
    0,
  )
}
