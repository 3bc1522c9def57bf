/** What is measured on genotypes after each epoch: cosine distance and skip connections. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  cosineDistance,
  type Genotype,
  type GenotypeEdge,
  skipConnections,
} from '../../../src/spaces/darts/genotype.ts'
import { dartsGenotypeOperations, parseGenotypeLine } from '../../../src/spaces/darts/genotype-file.ts'

const cell = fc
  .tuple(
    ...[0, 1, 2, 3].map((node) =>
      fc.tuple(
        fc.nat(node + 1),
        fc.nat(node),
        fc.constantFrom(...dartsGenotypeOperations),
        fc.constantFrom(...dartsGenotypeOperations),
      ),
    ),
  )
  .map((nodes) =>
    nodes.flatMap(([first, skip, one, two]): GenotypeEdge[] => [
      [one, first],
      [two, skip < first ? skip : skip + 1],
    ]),
  )
const concat = [2, 3, 4, 5]
const genotypes = fc
  .tuple(cell, cell)
  .map(([normal, reduce]): Genotype => ({ normal, normal_concat: concat, reduce, reduce_concat: concat }))

test('cosine distance: 0 for the same, symmetric, in 1/16 for each common edge, blind to the order in a node', () => {
  fc.assert(
    fc.property(genotypes, genotypes, (a, b) => {
      assert.equal(cosineDistance(a, a), 0)
      assert.equal(cosineDistance(a, b), cosineDistance(b, a))
      const sixteenths = 16 * cosineDistance(a, b)
      assert.ok(Number.isInteger(sixteenths) && sixteenths >= 0 && sixteenths <= 16)
      const swapped = a.normal.flatMap((_, index) =>
        index % 2 === 0 ? [a.normal[index + 1], a.normal[index]] : [],
      )
      assert.equal(cosineDistance({ ...a, normal: swapped.filter((edge) => edge !== undefined) }, a), 0)
    }),
  )
})

test('an edge is common when cell, node, input and operation agree', () => {
  const line = (normal: string, reduce: string) =>
    parseGenotypeLine(
      `Genotype(normal=[${normal}], normal_concat=[2], reduce=[${reduce}], reduce_concat=[2])`,
    )
  const skips = "('skip_connect', 0), ('skip_connect', 1)"
  const pools = "('max_pool_3x3', 0), ('max_pool_3x3', 1)"
  const mixed = "('skip_connect', 0), ('max_pool_3x3', 1)"
  assert.equal(cosineDistance(line(skips, skips), line(pools, pools)), 1)
  assert.equal(cosineDistance(line(skips, pools), line(pools, skips)), 1)
  assert.equal(cosineDistance(line(skips, skips), line(mixed, skips)), 0.25)
  assert.equal(skipConnections(line(skips, mixed), 'normal'), 2)
  assert.equal(skipConnections(line(skips, mixed), 'reduce'), 1)
  assert.equal(skipConnections(line(pools, mixed), 'normal'), 0)
})
