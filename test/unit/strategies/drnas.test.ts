/** DrNAS in a search: what takes part, what is pruned and when, when alpha rests, and what it is drawn to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchStep } from '../../../src/search/search.ts'
import { restoreSession, type Session } from '../../../src/search/session.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { drnas } from '../../../src/strategies/drnas/drnas.ts'
import { drnasSchedule } from '../../../src/strategies/drnas/settings.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { setThreads, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { filesOf, withSession } from '../search/pairs.ts'

// so little work is slower on several threads
setThreads(1)

const strategy = drnas as AnyStrategy
const onDarts = { space: dartsSpace, strategy }
const onBench = { space: nasbench201Space, strategy }

const weightsOf = ({ strategy: own }: Session, group: string, mode: 'train' | 'eval') =>
  tidy(() => own.archWeights(group, mode).weights.matrix())

const total = (row: readonly number[]) => row.reduce((sum, value) => sum + value, 0)

test('a sample gives each row shares of 1, and none to what takes no part', () =>
  withSession(onDarts, (session) => {
    const none = dartsSpace.choices[0].candidates.indexOf('none')
    const first = weightsOf(session, 'normal', 'train')
    for (const row of [...first, ...weightsOf(session, 'reduce', 'eval')]) {
      assert.ok(Math.abs(total(row) - 1) < 1e-6)
      assert.equal(row[none], 0)
    }
    const { sampledOps } = session.strategy.archWeights('normal', 'train')
    assert.deepEqual(sampledOps[0], [1, 2, 3, 4, 5, 6, 7])
    session.strategy.prepareStep({ epoch: 0, step: 1, globalStep: 1 })
    assert.notDeepEqual(weightsOf(session, 'normal', 'train'), first)
  }))

test('in the space of the benchmark that is nothing takes part, and nothing is pruned', () =>
  withSession(onBench, (session) => {
    assert.ok(weightsOf(session, 'cell', 'train').every((row) => row.every((share) => share > 0)))
    for (let epoch = 0; epoch < 4; epoch++) assert.equal(session.strategy.beginEpoch?.(epoch), undefined)
  }))

/** Half-way two of four are pruned. */
const pruning = (config: Session['config']): Session['config'] => ({
  ...config,
  drnas: { kl: 1e-3, none: false, pruneAt: 0.5, keep: 2, widenTo: 0, warmUp: 0 },
})

test('all but the best are pruned after a half of the epochs, run no more, and are never picked; a search goes on the same', () =>
  withSession(
    onBench,
    async (whole) => {
      assert.equal(whole.config.epochs, 4)
      for (let step = 0; step < 2; step++) await searchStep(whole, 0.02)
      for (const epoch of [0, 1]) assert.equal(whole.strategy.beginEpoch?.(epoch), undefined)
      const alpha = whole.strategy.parameters?.().get('alpha.cell')?.matrix() ?? assert.fail('no alpha')
      const report = whole.strategy.beginEpoch?.(2)
      assert.deepEqual([report?.cell.available, report?.cell.added], [6 * 2, {}])
      assert.equal(total(Object.values(report?.cell.deleted ?? {})), 6 * 2)
      const { sampledOps } = whole.strategy.archWeights('cell', 'train')
      const weights = weightsOf(whole, 'cell', 'train')
      for (const [row, runs] of sampledOps.entries()) {
        const smallest = Math.min(...runs.map((column) => alpha[row][column - 1]))
        assert.equal(alpha[row].filter((value) => value >= smallest).length, 2, 'the best are left')
        assert.ok(Math.abs(total(runs.map((column) => weights[row][column])) - 1) < 1e-6)
        assert.equal(weights[row].filter((weight) => weight > 0).length, 2)
      }
      await searchStep(whole, 0.02)
      const saved = filesOf(whole)
      await withSession(
        onBench,
        async (resumed) => {
          restoreSession(resumed, saved)
          assert.deepEqual(filesOf(resumed), saved)
          for (const session of [whole, resumed]) await searchStep(session, 0.02)
          assert.deepEqual(filesOf(resumed), filesOf(whole))
        },
        pruning,
      )
      const derived = await whole.strategy.derive(async () => assert.fail('nothing is measured'))
      for (const [row, columns] of (whole.space.encode(derived).get('cell') ?? []).entries())
        assert.ok(columns.every((column) => sampledOps[row].includes(column)))
    },
    pruning,
  ))

test('alpha rests at the beginning of each stage, and weights have a sample all the same', () =>
  withSession(
    onBench,
    async (session) => {
      const alpha = () => session.strategy.parameters?.().get('alpha.cell')?.floats()
      const before = alpha()
      const seen = weightsOf(session, 'cell', 'train')
      assert.equal((await searchStep(session, 0.02)).valid, null)
      assert.deepEqual(alpha(), before)
      assert.notDeepEqual(weightsOf(session, 'cell', 'train'), seen)
    },
    (config) => ({
      ...config,
      drnas: { kl: 1e-3, none: false, pruneAt: 0.5, keep: 2, widenTo: 0, warmUp: 0.5 },
    }),
  ))

test('the schedule of the paper: 25 and 25 epochs, of which alpha rests in ten each', () => {
  const { prune, rests } = drnasSchedule(drnas.defaults(dartsSpace).drnas, 50)
  assert.equal(prune, 25)
  const moving = Array.from({ length: 50 }, (_, epoch) => epoch).filter((epoch) => !rests(epoch))
  assert.deepEqual([moving.length, moving[0], moving[14], moving[15]], [30, 10, 24, 35])
  const bench = drnasSchedule(drnas.defaults(nasbench201Space).drnas, 100)
  assert.deepEqual([bench.prune, bench.rests(0)], [100, false])
})

test('a heavy divergence draws alpha back to the uniform distribution', () =>
  withSession(
    onBench,
    async (session) => {
      const alpha = session.strategy.parameters?.().get('alpha.cell') ?? assert.fail('no alpha')
      const far = Float32Array.from({ length: 30 }, (_, k) => (k % 2 ? 1.5 : -1.5))
      const { tensors, data } = session.strategy.state()
      tidy(() =>
        session.strategy.load({
          tensors: new Map(
            [...tensors].map(([name, own]) => [name, name === 'alpha.cell' ? Tensor.from(far, [6, 5]) : own]),
          ),
          data,
        }),
      )
      for (let step = 0; step < 12; step++) await searchStep(session, 0.02)
      for (const [k, value] of alpha.floats().entries())
        assert.ok(Math.abs(value) < 1.1 && Math.sign(value) === Math.sign(far[k]), `${k}: ${value}`)
    },
    (config) => ({
      ...config,
      drnas: { kl: 100, none: true, pruneAt: 1, keep: 0, widenTo: 0, warmUp: 0 },
      archOptimizer: { lr: 0.05, betas: [0.5, 0.999], weightDecay: 0 },
    }),
  ))

test('settings that cannot be are refused with a remedy, useless ones are warned of', () => {
  const settings = drnas.defaults(dartsSpace)
  const having = (own: Partial<typeof settings.drnas>) => ({
    ...settings,
    drnas: { ...settings.drnas, ...own },
  })
  drnas.check?.(settings, dartsSpace, 50)
  assertRefuses(
    () => drnas.check?.(having({ keep: 8 }), dartsSpace, 50),
    'input',
    /drnas\.keep 8 is more than the 7 candidates of a row: set it to 7 at most/,
  )
  const schedule = { epochs: 50, stepsPerEpoch: 9 }
  assert.deepEqual(drnas.warnings?.(settings, schedule, dartsSpace), [])
  assert.match(
    drnas.warnings?.(having({ warmUp: 1 }), schedule, dartsSpace)[0] ?? '',
    /alpha rests all the time/,
  )
  assert.match(drnas.warnings?.(having({ pruneAt: 0 }), schedule, dartsSpace)[0] ?? '', /drawn by chance/)
})
