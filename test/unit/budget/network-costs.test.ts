/** Costs of networks as sums over their picks, against what their programs cost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tableCost } from '../../../src/budget/cost-table.ts'
import { networkCosts, type TargetNetwork } from '../../../src/budget/network-costs.ts'
import { drawArchitecture } from '../../../src/spaces/architecture-weights.ts'
import { cellSpace, dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { describeProgram } from '../../../src/spaces/describe.ts'
import { type Nasbench201Cell, nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import { Generator } from '../../../src/torch/random.ts'

const cifar = { kind: 'cifar', channels: 8, cells: 6, classes: 10, imageSide: 32 } as const
const targets: readonly (readonly [SearchSpace, TargetNetwork])[] = [
  [dartsSpace, cifar],
  [dartsSpace, { kind: 'imagenet', channels: 6, cells: 5, classes: 7, imageSide: 64 }],
  [cellSpace({ ...darts, name: 'two nodes', nodes: 2 }), cifar],
  [nasbench201Space, cifar],
]

for (const [space, target] of targets)
  test(`${space.name}, ${target.kind}: what the tables say is what networks drawn at random cost`, () => {
    const tables = [networkCosts(space, target, 'parameters'), networkCosts(space, target, 'multiplyAdds')]
    const generator = new Generator(7, 'networks')
    const seen = new Set<number>()
    for (let draw = 0; draw < 25; draw++) {
      const architecture = drawArchitecture(space, generator)
      const network = space.network(architecture, { ...target, auxiliary: true })
      const { parameters, multiplyAdds } = describeProgram(network, target.imageSide)
      const picks = space.encode(architecture)
      assert.deepEqual(
        tables.map((table) => tableCost(table, picks)),
        [parameters, multiplyAdds],
      )
      seen.add(parameters)
    }
    assert.ok(seen.size > 5)
    // a network costs at least its base
    for (const { base, costs } of tables)
      assert.ok(base > 0 && [...costs.values()].flat(2).every((cost) => cost >= 0))
  })

/** Networks are twice as wide where the first edge is a convolution. */
const uneven: SearchSpace<Nasbench201Cell> = {
  ...nasbench201Space,
  name: 'uneven',
  network: (architecture, size) =>
    nasbench201Space.network(architecture, {
      ...size,
      channels: size.channels * (architecture.cell[0] === 'nor_conv_3x3' ? 2 : 1),
    }),
}

test('a space whose networks cost more than their candidates, and one without parts, are refused by name', () => {
  const refused = (space: SearchSpace, message: RegExp) =>
    assert.throws(() => networkCosts(space, cifar, 'parameters'), { kind: 'input', message })
  const { parts, ...bare } = nasbench201Space
  refused(
    { ...bare, name: 'bare' },
    /'bare' does not say what its architectures are made of.* limit of parameters/,
  )
  refused(uneven, /'uneven' are no sum over their candidates \(off by up to \d+\.\d+ %\)/)
  refused({ ...bare, parts: [...(parts ?? []), ...(parts ?? [])] }, /stands in two parts of the space/)
  refused({ ...bare, parts: [[]] }, /part 0 of the space .* has no alternatives/)
})

test('a table is made once for a space and a size', () => {
  const table = () => networkCosts(dartsSpace, cifar, 'parameters')
  assert.equal(table(), table())
  assert.notEqual(table(), networkCosts(dartsSpace, { ...cifar, classes: 11 }, 'parameters'))
})
