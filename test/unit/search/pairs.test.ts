/** Every pair of a registered space and a registered strategy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withParts } from '../../../src/search/config.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { spaces } from '../../../src/spaces/index.ts'
import { spaceName } from '../../../src/spaces/nasbench1shot1/architecture.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import { type AnyStrategy, strategies } from '../../../src/strategies/index.ts'
import { setThreads } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { testPair, testSpace } from './pairs.ts'

/** Spaces that another one's code builds with other numbers: strategies see nothing there that they do not see in that one. */
const alike = ([2, 3] as const).map(spaceName)

/** Declares that a strategy is refused in a space which it cannot search, with the spaces that it can. */
function testRefused(space: SearchSpace, strategy: AnyStrategy): void {
  test(`${space.name} by ${strategy.name}: refused, with the spaces that it can search`, () => {
    const fitting = Object.values(spaces).filter((one) => strategy.cannotSearch?.(one) === undefined)
    assert.ok(fitting.length > 0)
    const names = fitting.map(({ name }) => name).join(', ')
    assertRefuses(
      () => withParts(searchPresets.demo, { space, strategy }),
      'input',
      new RegExp(`^'${strategy.name}' cannot search '${space.name}': .*; it can search ${names}$`),
    )
  })
}

setThreads(1)
for (const space of Object.values(spaces)) {
  testSpace(space)
  if (alike.includes(space.name)) continue
  for (const strategy of Object.values<AnyStrategy>(strategies))
    if (strategy.cannotSearch?.(space) === undefined) testPair({ space, strategy })
    else testRefused(space, strategy)
}
