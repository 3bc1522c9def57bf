/** Golden values that were rounded otherwise are met, along the branches they were computed along; wrong ones are not. */
import assert, { AssertionError } from 'node:assert/strict'
import { after, test } from 'node:test'
import { disposeBranches } from './branches.ts'
import { makeGolden } from './golden.ts'
import { goldenBranches, precise, together } from './golden-branches.ts'
import { Explorer, type Kink, rounding, Steered } from './kinks.ts'
import { beginning } from './made.ts'
import { holdAlong, manners } from './manners.ts'
import { free, type Golden, trajectory } from './trajectory.ts'

const from = beginning(3, { channels: 4, cells: 3, steps: 3, side: 12 })
const own = new Explorer([], true)
const golden = makeGolden(from, precise, own)
after(() => own.dispose())

function meets(values: Golden): { flips: readonly Kink[]; said: string[] } {
  const { branches, flips } = goldenBranches(values)
  const said = Object.values(manners).map((manner) => holdAlong(values, branches, manner))
  disposeBranches(branches)
  return { flips, said }
}

const lastLoss = ({ recorded }: Golden) => recorded.log[recorded.steps - 1].train_loss

test('golden values of float64 are met by each manner, along the branches of float64', () => {
  assert.deepEqual(meets(golden).flips, [])
})

for (const how of ['float32, channels last, ATen', 'float32, kernels, 1 thread'])
  test(`golden values computed as ${how} are met by each manner`, (t) => {
    const { flips, said } = meets(makeGolden(from, manners[how]))
    t.diagnostic(`flipped: ${flips.length}; ${said.join('; ')}`)
  })

test('where a kink within rounding was decided otherwise, it is found, and each manner follows', () => {
  // one that moves the last loss by more than what golden values are held to
  const moves = together(own.undecided, 1 + 2 * from.recorded.steps).find((flips) => {
    const explorer = new Explorer(flips)
    const other = makeGolden(from, precise, explorer)
    explorer.dispose()
    return Math.abs(lastLoss(other) / lastLoss(golden) - 1) > 2e-4
  })
  assert.ok(moves, 'no kink within rounding moves the search')
  const explorer = new Explorer(moves)
  const other = makeGolden(from, precise, explorer)
  explorer.dispose()
  const { flips } = meets(other)
  assert.deepEqual(flips, moves)
})

test('a golden value that no kink explains is refused by its name', () => {
  const { log } = golden.recorded
  const wrong = log.with(1, { ...log[1], train_loss: log[1].train_loss * 1.0002 })
  const refused = (error: unknown) =>
    error instanceof AssertionError && /^step1\/train_loss: /.test(error.message)
  assert.throws(() => goldenBranches({ ...golden, recorded: { ...golden.recorded, log: wrong } }), refused)
})

test('a search that decides a kink otherwise which is further away than rounding is refused', () => {
  const first = own.branches.findIndex(({ operator }) => operator === 'ddsas::relu_pointwise')
  const { operator, taken } = own.branches[first]
  const explorer = new Explorer([{ pass: 0, call: first, part: 0, element: 0, distance: 1 }])
  trajectory(from, precise, explorer, () => {}, 1)
  assert.notDeepEqual(explorer.branches[first].taken[0].bytes(), taken[0].bytes())
  const branches = own.branches.with(first, { operator, taken: explorer.branches[first].taken })
  const steered = new Steered(branches, false)
  assert.throws(() => trajectory(from, precise, steered, () => {}, 1), /1 kinks, off by up to 0\.\d/)
  assert.ok(rounding < 1e-4)
  explorer.dispose()
})

test('a search left to itself computes what one along its own branches does', () => {
  const observed = (course: Parameters<typeof trajectory>[2]) => {
    const found: unknown[] = []
    trajectory(
      from,
      precise,
      course,
      (name, value) => found.push([name, typeof value === 'number' ? value : name]),
      2,
    )
    return found
  }
  assert.deepEqual(observed(new Steered(own.branches, false)), observed(free))
})
