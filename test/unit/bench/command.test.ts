/** `npm run bench` from outside: one JSON object, the files it writes, and what it refuses. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../runs/temporary.ts'
import { repository } from '../scripts/support.ts'

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', join(repository, 'bench/main.ts'), ...args],
    { cwd: repository, encoding: 'utf8', env: { ...process.env, GOMP_SPINCOUNT: '0' } },
  )
  return { status, stdout, stderr }
}

const small = '--turns 1 --threads 1 --channels 4 --cells 3 --batch 2'.split(' ')

const smallNetwork = '--network-channels 4 --network-cells 3 --network-batch 2'.split(' ')

/** The one object on standard output. */
function reportOf(result: ReturnType<typeof bench>) {
  assert.equal(result.status, 0, result.stderr)
  assert.equal(result.stdout.trimEnd().split('\n').length, 1)
  return JSON.parse(result.stdout)
}

test('step --json keeps its keys', (t) => {
  const out = temporaryFolder(t)
  const report = reportOf(bench('step', '--json', '--out', out, ...small))
  for (const key of ['speedupNchw', 'speedupChannelsLast', 'memoryRatio', 'dataShare'])
    assert.ok(report[key] > 0, key)
  assert.deepEqual(report.shape, { channels: 4, cells: 3, batch: 2, subspace: 28 })
  assert.equal(report.machine.threads, 1)
  assert.deepEqual(
    report.timings.map(({ name }: { name: string }) => name),
    ['ours', 'plain, NCHW', 'plain, channels last'],
  )
  const charts = readdirSync(out).map((name) => name.replace(/^cpu-\d+-[\d.]+-/, ''))
  assert.deepEqual(charts, ['step.png', 'step.svg'])
})

test('length measures the L asked for, and roofline and loader the step', (t) => {
  const out = temporaryFolder(t)
  const length = reportOf(bench('length', '--json', '--out', out, '--lengths', '42,20', ...small))
  assert.deepEqual(length.series[0].ratio.of, [20, 42])
  assert.equal(length.series.length, 1)
  assert.ok(length.series[0].bytes.slope > 0)
  const roofline = reportOf(bench('roofline', '--json', '--out', out, ...small))
  assert.ok(roofline.floor.both >= Math.max(roofline.floor.memory, roofline.floor.arithmetic))
  assert.ok(roofline.speed.bandwidth > 1e8 && roofline.speed.convolution > 1e8)
  const loader = reportOf(bench('loader', '--json', '--out', out, ...small))
  assert.equal(loader.batches.length, 2)
  assert.ok(loader.batches[0].imagesPerSecond > 0 && loader.waitedShare < 1)
})

test('network compares the training step with ATen', (t) => {
  const out = temporaryFolder(t)
  const report = reportOf(
    bench('network', '--json', '--out', out, '--turns', '1', '--threads', '1', ...smallNetwork),
  )
  assert.deepEqual([report.channels, report.cells, report.batch], [4, 3, 2])
  assert.ok(report.timeRatio > 0 && report.memoryRatio > 0 && report.memoryRatio < 1)
})

test('a name, number or option that cannot be used: one line on standard error, exit code 2', () => {
  const cases: [string[], RegExp][] = [
    [
      [],
      /no benchmark ''; name one: npm run bench -- step\|operators\|network\|length\|loader\|decode\|roofline\|all/,
    ],
    [['stepp'], /no benchmark 'stepp'/],
    [['step', '--turns', '0'], /--turns.*'0'.*1 or more/],
    [['step', '--turns', '1e9'], /--turns/],
    [['length', '--lengths', '28,'], /--lengths/],
    [['step', '--plain'], /unknown option '--plain'/],
    [['step', 'more'], /too many arguments/],
    [['step', '--subspace', '3', ...small], /L = 3 does not fit this space: set subspace to 15/],
    [['decode', '--data', 'no-such-folder', '--turns', '1'], /no-such-folder/],
  ]
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = bench(...args)
    assert.equal(status, 2, args.join(' '))
    assert.equal(stdout, '')
    assert.match(stderr, /^bench: [^\n]+\n$/)
    assert.match(stderr, message)
  }
})

test('all writes the results and charts of every benchmark, and leaves the README where the folder is another', (t) => {
  const out = join(temporaryFolder(t), 'results')
  const readme = join(repository, 'bench/README.md')
  const before = readFileSync(readme, 'utf8')
  const { reports, machine } = reportOf(
    bench('all', '--json', '--out', out, '--lengths', '20,42', ...small, ...smallNetwork),
  )
  const names = ['step', 'operators', 'network', 'length', 'loader', 'decode', 'roofline']
  assert.deepEqual(Object.keys(reports), names)
  const file = join(out, `cpu-${machine.cores}-${machine.libtorch}.json`)
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { machine, reports })
  for (const name of ['step', 'operators', 'network', 'length', 'roofline'])
    assert.ok(existsSync(file.replace(/\.json$/, `-${name}.svg`)), name)
  assert.equal(readFileSync(readme, 'utf8'), before)
})
