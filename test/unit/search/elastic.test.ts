/** Spaces that shrink and grow: exactly the least salient go, no edge is emptied, and what was added is available. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changeSpace } from '../../../src/search/elastic.ts'
import { matrices, members, type SmallSpace, smallSpaces } from './spaces.ts'

const saliencies = (space: SmallSpace) =>
  matrices(space, fc.oneof(fc.constantFrom(0, 0.1), fc.double({ min: 0, max: 1, noNaN: true })))

const shrinkings = smallSpaces.chain((space) =>
  fc.record({ space: fc.constant(space), saliency: saliencies(space), count: fc.nat(80) }),
)

const others = (row: readonly boolean[], none: number) => row.filter((here, k) => here && k !== none).length

test('shrinking deletes exactly so many, or all that may go, and never the last operation of an edge', () => {
  fc.assert(
    fc.property(shrinkings, ({ space, saliency, count }) => {
      const left = changeSpace(space.available, saliency, { kind: 'shrink', count }, space.none)
      const before = members(space.available).length
      assert.equal(before - members(left).length, Math.min(count, before - space.edges))
      for (const [edge, row] of left.entries()) {
        assert.ok(others(row, space.none) >= 1, `edge ${edge} is empty`)
        for (const [k, here] of row.entries()) assert.ok(!here || space.available[edge][k])
      }
    }),
    { numRuns: 300 },
  )
})

test('what shrinking deletes is least salient: whatever stays and might have gone is no less salient', () => {
  fc.assert(
    fc.property(shrinkings, ({ space, saliency, count }) => {
      const left = changeSpace(space.available, saliency, { kind: 'shrink', count }, space.none)
      const deleted = members(space.available).filter(({ edge, k }) => !left[edge][k])
      const most = Math.max(...deleted.map(({ edge, k }) => saliency[edge][k]))
      for (const { edge, k } of members(left)) {
        const isLast = k !== space.none && others(left[edge], space.none) === 1
        assert.ok(isLast || saliency[edge][k] >= most)
      }
    }),
    { numRuns: 300 },
  )
})

test('shrinking again and again ends with one operation other than none on each edge', () => {
  const runs = smallSpaces.chain((space) =>
    fc.record({
      space: fc.constant(space),
      stages: fc.array(saliencies(space), { minLength: 24, maxLength: 24 }),
    }),
  )
  fc.assert(
    fc.property(runs, ({ space, stages }) => {
      let available = space.available
      for (const saliency of stages)
        available = changeSpace(available, saliency, { kind: 'shrink', count: 3 }, space.none)
      for (const row of available) {
        assert.equal(others(row, space.none), 1)
        assert.equal(row[space.none], false)
      }
    }),
    { numRuns: 50 },
  )
})

test('the least salient of one edge: all but its best, in order', () => {
  const saliency = [[0.5, 0.1, 0.4, 0.3]]
  const all = [[true, true, true, true]]
  const shrunk = (count: number) => changeSpace(all, saliency, { kind: 'shrink', count }, 0)[0].map(Number)
  assert.deepEqual([0, 1, 2, 3, 9].map(shrunk), [
    [1, 1, 1, 1],
    [1, 0, 1, 1],
    [1, 0, 1, 0],
    // the last operation other than none stays, though none is more salient
    [0, 0, 1, 0],
    [0, 0, 1, 0],
  ])
})

test('expanding makes columns available everywhere and keeps the rest, unless it starts from the first', () => {
  const expansions = smallSpaces.chain((space) =>
    fc.record({
      space: fc.constant(space),
      range: fc.tuple(fc.nat(space.operations), fc.nat(space.operations)),
    }),
  )
  fc.assert(
    fc.property(expansions, ({ space, range }) => {
      const [from, to] = range.sort((a, b) => a - b)
      const zeros = space.available.map((row) => row.map(() => 0))
      const grown = changeSpace(space.available, zeros, { kind: 'expand', from, to }, space.none)
      for (const [edge, row] of grown.entries())
        for (const [k, here] of row.entries()) {
          const added = from <= k && k < to
          assert.equal(here, from === 0 ? added : added || space.available[edge][k])
        }
    }),
  )
})

test('a change leaves the space it was given as it was', () => {
  const available = [[true, true, true]]
  changeSpace(available, [[0, 0, 0]], { kind: 'shrink', count: 2 }, 0)
  changeSpace(available, [[0, 0, 0]], { kind: 'expand', from: 0, to: 1 }, 0)
  assert.deepEqual(available, [[true, true, true]])
})
