/** Every pair of a registered space and a registered strategy. */
import { spaces } from '../../../src/spaces/index.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'
import { setThreads } from '../../../src/torch/index.ts'
import { testPair, testSpace } from './pairs.ts'

setThreads(1)
for (const space of Object.values(spaces)) {
  testSpace(space)
  for (const strategy of Object.values<AnyStrategy>(strategies)) testPair({ space, strategy })
}
