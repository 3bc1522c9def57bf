/** NAS-Bench-101's files: genuine records, made ones of all cells of the spaces up to five vertices, and files that cannot be. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  BenchmarkTable,
  factsOf,
  findRow,
  importNasbench101,
  importNasbench201,
  importTable,
  judgeOf,
  openTable,
  randomSearch,
  writeTable,
} from '../../../src/benchmarks/index.ts'
import { best } from '../../../src/cli/nasbench-answers.ts'
import { bestText } from '../../../src/cli/nasbench-text.ts'
import { DdsasError } from '../../../src/errors.ts'
import { frameRecord } from '../../../src/runs/tfrecord.ts'
import {
  type Nasbench1shot1Cell,
  nasbench101Graph,
  parentCounts,
  primitives,
  spaceNumbers,
} from '../../../src/spaces/nasbench1shot1/architecture.ts'
import { nasbench1shot1Space } from '../../../src/spaces/nasbench1shot1/space.ts'
import { formatGraph, hashOf, parseGraph } from '../../../src/spaces/nasbench101/graph.ts'
import { cellNetwork } from '../../../src/spaces/nasbench101/programs.ts'
import { applyChanges, changes } from '../export/damage.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import {
  type CellRecord,
  genuineRecords,
  madeTraining,
  recordsOf,
  tfrecordFile,
  withoutRecords,
} from './nasbench101-records.ts'

test('genuine records: each is found by hash, by text and by number, with its mean accuracies', {
  skip: withoutRecords,
}, async (t) => {
  const records = genuineRecords()
  const [path, out] = ['nasbench_only108.tfrecord', 'nb101.table'].map((name) =>
    join(temporaryFolder(t), name),
  )
  writeFileSync(path, tfrecordFile(records.flatMap(recordsOf)))
  const progress: number[] = []
  writeTable(out, await importTable(path, { onProgress: ({ done, total }) => progress.push(done / total) }))
  assert.equal(progress.at(-1), 1)
  const table = openTable(out, 'nasbench101')
  assert.deepEqual([table.rows, table.architectures, table.benchmark], [30, 423_624, 'NAS-Bench-101'])
  assert.equal(table.absent.length, 9, 'nothing of 36, 12 and 4 epochs')
  for (const [index, { hash, graph, parameters, trainings }] of records.entries()) {
    const row = findRow(table, hash)
    assert.equal(findRow(table, formatGraph(graph)), row)
    assert.equal(findRow(table, `#${index}`), row)
    assert.deepEqual(factsOf(table, row), { canonical: hash, connected: true, same: [] })
    assert.equal(table.value(row, 'cifar10.parameters'), parameters)
    const all = trainings['108'] ?? []
    assert.equal(all.length, 3)
    const mean = (of: (training: (typeof all)[number]) => number) =>
      all.reduce((sum, one) => sum + of(one), 0) / 3
    const close = (name: string, wanted: number) =>
      assert.ok(Math.abs((table.value(row, name) ?? 0) - wanted) < 1e-4, name)
    close('cifar10.test.108', 100 * mean((one) => one.final_test_accuracy))
    close('cifar10.validation.108', 100 * mean((one) => one.final_validation_accuracy))
    close(
      'cifar10.seconds.108',
      mean((one) => one.final_training_time),
    )
  }
  assert.ok(randomSearch(table, { samples: 5, seeds: 2, dataset: 'cifar10' }).test.cifar10)
})

const choose = (n: number, k: number): number[][] =>
  k === 0 ? [[]] : n < k ? [] : [...choose(n - 1, k), ...choose(n - 1, k - 1).map((some) => [...some, n - 1])]

/** All cells of a space of which at most so many blocks take part, each graph once. */
function* smallCells(number: 1 | 2 | 3, most: number): Generator<Nasbench1shot1Cell> {
  let all: number[][][] = [[]]
  for (const [index, count] of parentCounts[number].entries())
    all = all.flatMap((parents) => choose(index + 1, count).map((own) => [...parents, own]))
  const blocks = parentCounts[number].length - 1
  const shapes = new Set<string>()
  for (const parents of all) {
    const reached = new Set<number>(parents[blocks])
    for (let block = blocks; block > 0; block--)
      if (reached.has(block)) for (const own of parents[block - 1]) reached.add(own)
    const taking = Array.from({ length: blocks }, (_, index) => index).filter((index) =>
      reached.has(index + 1),
    )
    const shape = formatGraph(nasbench101Graph({ ops: Array(blocks).fill('maxpool3x3'), parents }))
    if (taking.length > most || shapes.has(shape)) continue
    shapes.add(shape)
    for (let code = 0; code < 3 ** taking.length; code++) {
      const ops = Array.from({ length: blocks }, (_, index) => {
        const place = taking.indexOf(index)
        return primitives[place < 0 ? 0 : Math.floor(code / 3 ** place) % 3]
      })
      yield { ops, parents }
    }
  }
}

/** A made record of a cell, of whose accuracy its hash decides. */
function madeRecord(cell: Nasbench1shot1Cell): CellRecord {
  const graph = nasbench101Graph(cell)
  const hash = hashOf(graph)
  const accuracy = Number.parseInt(hash.slice(0, 6), 16) / 16 ** 6
  const trainings = {
    108: [accuracy, accuracy / 2, accuracy / 4].map((value) => madeTraining(value)),
    4: [madeTraining(accuracy)],
  }
  return { hash, graph, parameters: 1000, trainings }
}

test('made records of all cells of the spaces up to five vertices: isomorphic ones meet, and each is judged', async (t) => {
  const cells = spaceNumbers.flatMap((number) => [...smallCells(number, 3)].map((cell) => ({ number, cell })))
  const records = new Map(cells.map(({ cell }) => madeRecord(cell)).map((record) => [record.hash, record]))
  const path = join(temporaryFolder(t), 'made.tfrecord')
  writeFileSync(path, tfrecordFile([...records.values()].flatMap(recordsOf)))
  const table = new BenchmarkTable(await importNasbench101(path))
  assert.equal(table.rows, records.size)
  assert.ok(cells.length > records.size, 'some cells are isomorphic, in one space or in two')
  const lowest = { 1: 5.448717, 2: 5.759215, 3: 5.338544 }
  const judge = judgeOf(table)
  for (const { number, cell } of cells.filter((_, index) => index % 7 === 0)) {
    const found = judge(nasbench1shot1Space(number).format(cell))
    assert.ok(found)
    const accuracy = Number.parseInt(hashOf(nasbench101Graph(cell)).slice(0, 6), 16) / 16 ** 6
    // the mean of three; test accuracies are half of those of validation
    const test = (100 * accuracy * (1 + 1 / 2 + 1 / 4)) / 3 / 2
    assert.ok(Math.abs((found.accuracies.cifar10.test ?? 0) - test) < 1e-4)
    assert.ok(Math.abs((found.testError ?? 0) - (100 - test)) < 1e-4)
    assert.ok(Math.abs((found.regret ?? 0) - (100 - test - lowest[number])) < 1e-4)
    assert.deepEqual([found.by, found.of], ['cifar10.test.108', table.rows])
  }
  assert.equal(judge(nasbench1shot1Space(3).parse(large, 'text')), undefined, 'one that it lacks')
  assertRefuses(() => judge('|none~0|'), 'input', /given/)
  assertRefuses(() => judge('maxpool3x3(0) output(1)'), 'input', /of none of the spaces nasbench1shot1-1/)
})

const large =
  'maxpool3x3(0) conv3x3-bn-relu(1) conv3x3-bn-relu(2) conv1x1-bn-relu(2,3) conv3x3-bn-relu(3,4) output(4,5)'

const cell = parseGraph('conv3x3-bn-relu(0) maxpool3x3(0,1) output(1,2)', 'text')
const record = (trainings: CellRecord['trainings'] = { 108: [madeTraining(0.9)] }): CellRecord => ({
  ...{ hash: hashOf(cell), graph: cell, parameters: 5, trainings },
})

/** That a file of these records is refused, saying why. */
async function refused(path: string, data: Uint8Array, why: RegExp): Promise<void> {
  writeFileSync(path, data)
  await assert.rejects(importNasbench101(path), (error) => {
    assert.ok(error instanceof DdsasError)
    assert.deepEqual([error.kind, error.message.includes('\n')], ['data', false])
    assert.match(error.message, /cannot be read as results of NAS-Bench-101/)
    assert.match(error.message, why)
    return true
  })
}

test('budgets that an architecture lacks are not recorded, those that nobody has are absent', async (t) => {
  const other = parseGraph('maxpool3x3(0) output(0,1)', 'text')
  const path = join(temporaryFolder(t), 'some.tfrecord')
  const second = { ...record({ 12: [madeTraining(0.8)] }), graph: other, hash: hashOf(other) }
  writeFileSync(path, tfrecordFile([record(), second].flatMap(recordsOf)))
  const content = await importNasbench101(path)
  const table = new BenchmarkTable(content)
  assert.equal(table.value(0, 'cifar10.validation.108'), 90)
  assert.equal(table.value(1, 'cifar10.validation.108'), undefined)
  assert.equal(table.value(1, 'cifar10.validation.12'), 80)
  assert.deepEqual(
    content.absent,
    ['36', '4']
      .flatMap((epochs) => ['validation', 'test'].map((split) => `cifar10.${split}.${epochs}`))
      .concat(['cifar10.seconds.36', 'cifar10.seconds.4']),
  )
  assert.deepEqual([table.rank(0, 'cifar10.test.108')?.of, table.rank(1, 'cifar10.test.108')], [1, undefined])
  const text = bestText(best(table, { dataset: 'cifar10', split: 'test', top: 5 }))
  assert.match(
    text,
    /^best by test accuracy on CIFAR-10, in %, after 108 epochs\nrank +CIFAR-10 *\n1 +45\.00 +#0 /,
  )
  assert.doesNotMatch(text, /CIFAR-100|ImageNet/, 'other data sets than those of the table have no column')
})

test('records that cannot be are refused, saying which and why', async (t) => {
  const path = join(temporaryFolder(t), 'bad.tfrecord')
  const [good] = recordsOf(record())
  const [hash, epochs, adjacency, operations, metrics] = good
  const with_ = (change: Readonly<Record<number, unknown>>) => good.map((part, at) => change[at] ?? part)
  const wrong: [readonly unknown[], RegExp][] = [
    [[good, { hash }], /its record 1 is not a list of hash/],
    [[[hash, epochs, adjacency, operations]], /its record 0 is not a list/],
    [[with_({ 0: 'x' })], /has the hash "x"/],
    [[with_({ 0: '0'.repeat(32) })], /has the hash 0+, where its cell has [0-9a-f]{32}/],
    [[with_({ 1: 7 })], /is of 7 epochs, where trainings have 108, 36, 12, 4/],
    [[with_({ 2: '01' })], /has no adjacency matrix of 4 vertices/],
    [[with_({ 2: `1${'0'.repeat(15)}` })], /edge from vertex 0 back to 0/],
    [[with_({ 2: '0'.repeat(16) })], /is not connected: its input does not reach its output/],
    [[with_({ 2: '0001000000000000' })], /is not connected: a vertex lies on no way/],
    [[with_({ 3: 'input,output' })], /adjacency matrix of 2 vertices/],
    [[with_({ 3: 'input,maxpool3x3,conv,output' })], /has an operation "conv"/],
    [[with_({ 3: Array(9).fill('input').join(',') })], /has the operations/],
    [[with_({ 4: '' })], /has 0 evaluations/],
    [
      [with_({ 4: Buffer.from(String(metrics), 'base64').subarray(0, 40).toString('base64') })],
      /message is truncated/,
    ],
    [[good, with_({ 3: 'input,maxpool3x3,maxpool3x3,output' })], /gives the hash .* to another cell/],
    [recordsOf({ ...record(), parameters: 0 }), /has no trained parameters|has 0 trained parameters/],
    [[good, ...recordsOf({ ...record(), parameters: 6 })], /has 6 trained parameters, .* 5/],
    [recordsOf(record({ 108: [madeTraining(1.5)] })), /validation accuracy 1\.5/],
    [recordsOf(record({ 108: [madeTraining(Number.NaN)] })), /validation accuracy NaN/],
  ]
  for (const [records, why] of wrong) await refused(path, tfrecordFile(records), why)
  const data = tfrecordFile([good, good])
  await refused(path, data.subarray(0, -1), /truncated/)
  await refused(path, frameRecord(Buffer.alloc(2 ** 14 + 1)), /has 16385 bytes, more than 16384/)
  await refused(path, Buffer.from('index,arch_str\n'), /no TFRecord file/)
  writeFileSync(path, data)
  await assert.rejects(importNasbench201(path), /importNasbench101 reads those/)
  await assert.rejects(importNasbench101(`${path}x`), /does not exist; give nasbench_full\.tfrecord/)
})

test('files with changed, missing and added bytes, and any records in sound frames, are read or refused', async (t) => {
  const path = join(temporaryFolder(t), 'noise.tfrecord')
  const survives = async (data: Uint8Array) => {
    writeFileSync(path, data)
    await importNasbench101(path).catch((error: unknown) => {
      assert.ok(error instanceof DdsasError && error.kind === 'data', String(error))
      assert.doesNotMatch(error.message, /\n/)
    })
  }
  const [good] = recordsOf(record())
  const bits = fc.record({ at: fc.nat(tfrecordFile([good]).length - 1), bit: fc.nat(7) })
  await fc.assert(
    fc.asyncProperty(bits, async ({ at, bit }) => {
      const data = tfrecordFile([good])
      data[at] ^= 1 << bit
      writeFileSync(path, data)
      await assert.rejects(importNasbench101(path), { kind: 'data' })
    }),
    { numRuns: 100 },
  )
  const damaged = changes.map((list) => applyChanges(tfrecordFile([good, good]), list))
  // what checksums do not show: a sound frame around changed JSON, or around a changed message
  const framed = changes.map((list) => frameRecord(applyChanges(Buffer.from(JSON.stringify(good)), list)))
  const messages = changes.map((list) => {
    const metrics = applyChanges(Buffer.from(String(good[4]), 'base64'), list)
    return tfrecordFile([[...good.slice(0, 4), Buffer.from(metrics).toString('base64')]])
  })
  const noise = fc.uint8Array({ maxLength: 300 }).map((data) => frameRecord(data))
  await fc.assert(fc.asyncProperty(fc.oneof(damaged, framed, messages, noise), survives), { numRuns: 400 })
})

test('of many cells one in sixteen is held against its hash at once, each of the others when it is asked for', async (t) => {
  const path = join(temporaryFolder(t), 'misnamed.tfrecord')
  const named = [...smallCells(1, 2)].map(madeRecord)
  const cells = [...new Map(named.map((record) => [record.hash, record])).values()]
  assert.ok(cells.length > 17)
  const misnamed = (place: number) => {
    const hash = '0'.repeat(32)
    writeFileSync(
      path,
      tfrecordFile(cells.map((one, at) => (at === place ? { ...one, hash } : one)).flatMap(recordsOf)),
    )
    return importNasbench101(path)
  }
  for (const place of [0, 15, 16])
    await assert.rejects(misnamed(place), { kind: 'data', message: /has the hash 0+, where its cell has/ })
  const table = new BenchmarkTable(await misnamed(17))
  assertRefuses(() => findRow(table, '0'.repeat(32)), 'data', /which is another cell's hash; import it anew/)
  const lost = formatGraph(cells[17].graph)
  assertRefuses(() => findRow(table, lost), 'input', /the table has no results of/)
  assert.equal(findRow(table, formatGraph(cells[18].graph)), 18)
})

test('a table that names a cell wrongly, and cells that are none of the benchmark', async (t) => {
  const path = join(temporaryFolder(t), 'one.tfrecord')
  writeFileSync(path, tfrecordFile(recordsOf(record())))
  const content = await importNasbench101(path)
  const table = new BenchmarkTable(content)
  assertRefuses(
    () => findRow(table, 'maxpool3x3(0) output(1)'),
    'input',
    /the table has no results of maxpool3x3/,
  )
  assertRefuses(() => findRow(table, 'maxpool3x3(0) output()'), 'input', /does not reach its output/)
  assertRefuses(() => findRow(table, 'f'.repeat(32)), 'input', /the table has no results of f+/)
  assertRefuses(() => findRow(table, '423624'), 'input', /numbers of NAS-Bench-101 are 0 to 423623/)
  const ten = `maxpool3x3(0) maxpool3x3(0,1) maxpool3x3(0,1,2) output(0,1,2,3)`
  assertRefuses(() => findRow(table, ten), 'input', /has 10 edges; cells of NAS-Bench-101 have up to 9/)
  const [key] = content.keys
  const wrong = new BenchmarkTable({ ...content, keys: [key.replace('maxpool3x3', 'conv1x1-bn-relu')] })
  assertRefuses(() => findRow(wrong, hashOf(cell)), 'data', /which is another cell's hash; import it anew/)
  const strange = new BenchmarkTable({ ...content, space: 'strange' })
  assertRefuses(() => judgeOf(strange), 'input', /'strange' is of no known benchmark/)
  // a cell has a network whether or not it was trained
  assert.ok(
    cellNetwork(cell, { channels: 8, cells: 3, classes: 10, kind: 'cifar', auxiliary: false }).states.length >
      0,
  )
})
