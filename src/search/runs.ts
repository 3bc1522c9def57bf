/** Which candidates a strategy runs now. */
import type { Picks, SearchSpace } from '../spaces/space.ts'
import type { Strategy } from '../strategies/strategy.ts'
import { tidy } from '../torch/index.ts'

/** Of the groups that candidates are sampled of. */
export function runsOf({ choices }: SearchSpace, strategy: Pick<Strategy, 'archWeights'>): Picks {
  const sampled = choices.filter(({ run }) => run === 'sampled')
  return new Map(
    tidy(() => sampled.map(({ name }) => [name, strategy.archWeights(name, 'train').sampledOps])),
  )
}
