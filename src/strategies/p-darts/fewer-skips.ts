/** The last step of P-DARTS: of too many skip connections the least are given up, and other candidates take their places. */
import type { Available, ChoiceGroup, Scores, SearchSpace } from '../../spaces/space.ts'

/** The candidate that passes its input on unchanged, in every space here. */
const skip = 'skip_connect'

/**
 * Scores by which `decode` picks at most so many skip connections of a group: while there are more, the one with the smallest score has
 * none from then on. Where nothing can take its place a skip connection stays.
 */
export function withFewerSkips<Architecture>(
  space: SearchSpace<Architecture>,
  scores: Scores,
  available: Available,
  { name, candidates }: ChoiceGroup,
  atMost: number,
): Scores {
  const column = candidates.indexOf(skip)
  let values = scores
  for (;;) {
    const rows = values.get(name) ?? []
    const picked = space.encode(space.decode(values, available)).get(name) ?? []
    const skips = [...picked.keys()].filter((row) => picked[row].includes(column))
    const least = skips
      .filter((row) => rows[row][column] > 0)
      .reduce((best, row) => (best < 0 || rows[row][column] < rows[best][column] ? row : best), -1)
    if (skips.length <= atMost || least < 0) return values
    const without = rows.map((row, at) =>
      at === least ? row.map((score, k) => (k === column ? 0 : score)) : row,
    )
    values = new Map([...values, [name, without]])
  }
}
