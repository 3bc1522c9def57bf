/** What strategies need that decide between candidates: a space that lets some of them run. */
import type { SearchSpace } from '../../spaces/space.ts'

/** Why such a strategy cannot search a space; undefined where it can. */
export function withoutSampled({ choices }: SearchSpace): string | undefined {
  return choices.some(({ run }) => run === 'sampled')
    ? undefined
    : 'all of its candidates run at once, and none can be left out'
}
