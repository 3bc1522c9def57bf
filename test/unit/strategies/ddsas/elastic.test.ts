/** Spaces that shrink and grow: exactly the least salient go, no edge is emptied, and what was added is available. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseEdges } from '../../../../src/spaces/darts/decode.ts'
import {
  blindShrink,
  changeSpace,
  checkChanges,
  describeChange,
  type SpaceChange,
} from '../../../../src/strategies/ddsas/elastic.ts'
import { assertRefuses } from '../../runs/temporary.ts'
import { makeStrategy, progressOf } from '../tiny.ts'
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

const names = ['none', 'max', 'skip', 'sep']
const shrink = (epoch: number, count: number) => ({ epoch, change: { kind: 'shrink', count } as SpaceChange })
const expand = (epoch: number, from: number, to: number) => ({
  epoch,
  change: { kind: 'expand', from, to } as SpaceChange,
})
/** Two nodes: 5 edges of 4 operations, of which 15 can go. */
const five = { edges: 5, operations: names, none: 0, epochs: 6 }

test('a schedule that cannot be followed is refused, with the change, its value and what it may be', () => {
  const refuses = (changes: Parameters<typeof checkChanges>[0], ...patterns: RegExp[]) =>
    assertRefuses(() => checkChanges(changes, five), 'input', ...patterns)
  refuses([shrink(6, 1)], /shrink at epoch 6/, /last of 6 is 5/)
  refuses([shrink(1, 16)], /deletes 16 .* at most 15/)
  refuses([shrink(3, 6), shrink(1, 10)], /shrink at epoch 3 deletes 6 .* at most 5/)
  refuses([expand(1, 2, 2)], /columns 2 to 2/, /0 none, 1 max, 2 skip, 3 sep/)
  refuses([expand(1, 3, 1)], /columns 3 to 1/)
  refuses([expand(1, 1, 5)], /columns 1 to 5/)
  refuses([expand(0, 0, 1)], /expand at epoch 0 leaves edges with none alone/)
  refuses([expand(0, 0, 1), expand(1, 1, 2)], /expand at epoch 0 leaves edges with none alone/)
  refuses([expand(1, 1, 2), expand(1, 0, 1)], /expand at epoch 1 leaves edges with none alone/)
  refuses([expand(1, 0, 1), shrink(1, 1)], /at most 0 can go/)
  refuses([expand(0, 0, 2), shrink(1, 6)], /at most 5/)
})

test('a schedule that can be followed is not refused, whatever its order', () => {
  checkChanges([], five)
  checkChanges([shrink(1, 15)], five)
  checkChanges([shrink(5, 5), shrink(1, 10)], five)
  checkChanges([expand(0, 0, 2), expand(2, 2, 4), shrink(3, 15)], five)
  // none and two columns that do not follow it
  checkChanges([expand(0, 0, 1), expand(0, 2, 4), expand(2, 1, 2)], five)
})

test('whatever a schedule that is not refused does, each edge and the cell hold what is available alone', () => {
  const change = fc.oneof(
    fc.nat(15).map((count): SpaceChange => ({ kind: 'shrink', count })),
    fc.tuple(fc.nat(3), fc.nat(4)).map(([from, to]): SpaceChange => ({ kind: 'expand', from, to })),
  )
  const space: SmallSpace = { edges: 5, operations: 4, none: 0, available: [] }
  const stage = fc.record({ epoch: fc.nat(5), change, saliency: saliencies(space) })
  let followed = 0
  fc.assert(
    fc.property(fc.array(stage, { minLength: 1, maxLength: 4 }), (given) => {
      const stages = [...given].sort((a, b) => a.epoch - b.epoch)
      try {
        checkChanges(stages, five)
      } catch {
        return
      }
      followed += 1
      let available: boolean[][] = Array.from({ length: 5 }, () => Array(4).fill(true))
      for (const [index, { epoch, change, saliency }] of stages.entries()) {
        available = changeSpace(available, saliency, change, 0)
        // within an epoch nothing is sampled
        if (stages[index + 1]?.epoch === epoch) continue
        for (const row of available) assert.ok(others(row, 0) >= 1)
        for (const [node, pair] of chooseEdges(saliency, available, 0).entries())
          for (const { input, operation } of pair)
            assert.ok(operation !== 0 && available[(node * (node + 3)) / 2 + input][operation])
      }
    }),
    { numRuns: 500 },
  )
  assert.ok(followed > 50, `only ${followed} schedules were followed`)
})

test('a change is described by operation: on how many edges it went or came, and what is left', () => {
  const before = [
    [true, true, false],
    [true, false, false],
  ]
  const after = [
    [false, true, true],
    [false, true, false],
  ]
  assert.deepEqual(describeChange(before, after, ['none', 'max', 'sep']), {
    available: 3,
    deleted: { none: 2 },
    added: { max: 1, sep: 1 },
  })
})

test('a shrink is blind exactly where a search then knows no saliency yet', () => {
  const shrink = (epoch: number) => ({ epoch, change: { kind: 'shrink', count: 1 } as const })
  for (const variant of ['authors-code', 'paper'] as const)
    for (const stepsPerEpoch of [1, 2, 3, 5])
      for (const window of [1, 2, 3, 5, 7]) {
        const strategy = makeStrategy({ variant, window })
        const schedule = { stepsPerEpoch, window, restarts: variant === 'authors-code' }
        const blind: boolean[] = []
        for (let total = 0; total < 9 * stepsPerEpoch; total++) {
          const at = progressOf(total, stepsPerEpoch)
          if (at.step === 0)
            blind.push(
              strategy
                .memory('normal')
                .saliency.flat()
                .every((value) => value === 0),
            )
          strategy.prepareStep(at)
        }
        strategy.dispose()
        for (const [epoch, wanted] of blind.entries()) {
          // in any order, beside changes that delete nothing
          const later = [shrink(epoch + 1), { epoch: 0, change: { kind: 'expand', from: 0, to: 8 } as const }]
          const found = blindShrink([...later, shrink(epoch)], schedule)
          assert.equal(found !== undefined, wanted, JSON.stringify({ variant, ...schedule, epoch }))
          if (found === undefined) continue
          assert.equal(found.epoch, epoch)
          assert.equal(found.knowing, blind.indexOf(false))
        }
        assert.equal(blindShrink([], schedule), undefined)
      }
})
