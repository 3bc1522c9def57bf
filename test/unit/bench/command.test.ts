/** `npm run bench` from outside: one JSON object, the files it writes, and what it refuses. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { runBench } from '../../../bench/command.ts'
import { lengthSchema } from '../../../bench/length.ts'
import { loaderSchema } from '../../../bench/loader.ts'
import { networkSchema } from '../../../bench/network-step.ts'
import { rooflineSchema } from '../../../bench/roofline.ts'
import { stepSchema } from '../../../bench/search-step.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import { repository } from '../scripts/support.ts'

const names = ['step', 'operators', 'network', 'length', 'loader', 'decode', 'roofline']
const small = '--turns 1 --threads 1 --channels 4 --cells 3 --batch 2 --lengths 42,20'.split(' ')
const smallNetwork = '--network-channels 4 --network-cells 3 --network-batch 2'.split(' ')

/** As many photographs as `decode` takes in a batch. */
async function writePhotographs(folder: string): Promise<void> {
  const create = { width: 64, height: 48, channels: 3, background: '#808080' } as const
  const jpeg = await sharp({ create }).jpeg().toBuffer()
  mkdirSync(join(folder, 'train/grey'), { recursive: true })
  const files = Array.from({ length: 50 }, (_, index) => join(folder, `train/grey/${index}.jpg`))
  await Promise.all(files.map((file) => sharp(jpeg).toFile(file)))
}

/** One run of all benchmarks, as small as can be, serves all that is asserted of them. */
async function runAll(t: TestContext) {
  const folder = temporaryFolder(t)
  const out = join(folder, 'results')
  await writePhotographs(folder)
  const args = ['all', '--json', '--out', out, '--data', folder, ...small, ...smallNetwork]
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(repository, 'bench/main.ts'), ...args],
    { cwd: repository, encoding: 'utf8', env: { ...process.env, GOMP_SPINCOUNT: '0' } },
  )
  assert.equal(status, 0, stderr)
  assert.equal(stdout.trimEnd().split('\n').length, 1)
  return { out, ...JSON.parse(stdout) }
}

let readme = ''
before(() => {
  readme = readFileSync(join(repository, 'bench/README.md'), 'utf8')
})

test('all: one JSON object with every report, what it ran on and with which code; files and charts', async (t) => {
  const { out, machine, reports } = await runAll(t)
  assert.deepEqual(Object.keys(reports), names)
  assert.equal(machine.threads, 1)
  assert.match(machine.kernels, /^(portable|avx2|avx512|grid)$/)
  assert.match(machine.commit, /^([0-9a-f]{40}|unknown)$/)
  assert.match(machine.date, /^\d{4}-\d\d-\d\d$/)
  const file = join(out, `cpu-${machine.cores}-${machine.kernels}-${machine.libtorch}.json`)
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { machine, reports })
  for (const name of ['step', 'operators', 'network', 'length', 'roofline'])
    for (const ending of ['svg', 'png'])
      assert.ok(existsSync(file.replace('.json', `-${name}.${ending}`)), name)
  assert.equal(readFileSync(join(repository, 'bench/README.md'), 'utf8'), readme, 'the folder is another')
  checkReports(reports)
})

function checkReports(reports: Readonly<Record<string, unknown>>): void {
  const step = stepSchema.parse(reports.step)
  for (const key of ['speedupNchw', 'speedupChannelsLast', 'memoryRatio', 'dataShare'] as const)
    assert.ok(step[key] > 0, key)
  assert.deepEqual(step.shape, { space: 'darts', channels: 4, cells: 3, batch: 2, subspace: 28 })
  assert.deepEqual(
    step.timings.map(({ name, turns }) => [name, turns]),
    ['ours', 'plain, NCHW', 'plain, channels last'].map((name) => [name, 1]),
  )
  const length = lengthSchema.parse(reports.length)
  assert.equal(length.series.length, 1)
  assert.deepEqual(length.series[0].ratio.of, [20, 42])
  assert.ok(length.series[0].bytes.slope > 0)
  const network = networkSchema.parse(reports.network)
  assert.deepEqual([network.channels, network.cells, network.batch], [4, 3, 2])
  assert.ok(network.timeRatio > 0 && network.memoryRatio > 0 && network.memoryRatio < 1)
  const loader = loaderSchema.parse(reports.loader)
  assert.equal(loader.batches.length, 2)
  assert.ok(loader.batches[0].imagesPerSecond > 0 && loader.waitedShare < 1)
  const { floor, speed } = rooflineSchema.parse(reports.roofline)
  assert.ok(floor.both >= Math.max(floor.memory, floor.arithmetic))
  for (const { name, perSecond } of [...speed.memory, ...speed.arithmetic]) assert.ok(perSecond > 1e8, name)
  assert.ok(speed.memory.length >= 3 && speed.arithmetic.length >= 4)
}

test('a name, number or option that cannot be used: one line on standard error, exit code 2', async (t) => {
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
    [['length', '--space', 'dart'], /--space.*'dart'.*darts/],
    [['decode', '--space', 'darts'], /unknown option '--space'/],
    [['step', 'more'], /too many arguments/],
    [['step', '--subspace', '3'], /L = 3 does not fit the space 'darts': set ddsas\.subspace to 15/],
    [['decode', '--data', 'no-such-folder', '--turns', '1'], /no-such-folder/],
  ]
  for (const [args, message] of cases) {
    // standard output itself is the test runner's, which may write to it meanwhile
    const printed = t.mock.method(console, 'log', () => {})
    const errors: string[] = []
    const said = t.mock.method(process.stderr, 'write', (text: string) => errors.push(text) > 0)
    const code = await runBench(args)
    said.mock.restore()
    printed.mock.restore()
    assert.equal(code, 2, args.join(' '))
    assert.equal(printed.mock.callCount(), 0)
    assert.match(errors.join(''), /^bench: [^\n]+\n$/)
    assert.match(errors.join(''), message)
  }
})
