/** All of NAS-Bench-201 from CSV: the published figures, formulas of cost for every row, ranks, equal cells, speed. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  type BenchmarkTable,
  factsOf,
  findRow,
  importNasbench201,
  judgeOf,
  openTable,
  randomSearch,
  writeTable,
} from '../../../src/benchmarks/index.ts'
import { parseArchitecture } from '../../../src/spaces/nasbench201/architecture.ts'
import { skipWithoutShared } from '../../needs.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { csvFile, refusedImport } from './shared.ts'

const allSkip =
  '|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|'

/** Of processor time since then: a clock would count what else the machine does. */
function milliseconds(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

describe('the whole table', { skip: skipWithoutShared(csvFile) }, () => {
  let opened: BenchmarkTable | undefined
  const tableOf = async (t: Parameters<typeof temporaryFolder>[0]) => {
    if (opened !== undefined) return opened
    const path = join(temporaryFolder(t), 'nb201.table')
    const content = await importNasbench201(csvFile)
    assert.deepEqual(content.absent, [])
    writeTable(path, content)
    assert.ok(readFileSync(path).length < 1_000_000)
    const start = process.cpuUsage()
    opened = openTable(path, 'nasbench201')
    // 20 ms on a machine with nothing else to do; it shall be 200
    assert.ok(milliseconds(start) < 1000, 'opened')
    return opened
  }

  test('optima and ties as published', async (t) => {
    const table = await tableOf(t)
    assert.equal(table.rows, 15_625)
    const best = (column: string) => table.best(column, 2).map((row) => [row, table.value(row, column)])
    assert.deepEqual(best('cifar10.validation.200')[0], [6111, 91.6067])
    assert.deepEqual(best('cifar10.test.200'), [
      [6111, 94.3733],
      [13_714, 94.3733],
    ])
    assert.deepEqual(best('cifar100.validation.200')[0], [9930, 73.4933])
    assert.deepEqual(best('cifar100.test.200')[0], [9930, 73.5133])
    assert.deepEqual(best('imagenet16-120.validation.200')[0], [10_676, 46.7333])
    assert.deepEqual(best('imagenet16-120.test.200')[0], [857, 47.3111])
    assert.equal(table.rank(6111, 'cifar10.test.200')?.rank, 1)
    assert.deepEqual(
      [13_714, 9930].map((row) => table.rank(row, 'cifar10.test.200')?.rank),
      [1, 3],
    )
    assert.equal(table.rank(13_714, 'cifar10.test.200')?.ties, 2)
  })

  test('the cell of skip connections alone', async (t) => {
    const table = await tableOf(t)
    const row = findRow(table, allSkip)
    assert.equal(row, 1835)
    assert.equal(findRow(table, ` ${allSkip} `), 1835)
    const accuracies = ['cifar10', 'cifar100', 'imagenet16-120'].flatMap((dataset) =>
      ['validation', 'test'].map((split) => table.value(row, `${dataset}.${split}.200`)?.toFixed(2)),
    )
    assert.deepEqual(accuracies, ['39.77', '54.30', '15.03', '15.61', '16.43', '16.32'])
    assert.deepEqual(factsOf(table, row), { canonical: '0+0+0+0', connected: true, same: [] })
  })

  test('parameters and multiply-adds of all rows by the formulas', async (t) => {
    const table = await tableOf(t)
    const formulas = [
      ['cifar10', 0, [7.78305, 35.38944, 3.93216]],
      ['cifar100', 5850, [7.7889, 35.38944, 3.93216]],
      ['imagenet16-120', 7150, [1.9534, 8.84736, 0.98304]],
    ] as const
    for (const [row, key] of table.keys.entries()) {
      const cell = parseArchitecture(key, key)
      const [three, one] = ['nor_conv_3x3', 'nor_conv_1x1'].map(
        (name) => cell.filter((operation) => operation === name).length,
      )
      for (const [dataset, more, [fixed, perThree, perOne]] of formulas) {
        assert.equal(
          table.value(row, `${dataset}.parameters`),
          73_306 + more + 243_040 * three + 28_000 * one,
        )
        const expected = fixed + perThree * three + perOne * one
        assert.ok(Math.abs((table.value(row, `${dataset}.multiply-adds`) ?? 0) - expected) < 1e-4, key)
      }
    }
  })

  test('a query takes microseconds', async (t) => {
    const table = await tableOf(t)
    const start = process.cpuUsage()
    for (let at = 0; at < 50_000; at++)
      table.value(findRow(table, table.keys[(at * 7919) % table.rows]), 'cifar100.test.200')
    // it shall be 10; a busy machine gets five times that
    assert.ok((1000 * milliseconds(start)) / 50_000 < 50)
  })

  test('equal cells and cells without a way through', async (t) => {
    const table = await tableOf(t)
    const none = findRow(table, '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|')
    assert.equal(factsOf(table, none).connected, false)
    assert.ok(factsOf(table, none).same.length > 100)
    for (const other of factsOf(table, none).same) assert.ok(factsOf(table, other).same.includes(none))
  })

  test('what a report of a search is told', async (t) => {
    const judge = judgeOf(await tableOf(t))
    const cell = [
      'skip_connect',
      'skip_connect',
      'skip_connect',
      'skip_connect',
      'skip_connect',
      'skip_connect',
    ]
    assert.deepEqual(judge({ cell }), judge(allSkip))
    const judgement = judge(allSkip)
    assert.equal(judgement?.by, 'cifar10.test.200')
    assert.deepEqual(judgement.accuracies.cifar10, { validation: 39.7693, test: 54.2967 })
    assert.equal(judgement.of, 15_625)
    assert.ok(judgement.rank > 15_000 && judgement.percentile < 5)
    assertRefuses(() => judge({ cell: ['none'] }), 'input')
    assertRefuses(() => judge(3), 'input')
  })

  test('random search: the same for a seed, near the optimum, better with more samples', async (t) => {
    const table = await tableOf(t)
    const search = (samples: number) => randomSearch(table, { samples, seeds: 20, dataset: 'cifar10' })
    const [few, many] = [search(10), search(1000)]
    assert.deepEqual(search(10), few)
    assert.equal(new Set(few.finds.map(({ index }) => index)).size > 10, true)
    assert.ok((few.test.cifar10?.mean ?? 0) < (many.test.cifar10?.mean ?? 0))
    assert.ok((many.test.cifar10?.mean ?? 0) > 93.9 && (many.test.cifar10?.std ?? 9) < 0.4)
    assertRefuses(() => randomSearch(table, { samples: 0, seeds: 1, dataset: 'cifar10' }), 'input', /samples/)
  })

  test('what is no architecture, or a number that is none', async (t) => {
    const table = await tableOf(t)
    assertRefuses(() => findRow(table, '15625'), 'input', /0 to 15624/)
    assertRefuses(() => findRow(table, '-1'), 'input', /write it as/)
    assertRefuses(
      () => findRow(table, allSkip.replace('skip_connect~2', 'conv~2')),
      'input',
      /no operation 'conv'/,
    )
    assertRefuses(() => findRow(table, '\u0000'.repeat(1000)), 'input')
    assert.equal(findRow(table, '#42'), 42)
  })
})

const head = 'index,arch_str,cifar10_val,cifar10_test,extra'

test('CSV with missing rows, columns and values', async (t) => {
  const path = join(temporaryFolder(t), 'some.csv')
  writeFileSync(
    path,
    `\uFEFF${head}\r\n1835,${allSkip},39.77,54.3,x\r\n7,${allSkip.replaceAll('skip_connect', 'none')},,10,\r\n`,
  )
  const content = await importNasbench201(path)
  assert.deepEqual([...content.indexes], [7, 1835])
  assert.deepEqual(
    content.columns.map(({ name }) => name),
    ['cifar10.validation.200', 'cifar10.test.200'],
  )
  assert.equal(content.absent.length, 16)
  const file = join(temporaryFolder(t), 'some.table')
  writeTable(file, content)
  const table = openTable(file)
  assert.equal(table.value(findRow(table, '7'), 'cifar10.validation.200'), undefined)
  assertRefuses(
    () => findRow(table, '8'),
    'input',
    /no results of 8 \(it has 2 architectures of 15625, from some\.csv\)/,
  )
  assertRefuses(() => findRow(table, allSkip.replace('skip_connect~2', 'none~2')), 'input', /no results/)
  assert.equal(judgeOf(table)(allSkip.replace('skip_connect~2', 'none~2')), undefined)
  assert.deepEqual(randomSearch(table, { samples: 5, seeds: 2, dataset: 'cifar10' }).test, {
    cifar10: { mean: 54.3, std: 0 },
  })
  assertRefuses(
    () => randomSearch(table, { samples: 5, seeds: 2, dataset: 'cifar100' }),
    'input',
    /no column/,
  )
})

test('CSV that is wrong', async (t) => {
  const path = join(temporaryFolder(t), 'wrong.csv')
  const refused = async (lines: readonly string[], pattern: RegExp) => {
    writeFileSync(path, lines.join('\n'))
    await refusedImport(path, /wrong\.csv cannot be read as/, pattern)
  }
  await refused(['index,architecture', '1,a'], /index and arch_str/)
  await refused([head], /no results/)
  await refused([head, '1,2'], /line 2 has 2 fields/)
  await refused([head, `1,${allSkip},a,2,`], /line 2 has "a"/)
  await refused([head, `1,${allSkip},101,2,`], /value 101/)
  await refused([head, `15625,${allSkip},1,2,`], /numbers an architecture "15625"/)
  await refused([head, `1.5,${allSkip},1,2,`], /numbers an architecture/)
  await refused([head, '1,|a|,1,2,'], /architecture 1: /)
  await refused([head, `1,${allSkip},1,2,`, `2,${allSkip},1,2,`], /two texts, or shares one/)
  await refused([head, `1,${allSkip},1,2,`, `1,${allSkip},3,2,`], /as 1 and as 3/)
  await refused(['anything'], /first bytes/)
})
