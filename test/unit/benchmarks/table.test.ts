/** Tables and their files: what is written is read back; damage, other spaces and other files are refused; ranks and ties. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BenchmarkTable, openTable, type TableContent, writeTable } from '../../../src/benchmarks/index.ts'
import { decodeTable, encodeTable } from '../../../src/benchmarks/table-file.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

const content: TableContent = {
  benchmark: 'A benchmark',
  space: 'some',
  architectures: 9,
  source: { kind: 'csv', name: 'a.csv', bytes: 12 },
  columns: [
    { name: 'test', unit: '%', values: Float64Array.of(50, 90, Number.NaN, 90, 10) },
    { name: 'size', unit: 'count', values: Float64Array.of(1, 2, 3, 4, 5) },
  ],
  absent: ['other'],
  keys: ['a', 'b', 'c', 'd|ä', 'e'],
  indexes: Uint32Array.of(0, 1, 4, 6, 8),
}

test('what is written is read back, and an old table is replaced', (t) => {
  const path = join(temporaryFolder(t), 'new/folder/a.table')
  writeTable(path, { ...content, space: 'older' })
  writeTable(path, content)
  const table = openTable(path, 'some')
  assert.deepEqual(decodeTable(readFileSync(path), path), content)
  assert.deepEqual(table.columns, content.columns)
  assert.deepEqual([table.rows, table.architectures, table.absent], [5, 9, ['other']])
  assert.equal(table.rowOf('d|ä'), 3)
  assert.equal(table.rowOf('z'), undefined)
  assert.deepEqual(
    [0, 2, 4, 6, 8].map((index) => table.rowOfIndex(index)),
    [0, undefined, 2, 3, 4],
  )
  assert.equal(table.value(2, 'test'), undefined)
  assert.equal(table.value(1, 'nothing'), undefined)
  assert.equal(table.value(1, 'test'), 90)
})

test('a table without rows', () => {
  const none = { ...content, keys: [], indexes: new Uint32Array(0), columns: [] }
  assert.deepEqual(decodeTable(encodeTable(none), 'a'), none)
})

test('ranks: ties share one, what was not recorded has none', () => {
  const table = new BenchmarkTable(content)
  const [fifty, ninety, none, , ten] = [0, 1, 2, 3, 4].map((row) => table.rank(row, 'test'))
  assert.deepEqual(ninety, {
    column: 'test',
    value: 90,
    rank: 1,
    ties: 2,
    of: 4,
    percentile: (100 * 2.5) / 3,
  })
  assert.deepEqual(fifty, { column: 'test', value: 50, rank: 3, ties: 1, of: 4, percentile: 100 / 3 })
  assert.deepEqual([ten?.rank, ten?.percentile, none], [4, 0, undefined])
  assert.deepEqual(table.best('test', 3), [1, 3, 0])
  assert.deepEqual(table.best('test', 99), [1, 3, 0, 4])
  assertRefuses(() => table.rank(0, 'loss'), 'input', /no column 'loss'; it has test, size/)
  const one = new BenchmarkTable({
    ...content,
    keys: ['a'],
    columns: [{ name: 'x', unit: '%', values: Float64Array.of(1) }],
  })
  assert.deepEqual(one.rank(0, 'x'), { column: 'x', value: 1, rank: 1, ties: 1, of: 1, percentile: 100 })
})

test('files that are no table, of another space or version, cut or damaged', (t) => {
  const path = join(temporaryFolder(t), 'a.table')
  const remedy = /make one with npx ddsas nasbench import/
  assertRefuses(() => openTable(path), 'input', /there is no table/, remedy)
  assertRefuses(() => openTable(temporaryFolder(t)), 'input', /is not a file/)
  writeFileSync(path, 'index,arch_str\n'.repeat(20))
  assertRefuses(() => openTable(path), 'data', /is no table of a benchmark/, remedy)
  writeTable(path, content)
  assertRefuses(() => openTable(path, 'nasbench201'), 'input', /of the space 'some', not of 'nasbench201'/)
  const whole = readFileSync(path)
  for (let length = 0; length < whole.length; length++)
    assertRefuses(() => decodeTable(whole.subarray(0, length), 'f'), 'data', /^f /)
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole)
    flipped[at] ^= 1 << (at % 8)
    assertRefuses(() => decodeTable(flipped, 'f'), 'data', /no table|format|checksum/)
  }
})

/** A table whose checksum agrees, whatever it holds. */
function sealed(body: Uint8Array): Uint8Array {
  return Buffer.concat([body, createHash('sha256').update(body).digest()])
}

test('headers that promise what is not there, with a checksum that agrees', () => {
  const body = Buffer.from(encodeTable(content)).subarray(0, -32)
  const headerBytes = body.readUInt32LE(12)
  const header = body.toString('utf8', 16, 16 + headerBytes)
  const withHeader = (text: string) => {
    const sizes = Buffer.alloc(8)
    sizes.writeUInt32LE(1, 0)
    sizes.writeUInt32LE(Buffer.byteLength(text), 4)
    return sealed(
      Buffer.concat([body.subarray(0, 8), sizes, Buffer.from(text), body.subarray(16 + headerBytes)]),
    )
  }
  assert.deepEqual(decodeTable(withHeader(header), 'f'), content)
  const refuses = (text: string, pattern: RegExp) =>
    assertRefuses(() => decodeTable(withHeader(text), 'f'), 'data', pattern)
  refuses('{}', /header/)
  refuses('no JSON', /header/)
  refuses(header.replace('"rows":5', '"rows":6'), /does not hold/)
  refuses(header.replace('"rows":5', '"rows":2000000'), /does not hold/)
  refuses(header.replace('"rows":5', '"rows":-1'), /header/)
  refuses(header.replace('"keyBytes":12', '"keyBytes":536870912'), /does not hold/)
  const twice = encodeTable({ ...content, keys: ['a', 'a', 'c', 'd', 'e'] })
  assertRefuses(() => decodeTable(twice, 'f'), 'data', /does not name each of its 5 architectures once/)
})
