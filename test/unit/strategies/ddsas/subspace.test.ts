/** Sampling of subspaces: properties that hold for any scores, and a brute-force selection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type SubspaceRule,
  sampleSubspace,
  subspaceSizeRange,
} from '../../../../src/strategies/ddsas/subspace.ts'
import { matrices, members, type SmallSpace, smallSpaces } from './spaces.ts'

/** Few values, so that equal scores and infinite ones are common. */
const scoreValues = fc.constantFrom(Number.POSITIVE_INFINITY, 0.1, 0.2, 0.3, 0.4, 0.5, 1, 2)

interface Case {
  readonly space: SmallSpace
  readonly scores: number[][]
  readonly estimates: number[][]
  readonly rule: SubspaceRule
}

const cases: fc.Arbitrary<Case> = smallSpaces.chain((space) => {
  const [smallest, largest] = subspaceSizeRange(space.edges, space.operations)
  return fc.record({
    space: fc.constant(space),
    scores: matrices(space, scoreValues),
    estimates: matrices(space, fc.constantFrom(-1, 0, 1)),
    rule: fc.record({
      size: fc.integer({ min: smallest, max: largest }),
      none: fc.constant(space.none),
      noneCounts: fc.boolean(),
    }),
  })
})

const sample = ({ space, scores, estimates, rule }: Case) =>
  sampleSubspace(scores, estimates, space.available, rule)

type Place = ReturnType<typeof members>[number]

/** Whether a comes before b: score, then estimate, then position. */
function before({ scores, estimates, space }: Case, a: Place, b: Place): boolean {
  const key = ({ edge, k }: Place) => [scores[edge][k], estimates[edge][k], -edge * space.operations - k]
  const [x, y] = [key(a), key(b)]
  const first = x.findIndex((value, i) => value !== y[i])
  return first >= 0 && x[first] > y[first]
}

/** The best available operation of each edge other than `none`, found by comparing each with all. */
function edgeBests(given: Case): Place[] {
  const all = members(given.space.available).filter(({ k }) => k !== given.space.none)
  return all.filter((a) => all.every((b) => b === a || b.edge !== a.edge || before(given, a, b)))
}

const same = (a: Place, b: Place) => a.edge === b.edge && a.k === b.k

function check(property: (given: Case) => void): void {
  fc.assert(fc.property(cases, property), { numRuns: 300 })
}

test('only available operations are taken, on each edge its best other than none', () => {
  check((given) => {
    const mask = sample(given)
    assert.deepEqual(
      mask.map((row) => row.length),
      given.space.available.map((row) => row.length),
    )
    for (const { edge, k } of members(mask)) assert.ok(given.space.available[edge][k])
    const bests = edgeBests(given)
    assert.equal(bests.length, given.space.edges)
    for (const { edge, k } of bests) assert.ok(mask[edge][k], `edge ${edge} lacks its best, ${k}`)
  })
})

test('exactly L are taken where so many are left: other than none, or with it where it counts', () => {
  check((given) => {
    const { rule, space } = given
    const counted = ({ k }: Place) => rule.noneCounts || k !== space.none
    const left = members(space.available).filter(counted).length
    assert.equal(members(sample(given)).filter(counted).length, Math.min(rule.size, left))
  })
})

test('what is taken beyond the best of the edges ranks above everything that is not taken', () => {
  check((given) => {
    const taken = members(sample(given))
    const bests = edgeBests(given)
    const bestOf = (edge: number) => bests.filter((best) => best.edge === edge)
    const rest = taken.filter((a) => !bests.some((b) => same(a, b)))
    const absent = members(given.space.available).filter((a) => !taken.some((b) => same(a, b)))
    for (const a of rest) {
      // `none`, where it is free, enters above the best operation of its edge, however low that is
      const free = a.k === given.space.none && !given.rule.noneCounts
      if (free && bestOf(a.edge).every((best) => before(given, a, best))) continue
      for (const b of absent) assert.ok(before(given, a, b))
    }
  })
})

/** The rule in words: the bests, the best of the rest up to L, and free `none` above its edge's best or the last taken. */
function bruteForce(given: Case): Set<string> {
  const { space, rule } = given
  const all = members(space.available)
  const bests = edgeBests(given)
  const counts = ({ k }: Place) => rule.noneCounts || k !== space.none
  const rest = all.filter((a) => counts(a) && !bests.some((b) => same(a, b)))
  const rank = (a: Place, among: Place[]) => among.filter((b) => before(given, b, a)).length
  const places = rule.size - bests.length
  const taken = rest.filter((a) => rank(a, rest) < places)
  const free = all.filter((a) => {
    if (counts(a)) return false
    const aboveBest = bests.some((b) => b.edge === a.edge && before(given, a, b))
    // with places left over, everything available is in the subspace
    return aboveBest || places > rest.length || taken.some((b) => before(given, a, b))
  })
  return new Set([...bests, ...taken, ...free].map(({ edge, k }) => `${edge} ${k}`))
}

test('the subspace is the one a brute-force selection finds', () => {
  check((given) => {
    const taken = members(sample(given)).map(({ edge, k }) => `${edge} ${k}`)
    assert.deepEqual(new Set(taken), bruteForce(given))
  })
})

test('a strictly increasing function of the scores changes nothing', () => {
  check((given) => {
    const mask = sample(given)
    for (const f of [(x: number) => 3 * x - 7, (x: number) => x ** 3, Math.exp, Math.log])
      assert.deepEqual(sample({ ...given, scores: given.scores.map((row) => row.map(f)) }), mask)
  })
})

test('with scores that all differ, edges in another order give the same subspace in that order', () => {
  const distinct = smallSpaces.chain((space) => {
    const count = space.edges * space.operations
    return fc.record({
      space: fc.constant(space),
      order: fc.shuffledSubarray(
        Array.from({ length: space.edges }, (_, edge) => edge),
        { minLength: space.edges },
      ),
      scores: fc
        .shuffledSubarray(
          Array.from({ length: count }, (_, i) => i),
          { minLength: count },
        )
        .map((flat) =>
          space.available.map((_, e) => flat.slice(e * space.operations, (e + 1) * space.operations)),
        ),
      size: fc.integer({ min: space.edges + 1, max: count }),
      noneCounts: fc.boolean(),
    })
  })
  fc.assert(
    fc.property(distinct, ({ space, order, scores, size, noneCounts }) => {
      const rule = { size, none: space.none, noneCounts }
      const zeros = scores.map((row) => row.map(() => 0))
      const mask = sampleSubspace(scores, zeros, space.available, rule)
      const moved = <Row>(rows: readonly Row[]) => order.map((edge) => rows[edge])
      assert.deepEqual(sampleSubspace(moved(scores), zeros, moved(space.available), rule), moved(mask))
    }),
  )
})

test('equal scores are ordered by the estimate', () => {
  const scores = [[1, 1, 1, 1]]
  const rule = { size: 2, none: 0, noneCounts: true }
  const mask = sampleSubspace(scores, [[9, 1, 3, 2]], [[true, true, true, true]], rule)
  assert.deepEqual(mask, [[true, false, true, false]])
})

test('free none enters above the best of its edge and takes no place; it stays out below the last taken', () => {
  const available = Array.from({ length: 3 }, () => [true, true, true])
  const scores = [
    [3, 2, 1],
    [4, 9, 8],
    [7, 9.5, 7.5],
  ]
  const rule = { size: 5, none: 0, noneCounts: false }
  const zeros = scores.map((row) => row.map(() => 0))
  assert.deepEqual(sampleSubspace(scores, zeros, available, rule), [
    [true, true, false],
    [false, true, true],
    [false, true, true],
  ])
  assert.deepEqual(sampleSubspace(scores, zeros, available, { ...rule, noneCounts: true }), [
    [false, true, false],
    [false, true, true],
    [false, true, true],
  ])
})

test('L of the DARTS space is 15 to 112', () => {
  assert.deepEqual(subspaceSizeRange(14, 8), [15, 112])
})
