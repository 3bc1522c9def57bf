/** Subspaces filled up to memory: properties over random spaces and costs, and the rule of L where memory is enough. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FilledGroup, fillSubspaces } from '../../../../src/strategies/ddsas/fill.ts'
import type { EdgeMask } from '../../../../src/strategies/ddsas/mixture.ts'
import { sampleSubspace } from '../../../../src/strategies/ddsas/subspace.ts'
import { matrices, members, type SmallSpace, smallSpaces } from './spaces.ts'

interface Case {
  readonly groups: readonly (FilledGroup & { readonly space: SmallSpace; readonly costs: number[][] })[]
  readonly noneCounts: boolean
  /** Of what all take together. */
  readonly share: number
}

const groups = smallSpaces.chain((space) =>
  fc.record({
    space: fc.constant(space),
    scores: matrices(space, fc.constantFrom(Number.POSITIVE_INFINITY, 0.1, 0.2, 0.3, 0.5, 1)),
    estimates: matrices(space, fc.constantFrom(-1, 0, 1)),
    available: fc.constant(space.available),
    none: fc.constant(space.none),
    costs: matrices(space, fc.constantFrom(0, 1, 2, 5, 9)),
  }),
)
const cases: fc.Arbitrary<Case> = fc.record({
  groups: fc.array(groups, { minLength: 1, maxLength: 3 }),
  noneCounts: fc.boolean(),
  share: fc.double({ min: 0, max: 1.1, noNaN: true }),
})

/** A constant, and what each that runs costs; `none` nothing. */
const bytesOf =
  ({ groups }: Case) =>
  (masks: readonly EdgeMask[]) =>
    groups.reduce(
      (sum, { costs, none }, at) =>
        members(masks[at]).reduce((all, { edge, k }) => all + (k === none ? 0 : costs[edge][k]), sum),
      10,
    )

const limitOf = (given: Case) => given.share * bytesOf(given)(given.groups.map(({ available }) => available))

const fill = (given: Case, limit = limitOf(given)) =>
  fillSubspaces(given.groups, { noneCounts: given.noneCounts, bytes: bytesOf(given), limit })

/** What the cheapest of every edge take: the least that there is. */
function leastOf({ groups }: Case): number {
  const edges = groups.flatMap(({ available, costs, none }) =>
    available.map((row, edge) => Math.min(...costs[edge].filter((_, k) => row[k] && k !== none))),
  )
  return edges.reduce((sum, cost) => sum + cost, 10)
}

const check = (property: (given: Case) => void) => fc.assert(fc.property(cases, property), { numRuns: 300 })

test('never more than is allowed, or than the cheapest of every edge; each edge has an operation other than none', () => {
  check((given) => {
    const masks = fill(given)
    const bytes = bytesOf(given)(masks)
    assert.ok(bytes <= Math.max(limitOf(given), leastOf(given)), `${bytes}`)
    if (limitOf(given) < leastOf(given)) assert.equal(bytes, leastOf(given))
    for (const [at, { available, none }] of given.groups.entries()) {
      for (const { edge, k } of members(masks[at])) assert.ok(available[edge][k])
      for (const row of masks[at]) assert.ok(row.some((taken, k) => taken && k !== none))
    }
  })
})

/** Free `none` aside, which enters with what comes after it. */
const counted = ({ groups }: Case, masks: readonly EdgeMask[]) =>
  masks.flatMap((mask, at) =>
    members(mask).flatMap(({ edge, k }) => (k === groups[at].none ? [] : [`${at} ${edge} ${k}`])),
  )

test('where the best of every edge fit, more memory takes nothing away, and the next in turn does not fit', () => {
  check((given) => {
    const bests = given.groups.map(({ scores, estimates, available, none }) =>
      sampleSubspace(scores, estimates, available, { size: 0, none, noneCounts: true }),
    )
    const least = bytesOf(given)(bests)
    const limit = Math.max(least, limitOf(given))
    const [some, more] = [fill(given, limit), fill(given, limit + 3)]
    for (const taken of [bests, some])
      assert.ok(counted(given, taken).every((one) => counted(given, more).includes(one)))
    const dearest = Math.max(...given.groups.flatMap(({ costs }) => costs.flat()))
    const all = counted(
      given,
      given.groups.map(({ available }) => available),
    ).length
    if (counted(given, some).length < all) assert.ok(limit - bytesOf(given)(some) < dearest)
  })
})

test('with bytes that count operations this is the rule of L, for every L', () => {
  fc.assert(
    fc.property(groups, fc.boolean(), fc.nat(80), (group, noneCounts, more) => {
      const size = group.space.edges + more
      const { scores, estimates, available, none } = group
      const countOf = (mask: EdgeMask) => members(mask).filter(({ k }) => noneCounts || k !== none).length
      const [mask] = fillSubspaces([group], { noneCounts, bytes: ([one]) => countOf(one), limit: size })
      const wanted = sampleSubspace(scores, estimates, available, { size, none, noneCounts })
      // what L leaves out behind its last operation, and memory has no reason to: `none` that nothing comes after
      if (countOf(available) !== size) assert.deepEqual(mask, wanted)
    }),
    { numRuns: 500 },
  )
})

test('groups take turns: with the same scores and costs no group gets more than one operation ahead', () => {
  fc.assert(
    fc.property(
      groups,
      fc.boolean(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (group, noneCounts, share) => {
        const given = { groups: [group, group], noneCounts, share }
        const masks = fill(given)
        if (limitOf(given) < leastOf(given)) return
        const bests = sampleSubspace(group.scores, group.estimates, group.available, {
          size: 0,
          none: group.none,
          noneCounts,
        })
        if (bytesOf(given)([bests, bests]) > limitOf(given)) return
        const [first, second] = masks.map(
          (mask) => members(mask).filter(({ k }) => noneCounts || k !== group.none).length,
        )
        assert.ok(first - second === 0 || first - second === 1, `${first} and ${second}`)
      },
    ),
  )
})

test('what an edge keeps in place of its best where that does not fit is the best that does', () => {
  const available = [[true, true, true, true]]
  const given: Case = {
    groups: [
      {
        scores: [[9, 4, 3, 2]],
        estimates: [[0, 0, 0, 0]],
        available,
        none: 3,
        costs: [[50, 7, 1, 0]],
        space: { edges: 1, operations: 4, none: 3, available },
      },
    ],
    noneCounts: false,
    share: 1,
  }
  const taken = (limit: number) => fill(given, limit)[0][0].flatMap((is, k) => (is ? [k] : []))
  assert.deepEqual(taken(11), [2])
  assert.deepEqual(taken(17), [1])
  assert.deepEqual(taken(18), [1], 'what is cheap gets no further than what is dear')
  assert.deepEqual(taken(68), [0, 1, 2, 3], 'none comes with all there is')
  assert.deepEqual(taken(60), [0])
  assert.deepEqual(taken(67), [0, 1])
  assert.deepEqual(taken(0), [2], 'the cheapest runs in any case')
})
