/** Every pair of a registered space and a registered strategy. */
import { spaces } from '../../../src/spaces/index.ts'
import { spaceName } from '../../../src/spaces/nasbench1shot1/architecture.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'
import { setThreads } from '../../../src/torch/index.ts'
import { testPair, testSpace } from './pairs.ts'

/** Spaces that another one's code builds with other numbers: strategies see nothing there that they do not see in that one. */
const alike = ([2, 3] as const).map(spaceName)

setThreads(1)
for (const space of Object.values(spaces)) {
  testSpace(space)
  if (alike.includes(space.name)) continue
  for (const strategy of Object.values<AnyStrategy>(strategies)) testPair({ space, strategy })
}
