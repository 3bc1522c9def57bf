/** Genotypes from outside: the published ones, text round trips, and each way to be wrong. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Genotype, GenotypeEdge } from '../../../src/spaces/darts/genotype.ts'
import {
  dartsGenotypeOperations,
  formatGenotype,
  parseGenotype,
  parseGenotypeLine,
  readGenotypeFile,
} from '../../../src/spaces/darts/genotype-file.ts'
import { skipWithoutShared } from '../../needs.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

/** The second-order cell of DARTS. */
const darts: Genotype = {
  normal: [
    ['sep_conv_3x3', 0],
    ['sep_conv_3x3', 1],
    ['sep_conv_3x3', 0],
    ['sep_conv_3x3', 1],
    ['sep_conv_3x3', 1],
    ['skip_connect', 0],
    ['skip_connect', 0],
    ['dil_conv_3x3', 2],
  ],
  normal_concat: [2, 3, 4, 5],
  reduce: [
    ['max_pool_3x3', 0],
    ['max_pool_3x3', 1],
    ['skip_connect', 2],
    ['max_pool_3x3', 1],
    ['max_pool_3x3', 0],
    ['skip_connect', 2],
    ['skip_connect', 2],
    ['max_pool_3x3', 1],
  ],
  reduce_concat: [2, 3, 4, 5],
}

const line =
  "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), " +
  "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], " +
  "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), " +
  "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], " +
  'reduce_concat=[2, 3, 4, 5])'

const operation = fc.constantFrom(...dartsGenotypeOperations)

function edges(nodes: number): fc.Arbitrary<GenotypeEdge[]> {
  const pairs = Array.from({ length: nodes }, (_, node) => {
    const inputs = fc.shuffledSubarray(
      Array.from({ length: node + 2 }, (_, input) => input),
      { minLength: 2, maxLength: 2 },
    )
    return fc.tuple(inputs, operation, operation).map(([[a = 0, b = 1], first, second]): GenotypeEdge[] => [
      [first, a],
      [second, b],
    ])
  })
  return fc.tuple(...pairs).map((found) => found.flat())
}

const cell = fc.integer({ min: 1, max: 16 }).chain((nodes) =>
  fc.tuple(
    edges(nodes),
    fc.shuffledSubarray(
      Array.from({ length: nodes }, (_, node) => node + 2),
      { minLength: 1 },
    ),
  ),
)

const genotypes: fc.Arbitrary<Genotype> = fc
  .tuple(cell, cell)
  .map(([[normal, normal_concat], [reduce, reduce_concat]]) => ({
    normal,
    normal_concat,
    reduce,
    reduce_concat,
  }))

test('property: any genotype survives JSON and the Genotype(...) line', () => {
  fc.assert(
    fc.property(genotypes, (genotype) => {
      assert.deepEqual(parseGenotype(JSON.parse(JSON.stringify(genotype)), 'json'), genotype)
      assert.deepEqual(parseGenotypeLine(formatGenotype(genotype)), genotype)
    }),
  )
})

test('property: any other value is refused with one line, never another error', () => {
  const damaged = fc.tuple(genotypes, fc.constantFrom('normal', 'normal_concat', 'reduce', 'reduce_concat'))
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.anything()), damaged, (value, [genotype, key]) => {
      assertRefuses(() => parseGenotype(value, 'x'), 'input', /^genotype x: /)
      assertRefuses(
        () => parseGenotype({ ...genotype, [key]: { value } }, 'x'),
        'input',
        new RegExp(`x: ${key}`),
      )
    }),
  )
})

test('the line is the one that DARTS publishes', () => {
  assert.equal(formatGenotype(darts), line)
  assert.deepEqual(parseGenotypeLine(line), darts)
})

test('as published in Python: assigned, over lines, double quotes, ranges, trailing commas', () => {
  const text = `DARTS_V2 = ${line}\n`
    .replaceAll("'", '"')
    .replaceAll('), (', '),\n  (')
    .replace('[2, 3, 4, 5]', 'range(2, 6)')
    .replace(']', ',]')
  assert.deepEqual(parseGenotypeLine(text), darts)
})

test('each way to be wrong names source, field, value and remedy', () => {
  const refused = (change: object, pattern: RegExp) =>
    assertRefuses(
      () => parseGenotype({ ...darts, ...change }, 'a.json'),
      'input',
      /^genotype a\.json: /,
      pattern,
    )
  const withFirst = (...first: GenotypeEdge[]) => ({
    normal: [...first, ...darts.normal.slice(first.length)],
  })
  refused(
    withFirst(['none', 0]),
    /normal\[0\] \(node 0\): unknown operation "none"; choose one of max_pool_3x3, avg_/,
  )
  refused(withFirst(['x\ny'.repeat(1000), 0]), /unknown operation "x\\ny.{0,80}"; choose/)
  refused(
    withFirst(['skip_connect', 2]),
    /normal\[0\] \(node 0\): input 2 does not exist; node 0 may read 0 to 1/,
  )
  refused(withFirst(['skip_connect', -1]), /input -1 does not exist/)
  refused(withFirst(['skip_connect', 0.5]), /normal\[0\]\[1\]/)
  refused(withFirst(['skip_connect', 1]), /normal\[1\] \(node 0\): reads input 1 twice; give two different/)
  refused({ reduce: darts.reduce.slice(1) }, /reduce: has 7 edges; give two for each node/)
  refused({ reduce: [] }, /reduce: has 0 edges/)
  refused({ reduce: Array(34).fill(['skip_connect', 0]) }, /reduce: .*32/)
  refused({ normal_concat: [] }, /normal_concat: is empty; list different nodes from 2 to 5/)
  refused({ normal_concat: [2, 6] }, /normal_concat: holds 6, which is no node/)
  refused({ reduce_concat: [2, 1] }, /reduce_concat: holds 1, which is no node/)
  refused({ reduce_concat: [2, 3, 2] }, /reduce_concat: holds 2 twice/)
  refused({ reduce_concat: undefined }, /reduce_concat: /)
})

test('the known operations may be those of another space', () => {
  const genotype = { ...darts, normal: darts.normal.map(([, input]) => ['nor_conv_3x3', input]) }
  const names = [...dartsGenotypeOperations, 'nor_conv_3x3']
  assert.equal(parseGenotype(genotype, 'x', names).normal[0]?.[0], 'nor_conv_3x3')
  assertRefuses(() => parseGenotype(genotype, 'x'), 'input', /unknown operation "nor_conv_3x3"/)
})

test('files: JSON, a line, neither, too large, absent', (t) => {
  const path = join(temporaryFolder(t), 'cell.json')
  writeFileSync(path, JSON.stringify({ name: 'darts', ...darts }))
  assert.deepEqual(readGenotypeFile(path), darts)
  writeFileSync(path, `\n${line}`)
  assert.deepEqual(readGenotypeFile(path), darts)
  writeFileSync(path, '{"normal": [')
  assertRefuses(() => readGenotypeFile(path), 'input', /cell\.json: not valid JSON/)
  writeFileSync(path, '')
  assertRefuses(
    () => readGenotypeFile(path),
    'input',
    /cell\.json: the file is empty; name a file with JSON or/,
  )
  writeFileSync(path, '\uFEFF \n')
  assertRefuses(() => readGenotypeFile(path), 'input', /cell\.json: the file is empty/)
  writeFileSync(path, ' '.repeat(2 * 1024 ** 2))
  assertRefuses(() => readGenotypeFile(path), 'input', /1 MiB/)
  assertRefuses(() => readGenotypeFile('/dev/zero'), 'input', /not a file/)
  assertRefuses(() => readGenotypeFile(`${path}x`), 'input', /ENOENT/)
})

test('files with a byte-order mark are read, binary ones are told so', (t) => {
  const path = join(temporaryFolder(t), 'cell.json')
  for (const text of [JSON.stringify(darts), line]) {
    const little = Buffer.from(`\uFEFF${text}`, 'utf16le')
    for (const bytes of [`\uFEFF${text}`, little, Buffer.from(little).swap16()]) {
      writeFileSync(path, bytes)
      assert.deepEqual(readGenotypeFile(path), darts)
    }
  }
  const binary = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10),
    `{"normal": \0}`,
    Uint8Array.of(0xff, 0xfe, 0, 0xd8),
  ]
  for (const bytes of binary) {
    writeFileSync(path, bytes)
    assertRefuses(
      () => readGenotypeFile(path),
      'input',
      /cell\.json: the file is binary, not text; name a file/,
    )
  }
})

const shared = process.env.DDSAS_SHARED ?? join(import.meta.dirname, '../../../../shared')
const published = join(shared, 'data/genotypes/genotypes.json')
const networks = join(process.env.DDSAS_FIXTURES ?? join(shared, 'fixtures/official'), 'networks.json')
const missing = skipWithoutShared(published) || skipWithoutShared(networks)

test('the published genotypes', { skip: missing }, () => {
  const values: unknown[] = JSON.parse(readFileSync(published, 'utf8'))
  const definitions: { definition?: unknown }[] = JSON.parse(readFileSync(networks, 'utf8'))
  values.push(...definitions.flatMap(({ definition }) => definition ?? []))
  assert.ok(values.length > 20)
  for (const value of values) {
    const genotype = parseGenotype(value, 'published')
    assert.equal(genotype.normal.length, 8)
    assert.deepEqual(parseGenotypeLine(formatGenotype(genotype)), genotype)
  }
})
