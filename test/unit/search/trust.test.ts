/** Margins, rank correlations and collapse, and the epochs that they look back on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { collapseText } from '../../../src/cli/search-text.ts'
import {
  isCollapsed,
  noHistory,
  ranked,
  spearman,
  type TrustHistory,
  trustOf,
} from '../../../src/search/trust.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { Generator } from '../../../src/torch/random.ts'

const good = nasbench201Space.parse(
  '|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|',
  'test',
)
const skips = { cell: Array(6).fill('skip_connect') }

function scoresOf(seed: number) {
  const generator = new Generator(seed, 'scores')
  const rows = Array.from({ length: 6 }, () => Array.from({ length: 5 }, () => generator.uniform()))
  return { values: new Map([['cell', rows]]) }
}

test('ranks: equals share the mean of their places, what is not available has none', () => {
  assert.deepEqual(ranked([5, 1, 3, 1, Number.NaN, 3, 3]), [5, 0.5, 3, 0.5, -1, 3, 3])
})

test("Spearman's correlation: the formula for numbers that differ; 1 with itself, -1 backwards, none without an order", () => {
  const permutation = fc
    .integer({ min: 3, max: 12 })
    .chain((length) => fc.shuffledSubarray([...Array(length).keys()], { minLength: length }))
  fc.assert(
    fc.property(permutation, (ranks) => {
      const n = ranks.length
      const squares = ranks.reduce((sum, rank, at) => sum + (rank - at) ** 2, 0)
      const found = spearman(ranks, [...ranks.keys()]) ?? Number.NaN
      assert.ok(Math.abs(found - (1 - (6 * squares) / (n * (n * n - 1)))) < 1e-12)
      assert.ok(Math.abs((spearman(ranks, ranks) ?? 0) - 1) < 1e-12)
      assert.ok(
        Math.abs(
          (spearman(
            ranks,
            ranks.map((rank) => n - 1 - rank),
          ) ?? 0) + 1,
        ) < 1e-12,
      )
    }),
  )
  assert.equal(spearman([0, 1, 2], [1, 1, 1]), null)
  assert.equal(spearman([0, 1], []), null)
  // of what is available both times alone: 0 1 2 against 0 2 1
  assert.ok(Math.abs((spearman([0, 1, 2, 3, -1], [0, 3, 1, -1, 2]) ?? 0) - 0.5) < 1e-12)
})

test('margins: how much less the second has, of what is available; none without a second', () => {
  const values = new Map([
    [
      'cell',
      [
        [1, 4, 3, 0, 0],
        [2, 2, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [9, 1, 0, 0, 0],
      ],
    ],
  ])
  const available = new Map([
    [
      'cell',
      [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
      ].map((row) => row.map(Boolean)),
    ],
  ])
  const { report } = trustOf(nasbench201Space, good, { values, available }, noHistory)
  assert.deepEqual(report.margins, { cell: [0.25, 0, 0, null] })
})

test('scores are compared with those of five epochs ago, also where that was saved and read back', () => {
  let history: TrustHistory = noHistory
  const found: (number | null)[] = []
  for (let epoch = 0; epoch < 8; epoch++) {
    const trust = trustOf(nasbench201Space, good, scoresOf(epoch % 5 === 0 ? 0 : epoch), history)
    found.push(trust.report.rankCorrelation)
    history = JSON.parse(JSON.stringify(trust.history))
  }
  assert.deepEqual(found.slice(0, 5), [null, null, null, null, null])
  assert.equal(found[5], 1)
  assert.ok(Math.abs(found[6] ?? 1) < 0.6, `${found[6]}: other numbers`)
  assert.equal(history.ranks.length, 5)
  const none = trustOf(nasbench201Space, good, undefined, history)
  assert.deepEqual(
    [none.report.rankCorrelation, none.report.margins, none.history.ranks],
    [null, undefined, []],
  )
})

test('a collapse is told in its second epoch, once, and again where it comes back', () => {
  const told: number[] = []
  let history: TrustHistory = noHistory
  for (const [epoch, architecture] of [
    good,
    skips,
    good,
    skips,
    skips,
    skips,
    good,
    skips,
    skips,
  ].entries()) {
    const trust = trustOf(nasbench201Space, architecture, undefined, history)
    history = trust.history
    for (const collapse of trust.collapses) {
      told.push(epoch)
      const shape = { kind: 'cell', operations: 6, skips: 6, depth: 0, width: 0, epochs: 2 }
      assert.deepEqual(collapse, shape)
    }
  }
  assert.deepEqual(told, [4, 8])
})

test('collapsed: more than half are skip connections, or nothing with weights is left; the warning says which', () => {
  const shape = { operations: 8, skips: 4, depth: 1, width: 4 }
  assert.deepEqual([shape, { ...shape, skips: 5 }, { ...shape, depth: 0 }].map(isCollapsed), [
    false,
    true,
    true,
  ])
  const report = { epoch: 4, globalStep: 9, kind: 'normal', ...shape, epochs: 2 }
  const texts = [
    { ...report, skips: 5 },
    { ...report, depth: 0 },
  ].map(collapseText)
  assert.match(
    texts[0],
    /'normal' has collapsed, 2 epochs in a row:\n {2}5 of 8 operations are skip connections;/,
  )
  assert.match(texts[1], /no operation with weights/)
  for (const line of texts.join('\n').split('\n')) assert.ok(line.length <= 80, line)
})
