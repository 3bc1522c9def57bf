/** `ddsas nasbench` as users run it: a table made of a small CSV, asked by each command; what is refused; charts with runs. */
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { create } from 'tar'
import { z } from 'zod'
import { skipWithoutShared } from '../needs.ts'
import { sampled, tssFolder } from '../unit/benchmarks/shared.ts'
import { refuse, succeed, workplace } from './command.ts'

const place = workplace()
const at = (...parts: readonly string[]) => join(place.path, ...parts)
after(place.remove)

const operations = ['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3']

/** The n-th architecture by counting; not the benchmark's order, which nothing here depends on. */
function architecture(n: number): string {
  const [a, b, c, d, e, f] = Array.from(
    { length: 6 },
    (_, edge) => operations[Math.floor(n / 5 ** edge) % operations.length],
  )
  return `|${a}~0|+|${b}~0|${c}~1|+|${d}~0|${e}~1|${f}~2|`
}

const rows = Array.from({ length: 40 }, (_, row) => 311 * row)
const table = ['--table', 'nb201.table']
const nasbench = (...args: readonly string[]) => succeed(['nasbench', ...args], place.path)
const refused = (args: readonly string[], code: number, ...patterns: readonly RegExp[]) =>
  refuse(['nasbench', ...args], code, patterns, place.path)

before(async () => {
  const lines = rows.map((row, n) => [
    row,
    architecture(row),
    50 + n,
    40 + (n % 20),
    80_000 + 9000 * n,
    8 + n,
  ])
  const head = 'index,arch_str,cifar10_val,cifar10_test,params_cifar10,flops_M_cifar10'
  writeFileSync(at('some.csv'), [head, ...lines, ''].join('\n'))
  const text = await nasbench('import', 'some.csv', '--out', 'nb201.table')
  assert.match(
    text,
    /^nb201\.table: 40 of 15,625 architectures, in \d+\.\d s\nthe source has no cifar100\.validation\.200, /,
  )
})

test('import says what it found, as JSON too, and replaces a table', async () => {
  const result: unknown = JSON.parse(
    await nasbench('import', 'some.csv', '--out', 'tables/two.table', '--json'),
  )
  const { rows, of, columns, absent } = z
    .object({ rows: z.number(), of: z.number(), columns: z.array(z.string()), absent: z.array(z.string()) })
    .parse(result)
  assert.deepEqual([rows, of, columns.length, absent.length], [40, 15_625, 4, 14])
  await nasbench('import', 'some.csv', '--out', 'tables/two.table')
  assert.deepEqual(readdirSync(at('tables')), ['two.table'])
})

test('query, by text and by number', async () => {
  const text = await nasbench('query', architecture(622), ...table)
  assert.match(text, /^#622 {2}\|nor_conv_1x1~0\|/)
  assert.match(text, /CIFAR-10 +52\.00 +42\.00 +- +- +98,000 +10\.00\n/)
  assert.match(text, /The table has 40 of 15,625 architectures\./)
  assert.equal(await nasbench('query', '622', ...table), text)
  const { recorded, connected } = z
    .object({ recorded: z.record(z.string(), z.number()), connected: z.boolean() })
    .parse(JSON.parse(await nasbench('query', '622', '--json', ...table)))
  assert.deepEqual([recorded['cifar10.test.200'], typeof connected], [42, 'boolean'])
})

test('rank and best say over how many', async () => {
  assert.match(await nasbench('rank', '622', ...table), /CIFAR-10, test +42\.00 +35 of 40 \(2 tie\)/)
  const text = await nasbench('best', '--top', '2', '--split', 'validation', ...table)
  assert.match(text, /^best by validation accuracy on CIFAR-10.*\nrank.*\n1 +89\.00 .*#12129 .*\n2 +88\.00 /)
  assert.match(text, /The table has 40 of 15,625/)
})

test('search gives the same for the same seeds', async () => {
  const args = ['search', '--samples', '4', '--seeds', '3', ...table]
  const text = await nasbench(...args)
  assert.match(
    text,
    /^random search: the best of 4 by validation accuracy on CIFAR-10; test accuracies in %, 3 seeds\n/,
  )
  assert.match(text, /mean ± std +\d+\.\d\d ± \d+\.\d\d *\n/)
  assert.doesNotMatch(text, /CIFAR-100/, 'nothing is recorded of it')
  assert.equal(await nasbench(...args), text)
})

test('plot draws charts with the cells of runs', async () => {
  for (const [name, row] of [
    ['one', 0],
    ['two', 622],
  ] as const) {
    mkdirSync(at(name))
    writeFileSync(at(name, 'config.json'), '{}')
    const cell = architecture(row).match(/[a-z]\w+(?=~)/g)
    writeFileSync(at(name, 'genotype.json'), JSON.stringify({ cell }))
  }
  mkdirSync(at('none-yet'))
  writeFileSync(at('none-yet/config.json'), '{}')
  await nasbench('plot', ...table, '--out', 'charts', '--run', 'one', '--run', 'two')
  const names = ['cifar10-multiply-adds', 'cifar10-parameters']
  assert.deepEqual(
    readdirSync(at('charts')),
    names.flatMap((name) => [`${name}.png`, `${name}.svg`]),
  )
  const svg = readFileSync(at('charts/cifar10-parameters.svg'), 'utf8')
  for (const label of ['one 40.00', 'two 42.00', 'parameters, millions', '40 of 15,625 architectures'])
    assert.ok(svg.includes(`>${label}</text>`), label)
  await refused(['plot', ...table, '--out', 'more', '--run', 'none-yet'], 2, /no genotype\.json yet/)
  await refused(
    ['plot', ...table, '--out', 'more', '--dataset', 'cifar100'],
    2,
    /no column 'cifar100\.test\.200'/,
  )
  assert.ok(!existsSync(at('more')))
})

test('what is refused, in a line and as JSON', async () => {
  await refused(
    ['query', '1', ...table],
    2,
    /no results of 1 \(it has 40 architectures of 15625, from some\.csv\)/,
  )
  await refused(['query', '20000', '--json', ...table], 2, /0 to 15624/)
  await refused(['rank', '|a|', ...table], 2, /"\|a\|": 1 of 3 nodes; write it as/)
  await refused(['query', '1'], 2, /required option '--table/)
  await refused(['best', '--dataset', 'mnist', ...table], 2, /cifar10, cifar100, imagenet16-120/)
  await refused(['search', '--samples', '0', ...table], 2, /1 to 1000000/)
  await refused(['query', '1', '--table', 'absent'], 2, /there is no table absent; make one with/)
  await refused(['query', '1', '--table', 'some.csv'], 2, /some\.csv is no table of a benchmark/)
  await refused(['import', 'absent', '--out', 'a'], 2, /absent does not exist; give a CSV file/)
  writeFileSync(at('bad.pth'), Buffer.from('\x80\x02cos\nsystem\n.', 'latin1'))
  await refused(['import', 'bad.pth', '--out', 'a'], 2, /bad\.pth .* uses os\.system/)
  const whole = readFileSync(at('nb201.table'))
  writeFileSync(at('cut.table'), whole.subarray(0, whole.length / 2))
  await refused(['best', '--table', 'cut.table'], 2, /cut\.table is truncated or damaged/)
  assert.ok(!existsSync(at('a')))
})

test('many files of NATS-Bench, read by threads', { skip: skipWithoutShared(tssFolder) }, async () => {
  mkdirSync(at('tss'))
  const nameOf = (number: number) => `${String(number).padStart(6, '0')}.pickle.pbz2`
  for (let copy = 0; copy < 18; copy++)
    copyFileSync(join(tssFolder, nameOf(sampled[copy % sampled.length])), at('tss', nameOf(copy)))
  assert.match(
    await nasbench('import', 'tss', '--out', 'tss.table'),
    /^tss\.table: 3 of 15,625 architectures, /,
  )
  const text = await nasbench('query', '11', '--table', 'tss.table')
  assert.match(text, /CIFAR-10 +87\.94 +91\.58 +63\.28 +74\.00 +802,426 +113\.95\n/)
  await create({ file: at('tss.tar'), cwd: place.path }, ['tss'])
  await nasbench('import', 'tss.tar', '--out', 'tar.table')
  assert.equal(await nasbench('query', '11', '--table', 'tar.table'), text)
  writeFileSync(at('tss', nameOf(10)), 'BZh9')
  await refused(['import', 'tss', '--out', 'no.table'], 2, /in 000010\.pickle\.pbz2 it is truncated/)
  await create({ file: at('tss.tar'), cwd: place.path }, ['tss'])
  await refused(['import', 'tss.tar', '--out', 'no.table'], 2, /in 000010\.pickle\.pbz2 it is truncated/)
  assert.ok(!existsSync(at('no.table')))
})
