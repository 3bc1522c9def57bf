/** Spaces that shrink and grow: exactly the least salient go, no edge is emptied, and what was added is available. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseEdges } from '../../../../src/spaces/darts/decode.ts'
import type { ChoiceGroup } from '../../../../src/spaces/space.ts'
import { changeSpace, checkChange, type ElasticChange } from '../../../../src/strategies/ddsas/elastic.ts'
import {
  checkNewSchedule,
  checkSchedule,
  type SpaceSchedule,
  shrunkBelow,
} from '../../../../src/strategies/ddsas/schedule.ts'
import { blindShrink, scheduleWarnings } from '../../../../src/strategies/ddsas/schedule-warnings.ts'
import { describeChange } from '../../../../src/strategies/shared/group-change.ts'
import type { SpaceChange } from '../../../../src/strategies/strategy.ts'
import { assertRefuses } from '../../runs/temporary.ts'
import { makeStrategy, progressOf } from '../tiny.ts'
import { matrices, members, type SmallSpace, smallSpaces } from './spaces.ts'

const saliencies = (space: SmallSpace) =>
  matrices(space, fc.oneof(fc.constantFrom(0, 0.1), fc.double({ min: 0, max: 1, noNaN: true })))

const shrinkings = smallSpaces.chain((space) =>
  fc.record({ space: fc.constant(space), saliency: saliencies(space), count: fc.nat(80) }),
)

/** A change of a space whose operations are called by their columns; saliency alone decides. */
function changed(
  { available, none }: Pick<SmallSpace, 'available' | 'none'>,
  saliency: readonly (readonly number[])[],
  change: ElasticChange,
): boolean[][] {
  const candidates = available[0].map((_, k) => String(k))
  const zeros = saliency.map((row) => row.map(() => 0))
  return changeSpace({ available, saliency, pulls: zeros, estimates: zeros }, change, { candidates, none })
}

const others = (row: readonly boolean[], none: number) => row.filter((here, k) => here && k !== none).length

test('shrinking deletes exactly so many, or all that may go, and never the last operation of an edge', () => {
  fc.assert(
    fc.property(shrinkings, ({ space, saliency, count }) => {
      const left = changed(space, saliency, { kind: 'shrink', count })
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
      const left = changed(space, saliency, { kind: 'shrink', count })
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
        available = changed({ ...space, available }, saliency, { kind: 'shrink', count: 3 })
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
  const all = { available: [[true, true, true, true]], none: 0 }
  const shrunk = (count: number) => changed(all, saliency, { kind: 'shrink', count })[0].map(Number)
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
      const grown = changed(space, zeros, { kind: 'expand', from, to })
      for (const [edge, row] of grown.entries())
        for (const [k, here] of row.entries()) {
          const added = from <= k && k < to
          // none from the first to the first are no columns
          const kept = from > 0 || to === 0
          assert.equal(here, added || (kept && space.available[edge][k]))
        }
    }),
  )
})

test('a change leaves the space it was given as it was', () => {
  const available = [[true, true, true]]
  changed({ available, none: 0 }, [[0, 0, 0]], { kind: 'shrink', count: 2 })
  changed({ available, none: 0 }, [[0, 0, 0]], { kind: 'only', operations: ['0'] })
  assert.deepEqual(available, [[true, true, true]])
})

const names = ['none', 'max', 'skip', 'sep']
const shrink = (epoch: number, count: number) => ({
  epoch,
  change: { kind: 'shrink', count } as ElasticChange,
})
const expand = (epoch: number, from: number, to: number) => ({
  epoch,
  change: { kind: 'expand', from, to } as ElasticChange,
})
/** Two nodes: 5 edges of 4 operations, of which 15 can go. */
const five: ChoiceGroup = { name: 'cell', rows: 5, candidates: names, none: 0, run: 'sampled' }
const check = (schedule: SpaceSchedule) => checkSchedule(schedule, [five], 6)

test('a schedule that cannot be followed is refused, with the change, its value and what it may be', () => {
  const refuses = (changes: SpaceSchedule, ...patterns: RegExp[]) =>
    assertRefuses(() => check(changes), 'input', ...patterns)
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
  check([])
  check([shrink(1, 15)])
  check([shrink(5, 5), shrink(1, 10)])
  check([expand(0, 0, 2), expand(2, 2, 4), shrink(3, 15)])
  // none and two columns that do not follow it
  check([expand(0, 0, 1), expand(0, 2, 4), expand(2, 1, 2)])
})

test('whatever a schedule that is not refused does, each edge and the cell hold what is available alone', () => {
  const change = fc.oneof(
    fc.nat(15).map((count): ElasticChange => ({ kind: 'shrink', count })),
    fc.tuple(fc.nat(3), fc.nat(4)).map(([from, to]): ElasticChange => ({ kind: 'expand', from, to })),
  )
  const space: SmallSpace = { edges: 5, operations: 4, none: 0, available: [] }
  const stage = fc.record({ epoch: fc.nat(5), change, saliency: saliencies(space) })
  let followed = 0
  fc.assert(
    fc.property(fc.array(stage, { minLength: 1, maxLength: 4 }), (given) => {
      const stages = [...given].sort((a, b) => a.epoch - b.epoch)
      try {
        check(stages)
      } catch {
        return
      }
      followed += 1
      let available: boolean[][] = Array.from({ length: 5 }, () => Array(4).fill(true))
      for (const [index, { epoch, change, saliency }] of stages.entries()) {
        available = changed({ available, none: 0 }, saliency, change)
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

const only = (epoch: number, ...operations: string[]) => ({
  epoch,
  change: { kind: 'only', operations } as ElasticChange,
})
const close = (epoch: number, ...operations: string[]) => ({
  epoch,
  change: { kind: 'close', operations } as ElasticChange,
})
const grow = (epoch: number, ...operations: string[]) => ({
  epoch,
  change: { kind: 'expand', operations } as ElasticChange,
})

test('operations are named: what is said to be all, what is added and what is closed', () => {
  const row = (available: readonly boolean[], change: ElasticChange) =>
    changeSpace(
      { available: [available], saliency: [[0, 3, 2, 1]], pulls: [[0, 0, 0, 0]], estimates: [[0, 0, 0, 0]] },
      change,
      five,
    )[0].map(Number)
  const all = [true, true, true, true]
  assert.deepEqual(row(all, { kind: 'only', operations: ['sep', 'none'] }), [1, 0, 0, 1])
  assert.deepEqual(row([true, false, true, false], { kind: 'expand', operations: ['sep'] }), [1, 0, 1, 1])
  assert.deepEqual(row(all, { kind: 'close', operations: ['max', 'none'] }), [0, 0, 1, 1])
  // of an edge that has nothing else the most salient stays
  assert.deepEqual(
    row([true, false, true, true], { kind: 'close', operations: ['skip', 'sep'] }),
    [1, 0, 1, 0],
  )
  // names of other groups
  assert.deepEqual(row([true, false, true, false], { kind: 'only', operations: ['input 1'] }), [1, 0, 1, 0])
})

test('what was never sampled goes last where it is spared, the least zeta first; else by saliency alone', () => {
  const standing = {
    available: [[true, true, true, true, true]],
    saliency: [[0.5, 0, 0, 0.1, 0]],
    pulls: [[2, 0, 0, 1, 0]],
    estimates: [[0, 0.3, -0.2, 0, 0.1]],
  }
  const group = { candidates: ['a', 'b', 'c', 'd', 'e'] }
  const left = (count: number, spared?: number) =>
    changeSpace(standing, { kind: 'shrink', count }, group, spared)[0].map(Number)
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((count) => left(count, 0)),
    [
      [1, 1, 1, 0, 1],
      [0, 1, 1, 0, 1],
      [0, 1, 0, 0, 1],
      [0, 1, 0, 0, 0],
      [0, 1, 0, 0, 0],
    ],
  )
  assert.deepEqual(left(2), [1, 0, 0, 1, 1])
})

test('as the variants have it: the published code deletes what was never sampled, the paper does not', () => {
  for (const variant of ['authors-code', 'paper'] as const) {
    const strategy = makeStrategy({ variant, window: 1 })
    // subspaces of 28 of 112: the second window ends the first, and most were never sampled
    for (let step = 0; step < 2; step++) strategy.prepareStep(progressOf(step, 9))
    const before = strategy.memory('normal')
    const sampled = before.pulls.map((row) => row.map((pulls) => pulls > Math.min(...before.pulls.flat())))
    strategy.changeSpace({ kind: 'shrink', count: 10 })
    const gone = members(before.available).filter(
      ({ edge, k }) => !strategy.memory('normal').available[edge][k],
    )
    strategy.dispose()
    assert.equal(gone.length, 10)
    assert.ok(gone.every(({ edge, k }) => sampled[edge][k] === (variant === 'paper')))
  }
})

test('operations that are unknown, and stages that leave none alone, are refused by their names', () => {
  const refuses = (changes: SpaceSchedule, ...patterns: RegExp[]) =>
    assertRefuses(() => check(changes), 'input', ...patterns)
  refuses([grow(1, 'max', 'sep_9x9')], /expand at epoch 1: .*no operation 'sep_9x9'.*none, max, skip, sep/)
  refuses([only(0, 'none')], /only at epoch 0 leaves edges with none alone/)
  refuses([close(2, 'max', 'skip', 'sep')], /close at epoch 2 leaves edges with none alone/)
  refuses([only(0, 'sep', 'none'), close(2, 'sep')], /close at epoch 2 leaves edges with none alone/)
  refuses([only(0, 'sep'), shrink(2, 1)], /deletes 1 operations where at most 0 can go/)
  refuses([only(0, 'sep'), grow(1, 'max', 'sep'), shrink(2, 6)], /at most 5 can go/)
  check([only(0, 'sep', 'none'), grow(1, 'max'), close(2, 'sep'), shrink(3, 5)])
})

test('of several groups each keeps what a change does not name', () => {
  const groups: ChoiceGroup[] = [five, { name: 'input', rows: 3, candidates: ['a', 'b'], run: 'sampled' }]
  checkSchedule([only(0, 'sep'), close(1, 'a')], groups, 6)
  assertRefuses(() => checkSchedule([close(1, 'a', 'b')], groups, 6), 'input', /leaves edges with none alone/)
  assertRefuses(() => checkSchedule([shrink(1, 4)], groups, 6), 'input', /at most 3 can go/)
})

const ten = { size: 10, noneCounts: false }

test('a new search is refused stages out of order and spaces smaller than L; a shrink below L is warned of', () => {
  const refuses = (changes: SpaceSchedule, ...patterns: RegExp[]) =>
    assertRefuses(() => checkNewSchedule(changes, [five], ten), 'input', ...patterns)
  refuses([shrink(2, 1), shrink(1, 1)], /shrink at epoch 1 stands behind one of epoch 2/)
  refuses(
    [only(0, 'none', 'sep')],
    /only at epoch 0 leaves 'cell' 5 operations, fewer than L = 10: name more/,
  )
  refuses([close(3, 'max', 'skip')], /close at epoch 3 leaves 'cell' 5 operations, fewer than L = 10/)
  refuses([expand(0, 0, 2), expand(1, 2, 3)], /expand at epoch 0 leaves 'cell' 5/)
  checkNewSchedule([expand(0, 0, 2), expand(0, 2, 3), shrink(1, 8), grow(2, 'sep')], [five], ten)
  const counted = { size: 12, noneCounts: true }
  assertRefuses(
    () => checkNewSchedule([only(0, 'none', 'sep')], [five], counted),
    'input',
    /leaves 'cell' 10 operations, fewer than L = 12: set ddsas.subspace to 10 at most, or name more/,
  )
  assert.deepEqual(shrunkBelow([shrink(1, 8), shrink(3, 3)], [five], ten), {
    epoch: 3,
    group: 'cell',
    left: 9,
  })
  assert.equal(shrunkBelow([shrink(1, 10)], [five], ten), undefined)
  const timing = { stepsPerEpoch: 100, window: 3, restarts: true, sparesUnsampled: false }
  const [line, ...others] = scheduleWarnings([shrink(2, 11)], [five], ten, timing)
  assert.match(
    line,
    /from epoch 2 on 'cell' has at most 9 operations to sample, fewer than L = 10: all of them/,
  )
  assert.deepEqual(others, [])
  const [blind] = scheduleWarnings([shrink(0, 1)], [five], ten, { ...timing, sparesUnsampled: true })
  assert.match(blind, /no operation has a saliency yet, those of the least zeta go; shrink from epoch 1 on$/)
})

test('a change by hand is refused where it cannot be made in the space as it is', () => {
  const available = [
    [true, true, false, false],
    [true, true, true, false],
  ]
  const refuses = (change: SpaceChange, pattern: RegExp) =>
    assertRefuses(() => checkChange(change, [{ ...five, available }]), 'input', pattern)
  refuses({ kind: 'shrink', count: 4 }, /^shrink 4: at most 3 operations of 'cell' can go/)
  refuses({ kind: 'expand', operations: ['sep', 'x'] }, /^expand sep x: there is no operation 'x'/)
  refuses({ kind: 'expand', operations: ['max'] }, /^expand max: the space is so already/)
  refuses({ kind: 'close', operations: ['max'] }, /^close max: it would leave edges of 'cell' .*: 1 of 2/)
  refuses({ kind: 'close', operations: ['sep'] }, /so already/)
  refuses({ kind: 'only', operations: ['none'] }, /nothing to run: 2 of 2/)
  for (const change of [
    { kind: 'shrink', count: 3 },
    { kind: 'expand', operations: ['skip'] },
    { kind: 'close', operations: ['skip', 'none'] },
    { kind: 'only', operations: ['sep'] },
  ] satisfies SpaceChange[])
    checkChange(change, [{ ...five, available }])
})
