/** The weights of a sum's terms: which candidates run, what each weighs, and where the gradients go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ArchWeights, sampledIndex, TermWeights } from '../../../src/nn/index.ts'
import { grad, liveSlots, setRequiresGrad, sum, Tensor, tidy } from '../../../src/torch/index.ts'

const sampledOps = [[2], [0, 1], [], [1, 2], [0]]
/** Row r, column k: 10 r + k. */
const matrix = () =>
  Tensor.from(
    Float64Array.from(sampledOps.flatMap((_, row) => [10 * row, 10 * row + 1, 10 * row + 2])),
    [5, 3],
  )
const choices = (group: string, pairs: readonly (readonly [row: number, column: number])[]) =>
  pairs.map(([row, column]) => ({ group, row, column }))

/** The weights of terms, of which some weigh. */
const weightsOf = (of: TermWeights, ...given: Parameters<TermWeights['of']>): Tensor =>
  of.of(...given) ?? assert.fail('nothing is weighted')

test('what runs is what is sampled', () =>
  tidy(() => {
    const weights = new TermWeights(() => ({ weights: matrix(), sampledOps }))
    for (const [row, columns] of sampledOps.entries())
      for (const column of [0, 1, 2])
        assert.equal(weights.runs({ group: 'a', row, column }), columns.includes(column))
  }))

test('the terms of a sum weigh what the matrix says, in their order, and each gradient goes to its entry', () => {
  tidy(() => {
    const weights = matrix()
    setRequiresGrad([weights], true)
    const of = new TermWeights(() => ({ weights, sampledOps }))
    const first = weightsOf(
      of,
      choices('a', [
        [0, 2],
        [1, 0],
        [1, 1],
      ]),
    )
    const second = weightsOf(
      of,
      choices('a', [
        [3, 1],
        [3, 2],
        [4, 0],
      ]),
    )
    assert.deepEqual(
      [first, second].map((part) => [...part.floats()]),
      [
        [2, 10, 11],
        [31, 32, 40],
      ],
    )
    const [gradient] = grad(sum(second), [weights])
    assert.deepEqual(gradient?.matrix(), [
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
      [0, 1, 1],
      [1, 0, 0],
    ])
  })
})

test('choices in any order, with gaps, more than once and of several groups', () => {
  tidy(() => {
    const groups: Record<string, ArchWeights> = {
      a: { weights: matrix(), sampledOps },
      b: { weights: Tensor.from(Float64Array.of(-1, -2, -3, -4), [2, 2]), sampledOps: [[0], [0, 1]] },
    }
    setRequiresGrad([groups.a.weights, groups.b.weights], true)
    const of = new TermWeights((group) => groups[group])
    const found = weightsOf(of, [
      ...choices('a', [
        [4, 0],
        [0, 2],
      ]),
      ...choices('b', [
        [1, 0],
        [1, 1],
      ]),
      ...choices('a', [
        [3, 2],
        [1, 0],
        [1, 0],
      ]),
    ])
    assert.deepEqual([...found.floats()], [40, 2, -3, -4, 32, 10, 10])
    const gradients = grad(sum(found), [groups.a.weights, groups.b.weights])
    assert.deepEqual(
      gradients.map((gradient) => gradient?.matrix()),
      [
        [
          [0, 0, 1],
          [2, 0, 0],
          [0, 0, 0],
          [0, 0, 1],
          [1, 0, 0],
        ],
        [
          [0, 0],
          [1, 1],
        ],
      ],
    )
  })
})

test('an index that the caller keeps is used and stays; a group is asked for once a pass', () => {
  tidy(() => {
    const index = sampledIndex(sampledOps, 3, 'cpu')
    assert.deepEqual([...new BigInt64Array(index.bytes().slice().buffer)], [2n, 3n, 4n, 10n, 11n, 12n])
    let asked = 0
    const weights = matrix()
    const before = liveSlots()
    tidy(() => {
      const of = new TermWeights(() => {
        asked += 1
        return { weights, sampledOps, index }
      })
      for (const pairs of [[[0, 2]], [[1, 1]], [[0, 2]]] as const)
        assert.deepEqual([...weightsOf(of, choices('a', pairs)).floats()], [10 * pairs[0][0] + pairs[0][1]])
    })
    assert.equal(asked, 1)
    assert.equal(liveSlots(), before)
    assert.deepEqual(index.shape, [6])
  })
})

test('a row as a whole weighs what it says, beside candidates and alone; 1 where nothing is said', () => {
  tidy(() => {
    const rows = Tensor.from(Float64Array.of(5, 6, 7, 8, 9), [5])
    setRequiresGrad([rows], true)
    const groups: Record<string, ArchWeights> = {
      a: { weights: matrix(), sampledOps, rows },
      b: { weights: matrix(), sampledOps },
    }
    const of = new TermWeights((group) => groups[group])
    const found = weightsOf(of, [
      { group: 'a', row: 1 },
      { group: 'a', row: 2 },
      { group: 'a', row: 0, column: 2 },
      { group: 'b', row: 2 },
      undefined,
      { group: 'a', row: 4 },
    ])
    assert.deepEqual([...found.floats()], [6, 7, 2, 1, 1, 9])
    const [gradient] = grad(sum(found), [rows])
    assert.deepEqual([...(gradient?.floats() ?? [])], [0, 1, 1, 0, 1])
    assert.equal(of.of([{ group: 'b', row: 0 }, undefined]), undefined)
  })
})
