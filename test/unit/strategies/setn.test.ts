/** SETN: weights by one architecture, alpha by all candidates; what is compared in the end are the most probable ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { searchStep } from '../../../src/search/search.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import type { AnyStrategy } from '../../../src/strategies/index.ts'
import { setn } from '../../../src/strategies/setn.ts'
import type { Strategy } from '../../../src/strategies/strategy.ts'
import { copy, Generator, Tensor, tidy } from '../../../src/torch/index.ts'
import { withSession } from '../search/pairs.ts'

function made<A>(space: SearchSpace<A>, samples: number) {
  const init = { device: 'cpu', generator: new Generator(0) }
  const settings = { ...setn.defaults(space), setn: { samples, epochSamples: 1, images: 8, finalists: 1 } }
  return setn.create({ space, init, seed: 1, epochs: 3 }, settings)
}

/** Alpha of normal size: every architecture has a probability of its own. */
function scatter(strategy: Pick<Strategy, 'parameters'>): void {
  const generator = new Generator(3, 'alpha')
  for (const alpha of strategy.parameters?.().values() ?? [])
    tidy(() => {
      const values = Float32Array.from({ length: alpha.size }, () => generator.normal())
      copy(alpha, Tensor.from(values, alpha.shape))
    })
}

test('the 40 most probable of all cells of NAS-Bench-201 are measured, the most probable one first', async () => {
  const strategy = made(nasbench201Space, 40)
  scatter(strategy)
  const probabilities = strategy.scores?.().values.get('cell') ?? []
  const { candidates } = nasbench201Space.choices[0]
  const probability = (columns: readonly number[]) =>
    columns.reduce((product, column, row) => product * probabilities[row][column], 1)
  const all: number[] = []
  for (let number = 0; number < 5 ** 6; number++)
    all.push(probability(Array.from({ length: 6 }, (_, row) => Math.floor(number / 5 ** row) % 5)))
  all.sort((a, b) => b - a)
  assert.ok(Math.abs(all.reduce((sum, one) => sum + one, 0) - 1) < 1e-5, 'a distribution over all cells')
  const measured: number[] = []
  const picked = await strategy.derive(
    async (weights) => {
      const rows = weights('cell').sampledOps
      measured.push(probability(rows.map(([column]) => column)))
      // the later the better
      return { loss: 1, accuracy: measured.length / 100 }
    },
    { last: true },
  )
  assert.equal(measured.length, 41)
  for (const [at, value] of measured.slice(0, 40).entries()) assert.ok(Math.abs(value / all[at] - 1) < 1e-5)
  assert.ok(Math.abs(probability(picked.cell.map((name) => candidates.indexOf(name))) / all[39] - 1) < 1e-5)
  strategy.dispose()
})

test('between epochs few are measured; limits that leave one choice leave what is decoded', async () => {
  const strategy = made({ ...dartsSpace, allows: () => false }, 40)
  let count = 0
  const evaluate = async () => ({ loss: 1, accuracy: count++ })
  const found = await strategy.derive(evaluate)
  assert.equal(count, 1)
  const { values } = strategy.scores?.() ?? assert.fail()
  assert.deepEqual(found, dartsSpace.decode(values))
  strategy.dispose()
})

test('a step trains the weights of one architecture, and alpha of every candidate', () =>
  withSession({ space: nasbench201Space, strategy: setn as AnyStrategy }, async (session) => {
    const { strategy } = session
    const alpha = strategy.parameters?.().get('alpha.cell') ?? assert.fail()
    const before = alpha.floats()
    await searchStep(session, 0.02)
    const ran = tidy(() => strategy.archWeights('cell', 'train'))
    assert.ok(ran.sampledOps.every(({ length }) => length === 1))
    assert.ok(alpha.floats().every((value, at) => value !== before[at]))
    // what ran alone has weights that moved: momentum of its operations and no others'
    const moved = [...session.optimizer.state().keys()].flatMap((name) => {
      const [, row, column] = /^cells\.0\.edges\.(\S+)\.(\d)\.op/.exec(name) ?? []
      return row === undefined ? [] : [Number(column)]
    })
    const columns = ran.sampledOps.flat().filter((column) => column === 2 || column === 3)
    assert.deepEqual(new Set(moved), new Set(columns))
  }))

test('a space that does not say its parts is refused by name', () => {
  const { parts: _, ...without } = nasbench201Space
  assert.throws(() => setn.check?.(setn.defaults(without), without, 5), {
    kind: 'input',
    message: /'nasbench201' does not say .* which setn needs/,
  })
})
