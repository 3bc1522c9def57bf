/** A whole search through the command line: what it prints, and what it leaves in the run folder. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { RunFolder } from '../../src/runs/folder.ts'
import { formatGenotype, parseGenotype, readGenotypeFile } from '../../src/spaces/darts/genotype-file.ts'
import { succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, filesBelow, metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const run = join(place.path, 'run')
let printed = ''

before(async () => {
  writeImages(data, 20)
  printed = await succeed(['search', 'cifar10', '--data', data, '--out', run, ...tiny, '--epochs', '3'])
})
after(place.remove)

test('the run folder is complete', () => {
  const files = filesBelow(run).map((name) => name.replace(/^(events\.out\.tfevents)\..*/, '$1'))
  const checkpoint = ['manifest.json', 'momentum.safetensors', 'state.json', 'strategy.safetensors']
  const wanted = [
    ...['normal.png', 'normal.svg', 'reduce.png', 'reduce.svg'].map((name) => `cells/${name}`),
    ...[...checkpoint, 'weights.safetensors'].map((name) => `checkpoints/00000014/${name}`),
    ...[...checkpoint, 'weights.safetensors'].map((name) => `checkpoints/00000021/${name}`),
    'config.json',
    'events.out.tfevents',
    'genotype.json',
    'metrics.jsonl',
    'windows.jsonl',
  ]
  assert.deepEqual(files, wanted)
})

const settingsOf = (path: string) =>
  z.looseObject({ config: z.unknown() }).parse(RunFolder.open(path).config).config

test('config.json tells all there is to repeat the search', () => {
  const {
    config,
    data: images,
    environment,
  } = z
    .looseObject({
      config: z.looseObject({ seed: z.number(), epochs: z.number(), threads: z.number() }),
      data: z.object({ directory: z.string(), fingerprint: z.string() }),
      environment: z.record(z.string(), z.string()),
    })
    .parse(RunFolder.open(run).config)
  assert.deepEqual([config.seed, config.epochs, config.threads], [0, 3, 1])
  assert.equal(images.directory, data)
  assert.match(images.fingerprint, /^[0-9a-f]{64}$/)
  assert.equal(environment.node, process.version)
})

test('metrics have one line for each step and epoch, and the training loss falls', () => {
  const lines = metricsOf(run)
  const kinds = lines.map(({ kind, epoch, step, globalStep }) =>
    [kind, epoch, step, globalStep].join(' ').trim(),
  )
  const epochs = [0, 1, 2].flatMap((epoch) => [
    ...[1, 2, 3, 4, 5, 6, 7].map((step) => `step ${epoch} ${step} ${7 * epoch + step}`),
    `epoch ${epoch}  ${7 * epoch + 7}`,
  ])
  assert.deepEqual(kinds, epochs)
  const trained = z.object({ train: z.object({ loss: z.number() }) })
  const losses = lines.filter(({ kind }) => kind === 'epoch').map((line) => trained.parse(line).train.loss)
  assert.ok((losses[2] ?? 9) < (losses[0] ?? 0) - 0.1, losses.join())
})

test('genotype.json is valid and is the one of the last epoch, and the drawings are images', () => {
  const genotype = readGenotypeFile(join(run, 'genotype.json'))
  assert.deepEqual(parseGenotype(metricsOf(run).at(-1)?.architecture, 'metrics'), genotype)
  assert.match(readFileSync(join(run, 'cells/normal.svg'), 'utf8'), /<svg[\s\S]*c_\{k\}[\s\S]*<\/svg>/)
  assert.equal(readFileSync(join(run, 'cells/reduce.png')).subarray(1, 4).toString(), 'PNG')
})

test('without a terminal it prints plain lines', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
  assert.doesNotMatch(printed, /[\u0000-\u0009\u000b-\u001f\u007f]/)
  assert.equal(
    printed.match(/^epoch \d\/3 {2}train err \S+ % {2}valid \S+ % {2}skip \d {2}depth \d {2}dist /gm)?.length,
    3,
  )
  assert.ok(printed.includes(`run folder: ${run}\n`))
  assert.ok(printed.includes(`\n${formatGenotype(readGenotypeFile(join(run, 'genotype.json')))}\n`))
  assert.ok(printed.endsWith(`drawing:  ${join(run, 'cells/reduce.png')}\n`))
  for (const line of printed.split('\n').filter((text) => text.startsWith('epoch')))
    assert.ok(line.length < 80, line)
})

test('--config with config.json of a run searches the same again', async () => {
  const again = join(place.path, 'again')
  const config = join(run, 'config.json')
  await succeed(['search', 'demo', '--config', config, '--data', data, '--out', again])
  assertSameRun(again, run)
  assert.deepEqual(JSON.parse(await succeed(['config', 'show', again])), settingsOf(run))
  // and a resume takes it, as it changes nothing
  await succeed(['search', '--resume', again, '--config', config])
})

test('ddsas show draws and prints the genotype of the run', async () => {
  const out = join(place.path, 'drawings')
  const text = await succeed(['show', run, '--out', out])
  assert.ok(text.includes(formatGenotype(readGenotypeFile(join(run, 'genotype.json')))))
  assert.deepEqual(filesBelow(out), ['normal.png', 'normal.svg', 'reduce.png', 'reduce.svg'])
})

test('--json prints JSON lines alone; without --out the run goes to the next free folder of runs/', async () => {
  const args = [
    'search',
    'cifar10',
    '--data',
    data,
    ...tiny,
    '--set',
    'data.images=32',
    '--epochs',
    '1',
    '--json',
  ]
  for (const name of ['cifar10', 'cifar10-2']) {
    const lines = (await succeed(args, place.path)).trimEnd().split('\n')
    const records = lines.map((line) => z.looseObject({ kind: z.string() }).parse(JSON.parse(line)))
    assert.deepEqual(
      records.map(({ kind }) => kind),
      ['start', 'step', 'step', 'epoch', 'result'],
    )
    const path = join(place.path, 'runs', name)
    assert.deepEqual([records[0]?.run, records[4]?.run], [path, path])
    assert.deepEqual(records[4]?.architecture, RunFolder.open(path).readGenotype())
  }
})
