/** Changes of a space during a search (section 4.2 of the paper): typed values, by schedule or asked for by hand. */
import { z } from 'zod'

/** No space has more candidates in a row, and no name is longer. */
const names = (meaning: string) => z.array(z.string().min(1).max(200)).min(1).max(1000).describe(meaning)

export const spaceChange = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('shrink'),
    count: z.number().int().positive().describe('operations to delete in each group of decisions'),
  }),
  z.strictObject({ kind: z.literal('expand'), operations: names('what is added on every edge') }),
  z.strictObject({ kind: z.literal('close'), operations: names('what goes from every edge') }),
  z.strictObject({ kind: z.literal('only'), operations: names('all that there is from then on') }),
])

/**
 * How the candidates of every group of decisions change: the least salient are deleted, or named ones come, go, or are all
 * that there is. A group that has none of the names keeps what it has.
 */
export type SpaceChange = z.infer<typeof spaceChange>

/** "shrink 14", "expand sep_conv_5x5 dil_conv_5x5": as it is typed by hand. */
export function changeText(change: SpaceChange): string {
  return [change.kind, ...(change.kind === 'shrink' ? [change.count] : change.operations)].join(' ')
}
