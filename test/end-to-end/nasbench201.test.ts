/** NAS-Bench-201 from a search that a table judges to a network that is trained, evaluated and exported; second-order DARTS. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { RunFolder } from '../../src/runs/folder.ts'
import { nasbench201Space } from '../../src/spaces/nasbench201/space.ts'
import { refuse, set, startHeld, succeed, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const at = (...parts: readonly string[]) => join(place.path, ...parts)
after(place.remove)

const small = set('network.channels=4', 'network.cells=3', 'data.batch=16', 'threads=1')
const search = (out: string, ...more: readonly string[]) => [
  ...['search', 'nasbench201', '--data', at('data'), '--out', out, '--epochs', '2', '--seed', '3'],
  ...[...small, ...set('evaluation.batch=16'), ...more],
]
const operations = ['none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3']

/** A table of every cell, with accuracies that grow with its number. */
function writeTable(): void {
  const rows = Array.from({ length: 5 ** 6 }, (_, n) => {
    const [a, b, c, d, e, f] = Array.from(
      { length: 6 },
      (_, edge) => operations[Math.floor(n / 5 ** edge) % 5],
    )
    return `${n},|${a}~0|+|${b}~0|${c}~1|+|${d}~0|${e}~1|${f}~2|,${(50 + n / 500).toFixed(3)}`
  })
  writeFileSync(at('all.csv'), ['index,arch_str,cifar10_test', ...rows, ''].join('\n'))
}

before(async () => {
  writeImages(at('data'), 16)
  writeTable()
  await succeed(['nasbench', 'import', 'all.csv', '--out', 'all.table'], place.path)
})

test('each epoch is told with what the table has of its cell, in lines and in metrics', async () => {
  const text = await succeed(search(at('first'), '--strategy', 'gdas', '--table', at('all.table')))
  const recorded =
    /^ {2}recorded: cifar10 \d\d\.\d\d %, rank \d+ of 15625 by\s+cifar10\.test\.200,\s+better than \d+\.\d %$/gm
  assert.equal(text.match(recorded)?.length, 2, text)
  for (const line of text.split('\n'))
    if (line.startsWith('epoch') || line.startsWith('  ')) assert.ok(line.length <= 80, line)
  const [epoch] = RunFolder.open(at('first'))
    .readMetrics()
    .filter(({ kind }) => kind === 'epoch')
  assert.deepEqual(Object.keys(epoch.recorded ?? {}), ['accuracies', 'by', 'rank', 'of', 'percentile'])
  const found = nasbench201Space.parse(RunFolder.open(at('first')).readGenotype(), 'first')
  assert.ok(text.includes(`\n${nasbench201Space.format(found)}\n`))
  for (const name of ['cell', 'residual']) assert.ok(existsSync(at('first/cells', `${name}.png`)))
})

test('a table of another space, or none, is refused before anything is written', async () => {
  const demo = ['search', 'demo', '--data', at('data'), '--out', at('never'), '--table']
  await refuse([...demo, at('all.table')], 2, [/table is of the space 'nasbench201', the search of 'darts'/])
  await refuse([...demo, at('all.csv')], 2, [/all\.csv is no table of a benchmark/])
  assert.ok(!existsSync(at('never')))
})

test('the cell is trained, evaluated, described, shown and exported', async () => {
  const train = [
    'train',
    at('first'),
    'nasbench201',
    '--data',
    at('data'),
    '--out',
    at('trained'),
    '--epochs',
    '1',
  ]
  await succeed([...train, ...small, ...set('evaluation.batch=16')])
  assert.match(await succeed(['evaluate', at('trained'), '--data', at('data')]), /^top-1 error \d/m)
  const described = await succeed(['describe', at('trained')])
  assert.match(described, /cifar network, C = 4, 3 cells, 10 classes, 32 px\nparameters: +[\d,]+\n/)
  const line = (await succeed(['show', at('first')])).split('\n').find((one) => one.startsWith('|'))
  assert.ok(line)
  assert.equal(await succeed(['show', line]), await succeed(['show', at('first')]))
  for (const [format, file] of [
    ['onnx', 'network.onnx'],
    ['pytorch', 'network.py'],
    ['safetensors', 'network.safetensors'],
  ])
    assert.match(await succeed(['export', at('trained'), '--to', format]), new RegExp(file))
  // the weights tell their space, their cell and their size
  const again = await succeed(['evaluate', at('trained/export/network.safetensors'), '--data', at('data')])
  assert.match(again, /^top-1 error \d/m)
  assert.match(readFileSync(at('trained/export/network.py'), 'utf8'), /class /)
})

test('another size than the stages can share, and text that is no cell', async () => {
  const out = ['--data', at('data'), '--out', at('never')]
  await refuse(['search', 'nasbench201', ...out, ...set('network.cells=4')], 2, [
    /4 cells cannot be divided among the 3 stages/,
  ])
  await refuse(['describe', '|conv~0|', '--space', 'nasbench201'], 2, [/1 of 3 nodes/])
  await refuse(['describe', '|conv~0|'], 2, [
    /if it is of another space \(nasbench201, nasbench1shot1-1, .*\), say so with --space/,
  ])
  assert.ok(!existsSync(at('never')))
})

test('second-order DARTS, killed and resumed, ends the same to the bit', async () => {
  const how = ['--strategy', 'darts', ...set('darts.order=second', 'checkpoint.steps=1'), '--json']
  await succeed(search(at('whole'), ...how))
  const { child, ended } = await startHeld(search(at('killed'), ...how), /^{"kind":"step"/, 2)
  child.kill('SIGKILL')
  await ended
  await succeed(['search', '--resume', at('killed'), '--json'])
  assertSameRun(at('killed'), at('whole'))
})
