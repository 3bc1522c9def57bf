/** SGAS in a search: when edges are decided, what runs then, what rests, and what is said. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partsOf, withParts } from '../../../src/search/config.ts'
import { searchPresets } from '../../../src/search/presets.ts'
import { searchStep } from '../../../src/search/search.ts'
import { restoreSession, type Session } from '../../../src/search/session.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { nodesOf } from '../../../src/spaces/space.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { type Decision, decideEdge, edgeScores } from '../../../src/strategies/sgas/edge-decision.ts'
import { decisionsDue } from '../../../src/strategies/sgas/settings.ts'
import { sgas } from '../../../src/strategies/sgas/sgas.ts'
import { setThreads, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { filesOf, withSession } from '../search/pairs.ts'

// so little work is slower on several threads
setThreads(1)

const parts = { space: dartsSpace, strategy: sgas as AnyStrategy }
const onBench = { ...parts, space: nasbench201Space }
const { sgas: usual } = sgas.defaults(dartsSpace)
const [normal] = dartsSpace.choices

test('the schedule of the paper: an edge after epochs 10, 15, … 45 of 50; shorter searches decide as many', () => {
  const after = (epochs: number) =>
    Array.from({ length: epochs }, (_, epoch) => decisionsDue(usual, epoch, epochs, 8))
  const fifty = after(50)
  const times = [...fifty.keys()].filter((epoch) => fifty[epoch] > (fifty[epoch - 1] ?? 0))
  assert.deepEqual(times, [9, 14, 19, 24, 29, 34, 39, 44])
  assert.deepEqual(after(12), [0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8])
})

const alphaOf = ({ strategy }: Session) =>
  strategy.parameters?.().get('alpha.cell')?.matrix() ?? assert.fail('no alpha')

test('a decided edge runs one candidate of weight 1, its alpha rests to the bit, and a search goes on the same', () =>
  withSession(
    onBench,
    async (whole) => {
      for (let step = 0; step < 2; step++) await searchStep(whole, 0.02)
      assert.equal(whole.strategy.beginEpoch?.(0), undefined)
      const keys = [whole.strategy.graphKey]
      const report = whole.strategy.beginEpoch?.(1)
      keys.push(whole.strategy.graphKey)
      assert.notEqual(keys[0], keys[1])
      assert.equal(report?.cell.available, 6 * 5 - 4)
      whole.strategy.beginEpoch?.(2)
      const { sampledOps } = whole.strategy.archWeights('cell', 'train')
      const decided = [...sampledOps.keys()].filter((row) => sampledOps[row].length === 1)
      assert.equal(decided.length, 2)
      const weights = tidy(() => whole.strategy.archWeights('cell', 'train').weights.matrix())
      for (const row of decided)
        assert.deepEqual(
          weights[row],
          weights[row].map((_, k) => Number(k === sampledOps[row][0])),
        )
      const before = alphaOf(whole)
      await searchStep(whole, 0.02)
      for (const [row, values] of alphaOf(whole).entries()) {
        if (decided.includes(row)) assert.deepEqual(values, before[row])
        else assert.notDeepEqual(values, before[row])
      }
      const saved = filesOf(whole)
      await withSession(
        onBench,
        async (resumed) => {
          restoreSession(resumed, saved)
          assert.deepEqual(filesOf(resumed), saved)
          for (const session of [whole, resumed]) {
            await searchStep(session, 0.02)
            session.strategy.beginEpoch?.(3)
            await searchStep(session, 0.02)
          }
          assert.deepEqual(filesOf(resumed), filesOf(whole))
        },
        often,
      )
    },
    often,
  ))

/** An edge an epoch. */
function often(config: Session['config']): Session['config'] {
  return { ...config, sgas: { criterion: 2, warmUp: 0, interval: 0.25, history: 2, batchIncrease: 0 } }
}

test('when all is decided two edges lead into each node, and those are the architecture', () =>
  withSession(
    parts,
    async (session) => {
      const { strategy } = session
      strategy.beginEpoch?.(1)
      const { sampledOps } = strategy.archWeights('normal', 'train')
      for (const { rows } of nodesOf(normal))
        assert.deepEqual(
          rows
            .map((row) => sampledOps[row].length)
            .sort()
            .slice(-3),
          rows.length > 2 ? [0, 1, 1] : [1, 1],
        )
      const derived = await strategy.derive(async () => assert.fail('nothing is measured'))
      const picks = session.space.encode(derived).get('normal')
      assert.deepEqual(picks, sampledOps)
      const { train } = await searchStep(session, 0.02)
      assert.ok(Number.isFinite(train.loss))
      assert.equal(strategy.beginEpoch?.(2), undefined)
    },
    (config) => ({ ...config, sgas: { ...usual, warmUp: 0, interval: 0 } }),
  ))

test('in the space of the benchmark every edge is kept', () =>
  withSession(onBench, (session) => {
    for (const epoch of [1, 2, 3, 4]) session.strategy.beginEpoch?.(epoch)
    const { sampledOps } = session.strategy.archWeights('cell', 'train')
    assert.ok(sampledOps.every((row) => row.length > 0))
    assert.ok(sampledOps.some((row) => row.length === 1 && row[0] !== nasbench201Space.choices[0].none))
  }))

test('without a candidate that is nothing certainty alone decides, the first of equals', () => {
  const alpha = [
    [0, 0],
    [2, 0],
    [0, 2],
  ]
  const { score, importance } = edgeScores(alpha, undefined, undefined)
  assert.deepEqual(
    [score.map(Math.round), importance],
    [
      [0, 1, 1],
      [1, 1, 1],
    ],
  )
  const open: Decision[] = ['open', 'open', 'open']
  const nodes = nodesOf({ rows: 3 })
  assert.deepEqual(decideEdge(open, score, alpha, undefined, nodes), ['open', 0, 'open'])
  const node = [{ rows: [0, 1, 2], keeps: 1 }]
  assert.deepEqual(decideEdge(open, score, alpha, undefined, node), ['closed', 0, 'closed'])
  assert.deepEqual(decideEdge([1, 1, 'closed'], score, alpha, undefined, nodes), [1, 1, 'closed'])
})

test('a space of which nothing can be left out is refused, with those that can be searched', () => {
  const inputs = {
    ...dartsSpace,
    name: 'inputs',
    choices: dartsSpace.choices.map((group) => ({ ...group, run: 'all' as const })),
  }
  for (const strategy of ['sgas', 'drnas'])
    assertRefuses(
      () => withParts(searchPresets.demo, { ...partsOf({ space: 'darts', strategy }), space: inputs }),
      'input',
      new RegExp(
        `'${strategy}' cannot search 'inputs': all of its candidates run at once.*; it can search darts, nasbench201`,
      ),
    )
})

test('edges that will stay open are warned of', () => {
  const schedule = { epochs: 50, stepsPerEpoch: 9 }
  const settings = sgas.defaults(dartsSpace)
  assert.deepEqual(sgas.warnings?.(settings, schedule, dartsSpace), [])
  const late = { ...settings, sgas: { ...usual, interval: 0.2 } }
  const found = sgas.warnings?.(late, schedule, dartsSpace) ?? []
  assert.equal(found.length, 2)
  assert.match(found[0], /^4 of 8 edges of 'normal' are not decided before the last epoch.*sgas\.interval$/)
})
