/** How the candidates of a group that can be picked changed, for reports. */
import type { GroupChange } from '../strategy.ts'
import type { Mask } from './matrix.ts'

/** Compares what was available with what is; `operations` names the columns. */
export function describeChange(before: Mask, after: Mask, operations: readonly string[]): GroupChange {
  const count = (here: Mask, there: Mask) =>
    Object.fromEntries(
      operations
        .map((name, k) => [name, here.filter((row, edge) => row[k] && !there[edge][k]).length] as const)
        .filter(([, edges]) => edges > 0),
    )
  return {
    available: after.flat().filter(Boolean).length,
    deleted: count(before, after),
    added: count(after, before),
  }
}
