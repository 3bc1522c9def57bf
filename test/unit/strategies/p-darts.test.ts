/** P-DARTS: which candidates stay from stage to stage, what rests and is left out in which epoch, and how skip connections are limited. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchStep } from '../../../src/search/search.ts'
import type { Session } from '../../../src/search/session.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { withFewerSkips } from '../../../src/strategies/p-darts/fewer-skips.ts'
import { LeftGroup } from '../../../src/strategies/p-darts/left-group.ts'
import { pDarts } from '../../../src/strategies/p-darts/p-darts.ts'
import { epochOf, stagesIn } from '../../../src/strategies/p-darts/schedule.ts'
import { Generator, setThreads, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { withSession } from '../search/pairs.ts'

setThreads(1)

const strategy = pDarts as AnyStrategy
const onBench = { space: nasbench201Space, strategy }
const { pDarts: published } = pDarts.defaults(dartsSpace)

test('the published schedule: 8, 5, 3 candidates; alpha rests in 10 of 25 epochs; dropout falls linearly, then exponentially', () => {
  assert.deepEqual(
    stagesIn(published, 75).map((stage) => Object.values(stage)),
    [
      [0, 25, 0, 8, 0.1],
      [25, 50, 6, 5, 0.4],
      [50, 75, 12, 3, 0.7],
    ],
  )
  const rates = [0.1, 0.4, 0.7]
  for (let epoch = 0; epoch < 75; epoch++) {
    const [stage, own] = [Math.floor(epoch / 25), epoch % 25]
    const { rests, dropout } = epochOf(published, 75, epoch)
    assert.equal(rests, own < 10)
    const wanted =
      own < 10 ? (rates[stage] * (25 - own - 1)) / 25 : rates[stage] * Math.exp(-(own - 10) * 0.2)
    assert.ok(Math.abs(dropout - wanted) < 1e-12)
  }
  assert.deepEqual(pDarts.defaults(nasbench201Space).pDarts.candidates, [5, 3, 2])
})

test('shorter searches have stages as equal as can be, and drop those without an epoch', () => {
  const spans = (epochs: number) =>
    stagesIn(published, epochs).map(({ from, to, candidates }) => [from, to, candidates])
  assert.deepEqual(spans(4), [
    [0, 1, 8],
    [1, 3, 5],
    [3, 4, 3],
  ])
  assert.deepEqual(spans(2), [
    [0, 1, 8],
    [1, 2, 3],
  ])
  const schedule = { epochs: 2, stepsPerEpoch: 3 }
  assert.match(pDarts.warnings?.(pDarts.defaults(dartsSpace), schedule, dartsSpace)[0] ?? '', /1 of 3 stages/)
})

const [normal] = dartsSpace.choices

const shares = (row: readonly number[], left: readonly boolean[]) => {
  const powers = row.map((value, k) => (left[k] ? Math.exp(value) : 0))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map((power) => power / total)
}

test('weights are a softmax over what is left; of it the largest stay, row by row', () => {
  const generator = new Generator(1)
  const alpha = Array.from({ length: normal.rows }, () => normal.candidates.map(() => generator.normal()))
  const group = new LeftGroup(normal, 'cpu')
  tidy(() => {
    const tensor = Tensor.from(Float32Array.from(alpha.flat()), [normal.rows, normal.candidates.length])
    for (const count of [8, 5, 3]) {
      group.narrow(tensor, count)
      const found = group.shares(tensor)
      for (const [row, values] of alpha.entries()) {
        const best = [...values].sort((a, b) => b - a).slice(0, count)
        assert.deepEqual(
          group.left[row],
          values.map((value) => best.includes(value)),
        )
        for (const [k, share] of shares(values, group.left[row]).entries())
          assert.ok(Math.abs(found[row][k] - share) < 1e-6)
      }
      assert.deepEqual(
        group.archWeights(tensor).sampledOps,
        group.left.map((row) => [...row.keys()].filter((k) => row[k])),
      )
    }
    // what is gone does not come back, however much another alpha speaks for it
    const other = Tensor.from(
      Float32Array.from(alpha.flat(), (value) => -value),
      tensor.shape,
    )
    const before = group.left
    group.narrow(other, 3)
    assert.deepEqual(group.left, before)
    group.narrow(other, 1)
    assert.ok(group.left.every((row, at) => row.every((one, k) => !one || before[at][k])))
  })
  assertRefuses(() => (group.left = [[true]]), 'checkpoint', /what is left of 'normal'/)
  group.dispose()
})

const skip = (space: SearchSpace) => space.choices[0].candidates.indexOf('skip_connect')

/** Rows of the first group in which it is picked. */
function skips<Architecture>(space: SearchSpace<Architecture>, architecture: Architecture): number[] {
  const [{ name }] = space.choices
  const picks = space.encode(architecture).get(name) ?? []
  return [...picks.keys()].filter((row) => picks[row].includes(skip(space)))
}

function drawScores(space: SearchSpace, generator: Generator) {
  const everything = (rows: number, candidates: readonly string[]) =>
    Array.from({ length: rows }, () => candidates.map(() => true))
  const draw = (column: number) => generator.uniform() + (column === skip(space) ? 0.6 : 0)
  return {
    values: new Map(
      space.choices.map(({ name, rows, candidates }) => [
        name,
        Array.from({ length: rows }, () => candidates.map((_, column) => draw(column))),
      ]),
    ),
    available: new Map(
      space.choices.map(({ name, rows, candidates }) => [name, everything(rows, candidates)]),
    ),
  }
}

test('skip connections are given up one by one, the least first, until there are as few as asked for', () => {
  const generator = new Generator(2)
  const space = dartsSpace
  for (let draw = 0; draw < 20; draw++) {
    const { values, available } = drawScores(space, generator)
    for (const atMost of [0, 1, 2, 8]) {
      const found = space.decode(withFewerSkips(space, values, available, normal, atMost), available)
      // by what may be picked, not by scores
      const allowed = new Map([...available].map(([name, rows]) => [name, rows.map((row) => [...row])]))
      const own = allowed.get('normal') ?? []
      for (;;) {
        const rows = skips(space, space.decode(values, allowed))
        if (rows.length <= atMost) break
        const score = (row: number) => (values.get('normal') ?? [])[row][skip(space)]
        own[rows.reduce((least, row) => (score(row) < score(least) ? row : least))][skip(space)] = false
      }
      assert.deepEqual(found, space.decode(values, allowed))
      assert.ok(skips(space, found).length <= atMost)
      assert.deepEqual(found.reduce, space.decode(values, available).reduce, 'the reduction cell stays')
    }
  }
})

test('where nothing else is left a skip connection stays', () => {
  const space = nasbench201Space
  const [{ name, rows, candidates }] = space.choices
  const only = Array.from({ length: rows }, () => candidates.map((_, k) => k === skip(space)))
  const values = new Map([[name, only.map((row) => row.map(Number))]])
  const available = new Map([[name, only]])
  const found = withFewerSkips(space, values, available, space.choices[0], 2)
  assert.equal(skips(space, space.decode(found, available)).length, rows)
})

const leftOf = ({ strategy: own }: Session) => own.archWeights('cell', 'train').sampledOps

test('in a search a stage narrows by its alpha and begins with another; alpha rests, and weights are trained with dropout', () =>
  withSession(
    onBench,
    async (session) => {
      const own = session.strategy
      const alpha = () => own.parameters?.().get('alpha.cell')?.matrix() ?? assert.fail('no alpha')
      assert.deepEqual(leftOf(session)[0], [0, 1, 2, 3, 4])
      assert.equal(own.beginEpoch?.(0), undefined)
      const before = alpha()
      assert.equal((await searchStep(session, 0.02)).valid, null)
      assert.deepEqual(alpha(), before)
      assert.equal(own.dropout?.rate, 0)
      assert.ok(own.graphKey !== undefined)
      const report = own.beginEpoch?.(2)
      assert.equal(report?.cell.available, 6 * 2)
      for (const [row, runs] of leftOf(session).entries()) {
        const best = [...before[row]].sort((a, b) => b - a).slice(0, 2)
        assert.deepEqual(
          runs,
          [...before[row].keys()].filter((k) => best.includes(before[row][k])),
        )
      }
      assert.notDeepEqual(alpha(), before)
      session.progress = { ...session.progress, epoch: 3 }
      assert.notEqual((await searchStep(session, 0.02)).valid, null)
      assert.equal(own.dropout?.rate, 0.5)
      assert.equal(own.graphKey, undefined)
    },
    (config) => ({
      ...config,
      pDarts: { ...published, moreCells: [0, 0], candidates: [5, 2], dropout: [0, 0.5], warmUp: 0.5 },
    }),
  ))

test('settings that cannot be are refused with a remedy, useless ones are warned of', () => {
  const settings = pDarts.defaults(dartsSpace)
  const having = (own: Partial<typeof published>) => ({ ...settings, pDarts: { ...published, ...own } })
  pDarts.check?.(settings, dartsSpace, 75)
  const refused = (own: Partial<typeof published>, why: RegExp) =>
    assertRefuses(() => pDarts.check?.(having(own), dartsSpace, 75), 'input', why)
  refused({ dropout: [0.1] }, /have 3, 3, 1 entries: give each one for every stage/)
  refused({ candidates: [9, 5, 3] }, /stage 1 has more than the 8 there are/)
  refused({ candidates: [8, 3, 5] }, /stage 3 has more than the 3 there are before; let them fall/)
  const schedule = { epochs: 75, stepsPerEpoch: 9 }
  assert.deepEqual(pDarts.warnings?.(settings, schedule, dartsSpace), [])
  assert.match(
    pDarts.warnings?.(having({ warmUp: 1 }), schedule, dartsSpace)[0] ?? '',
    /alpha rests all the time/,
  )
})
