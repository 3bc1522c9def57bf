/** The architectures of the largest sums, against all there are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { withLimits } from '../../../src/budget/limits.ts'
import { bestArchitectures, fallingSums } from '../../../src/spaces/best-architectures.ts'
import { cellSpace } from '../../../src/spaces/darts/cell-space.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import type { Available, Scores, SearchSpace } from '../../../src/spaces/space.ts'
import { Generator } from '../../../src/torch/index.ts'

const { none, skip_connect, sep_conv_3x3 } = darts.operations
const small = cellSpace({ name: 'small', nodes: 2, operations: { none, skip_connect, sep_conv_3x3 } })

function scoresOf({ choices }: SearchSpace, seed: number): Scores {
  const generator = new Generator(seed, 'scores')
  return new Map(
    choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, () => candidates.map(() => generator.normal())),
    ]),
  )
}

/** The sum of what an architecture consists of. */
function sumOf<A>(space: SearchSpace<A>, architecture: A, scores: Scores): number {
  let sum = 0
  for (const [group, rows] of space.encode(architecture))
    for (const [row, columns] of rows.entries())
      for (const column of columns) sum += scores.get(group)?.[row]?.[column] ?? Number.NaN
  return sum
}

/** All lists of one of each. */
function product<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((all, list) => all.flatMap((one) => list.map((next) => [...one, next])), [[]])
}

function allCells(): string[] {
  const { candidates } = nasbench201Space.choices[0]
  return product(Array.from({ length: 6 }, () => candidates)).map((cell) =>
    nasbench201Space.format(nasbench201Space.parse({ cell }, 'cell')),
  )
}

function allGenotypes(): string[] {
  const operations = ['skip_connect', 'sep_conv_3x3']
  const node = (pairs: readonly (readonly [number, number])[]) =>
    pairs.flatMap(([a, b]) =>
      product([operations, operations]).map(([x, y]) => [
        [x, a],
        [y, b],
      ]),
    )
  const cells = product([
    node([[0, 1]]),
    node([
      [0, 1],
      [0, 2],
      [1, 2],
    ]),
  ]).map((nodes) => nodes.flat())
  const concat = { normal_concat: [2, 3], reduce_concat: [2, 3] }
  return product([cells, cells]).map(([normal, reduce]) =>
    small.format(small.parse({ normal, reduce, ...concat }, 'genotype')),
  )
}

function check<A>(space: SearchSpace<A>, every: readonly string[], count: number): void {
  for (const seed of [1, 2]) {
    const scores = scoresOf(space, seed)
    const sums = every.map((text) => sumOf(space, space.parse(text, 'text'), scores)).sort((a, b) => b - a)
    const found = bestArchitectures(space, { values: scores }, count, 'a test')
    const wanted = sums.slice(0, count)
    assert.equal(found.length, wanted.length)
    for (const [at, { architecture, score }] of found.entries()) {
      assert.ok(Math.abs(score - wanted[at]) < 1e-9, `${at}: ${score}, ${wanted[at]}`)
      assert.ok(Math.abs(score - sumOf(space, architecture, scores)) < 1e-9)
    }
    assert.equal(new Set(found.map(({ architecture }) => space.format(architecture))).size, found.length)
    assert.equal(space.distance(found[0].architecture, space.decode(scores)), 0)
  }
}

test('the best 60 of all 15,625 of NAS-Bench-201', () => check(nasbench201Space, allCells(), 60))

test('all cells of DARTS with two nodes and two operations, two edges a node, in order', () => {
  const every = allGenotypes()
  assert.equal(every.length, 48 * 48)
  check(small, every, 3000)
})

test('what is not available is in none of them', () => {
  const scores = scoresOf(small, 3)
  const available: Available = new Map(
    small.choices.map(({ name, rows, candidates }) => [
      name,
      Array.from({ length: rows }, (_, row) => candidates.map((_, k) => row !== 1 || k === 1)),
    ]),
  )
  const found = bestArchitectures(small, { values: scores, available }, 3000, 'a test')
  // the second edge can only be a skip connection: 2 cells of node 0, 4 of each pair without it, 2 of each with it
  assert.equal(found.length, (2 * (4 + 4 + 4)) ** 2)
  for (const { architecture } of found)
    for (const cell of [architecture.normal, architecture.reduce]) {
      // the edges of a node stand by their scores
      const edge = cell.slice(0, 2).find(([, input]) => input === 1)
      assert.equal(edge?.[0], 'skip_connect')
    }
  const nothing = new Map(
    [...available].map(([name, rows]) => [name, rows.map((row) => row.map(() => false))]),
  )
  assert.deepEqual(bestArchitectures(small, { values: scores, available: nothing }, 5, 'a test'), [])
})

test('within limits only those that are, in the same order', () => {
  const costs = new Map([
    ['cell', Array.from({ length: 6 }, () => nasbench201Space.choices[0].candidates.map((_, k) => k))],
  ])
  const table = { quantity: 'weight', unit: '', base: 0, costs }
  const limited = withLimits(nasbench201Space, [{ table, most: 7 }])
  const scores = scoresOf(nasbench201Space, 4)
  const all = bestArchitectures(nasbench201Space, { values: scores }, 2000, 'a test')
  const cost = ({ cell }: { readonly cell: readonly string[] }) =>
    cell.reduce((sum, name) => sum + nasbench201Space.choices[0].candidates.indexOf(name), 0)
  const wanted = all.filter(({ architecture }) => cost(architecture) <= 7).slice(0, 20)
  assert.ok(wanted.length === 20 && cost(all[0].architecture) > 7)
  assert.deepEqual(bestArchitectures(limited, { values: scores }, 20, 'a test'), wanted)
  assert.deepEqual(wanted[0].architecture, limited.decode(scores))
})

test('a space that does not say its parts is refused by name', () => {
  const { parts: _, ...without } = nasbench201Space
  assert.throws(() => bestArchitectures(without, { values: scoresOf(without, 1) }, 5, 'a test'), {
    kind: 'input',
    message: /'nasbench201' does not say what its architectures are made of, which a test needs/,
  })
})

test('sums of one number of each list come in falling order, each choice once', () => {
  const lists = fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  })
  fc.assert(
    fc.property(lists, (given) => {
      const falling = given.map((list) => list.toSorted((a, b) => b - a))
      const found = [...fallingSums(falling)]
      const places = product(falling.map((list) => [...list.keys()]))
      assert.equal(found.length, places.length)
      assert.equal(new Set(found.map((one) => one.places.join())).size, found.length)
      for (const [at, { places, score }] of found.entries()) {
        assert.equal(
          score,
          places.reduce((sum, place, list) => sum + falling[list][place], 0),
        )
        assert.ok(at === 0 || score <= found[at - 1].score)
      }
    }),
  )
})
