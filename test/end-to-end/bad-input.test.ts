/** What a new search refuses: the exit code, one line that names thing and remedy, and nothing written. */
import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { describeEngine } from '../../src/torch/index.ts'
import { ddsas, refuse, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { filesBelow } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')

before(() => {
  writeImages(data, 4)
  mkdirSync(join(place.path, 'empty'))
  writeFileSync(join(place.path, 'file'), 'text')
  writeImages(join(place.path, 'used'), 1)
})
after(place.remove)

/** A search that would run, with something to change in it. */
const good = ['search', 'cifar10', '--data', 'data', ...tiny, '--epochs', '1']

/** Runs it in the place and checks that nothing there has changed. */
async function refuseAndKeep(args: readonly string[], code: number, ...patterns: RegExp[]): Promise<void> {
  const found = readdirSync(place.path, { recursive: true }).sort()
  await refuse(args, code, patterns, place.path)
  assert.deepEqual(readdirSync(place.path, { recursive: true }).sort(), found)
}

const set = (assignment: string) => [...good, '--set', assignment]

const refused: readonly (readonly [name: string, args: readonly string[], ...patterns: RegExp[]])[] = [
  ['no preset', ['search'], /name what to search, cifar10, cifar100, .*demo, or a run with --resume/],
  ['an unknown preset', ['search', 'mnist'], /no preset 'mnist'; known are cifar10, cifar100, .*demo/],
  ['two presets', ['search', 'demo', 'cifar10'], /too many arguments/],
  ['an unknown option', [...good, '--sed', '1'], /unknown option '--sed'/],
  ['a seed that is no number', [...good, '--seed', 'abc'], /--seed.*'abc'.*whole number/],
  ['a seed that no number can hold', [...good, '--seed', '9'.repeat(30)], /seed: /],
  ['no epochs', [...good, '--epochs', '0'], /--epochs.*'0'.*whole number from 1 on/],
  [
    'an unknown setting',
    set('weightOptimizer.lt=1'),
    /--set: there is no setting 'weightOptimizer\.lt'; the nearest is 'weightOptimizer\.lr', and/,
  ],
  ['a group of settings', set('weightOptimizer=1'), /--set: weightOptimizer is a group of settings: lr,/],
  ['a property of every object', set('__proto__.x=1'), /--set: there is no setting '__proto__\.x'/],
  [
    'text for a number',
    set('weightOptimizer.lr=fast'),
    /weightOptimizer\.lr: expected number, received string/,
  ],
  ['a fraction of channels', set('network.channels=4.5'), /network\.channels: /],
  ['odd channels', set('network.channels=5'), /network\.channels: .*multiple of 2/],
  ['too few cells', set('network.cells=2'), /network\.cells: .*>=3/],
  ['a network that fits no memory', set('network.channels=100000'), /network\.channels: .*<=1024/],
  ['threads without end', [...good, '--threads', '100000'], /--threads.*'100000'.*1 to 512/],
  ['an infinite rate', set('weightOptimizer.lr=1e999'), /weightOptimizer\.lr: /],
  [
    'a setting without a value',
    set('weightOptimizer.lr'),
    /--set weightOptimizer\.lr: write it as key=value/,
  ],
  ['a value without a setting', set('=1'), /--set =1: write it as key=value/],
  ['L too small', set('ddsas.subspace=14'), /L = 14 does not fit.*15 … 112/],
  ['L too large', set('ddsas.subspace=113'), /L = 113 does not fit.*15 … 112/],
  ['an unknown device', [...good, '--device', 'tpu'], /--device.*'tpu'.*auto, cpu, cuda or cuda:N/],
  [
    'more images than there are',
    set('data.images=21'),
    /data\.images = 21, the training set has 20; ask for at most that/,
  ],
  ['one image', [...set('data.images=1'), '--set', 'data.batch=1'], /1 image cannot be split/],
  [
    'a folder without data',
    [...good, '--data', 'empty'],
    /data_batch_1\.bin is missing: .*`npx ddsas data fetch cifar10 --data empty`/,
  ],
  [
    'no folder of data',
    [...good, '--data', 'none'],
    /there is no folder none: .*`npx ddsas data fetch cifar10 --data none`/,
  ],
  ['a file for the data', [...good, '--data', 'file'], /file\/.* cannot be read \(ENOTDIR\): check the path/],
  [
    'a run folder that is used',
    [...good, '--out', 'used'],
    /used is not empty; choose another --out, or --resume/,
  ],
  ['a file for the run folder', [...good, '--out', 'file'], /file is a file; choose another --out/],
  ['a checkpoint of no run', [...good, '--checkpoint', '5'], /--checkpoint 5 .*name the run with --resume/],
  [
    'a resumed run that is not there',
    ['search', '--resume', 'none'],
    /none does not exist; name the folder of a run/,
  ],
  [
    'a resumed folder that is no run',
    ['search', '--resume', 'empty'],
    /empty is not a run: it has no config\.json/,
  ],
  ['a resumed file', ['search', '--resume', 'file'], /file is not a folder; name the folder of a run/],
]

describe('refused with exit code 2, nothing written', () => {
  for (const [name, args, ...patterns] of refused) {
    test(name, () => refuseAndKeep(args, 2, ...patterns))
  }
})

test('a run folder below a file: a disk error, nothing written', () =>
  refuseAndKeep([...good, '--out', 'file/run'], 1, /cannot write .*file\/run.*choose another folder/))

test('CUDA where there is none', async (t) => {
  if (describeEngine().cuda.length > 0) return t.skip('there is a CUDA device')
  await refuseAndKeep([...good, '--device', 'cuda'], 2, /sees no CUDA device; use --device cpu/)
})

test('an odd demo is refused before its data are fetched', () =>
  refuseAndKeep(['search', 'demo', '--data', 'none', '--set', 'x=1'], 2, /--set: there is no setting 'x'/))

/** A copy of the data with one file spoiled. */
async function refuseSpoiled(spoil: (path: string) => void, ...patterns: RegExp[]): Promise<void> {
  const folder = join(place.path, 'spoiled')
  writeImages(folder, 4)
  spoil(join(folder, 'data_batch_3.bin'))
  await refuseAndKeep([...good, '--data', 'spoiled'], 2, /data_batch_3\.bin/, ...patterns)
}

test('data that are truncated, of another record size, empty, or with a label out of range', async () => {
  const remedy = /get it again with `npx ddsas data fetch cifar10 --data spoiled`/
  await refuseSpoiled((path) => truncateSync(path, 3 * 3073 - 1), /9218 bytes.*truncated/, remedy)
  await refuseSpoiled(
    (path) => writeFileSync(path, Buffer.alloc(4 * 3074)),
    /not a whole number of 3073/,
    remedy,
  )
  await refuseSpoiled((path) => truncateSync(path, 0), /is empty/, remedy)
  await refuseSpoiled((path) => {
    const bytes = readFileSync(path)
    bytes[3073] = 10
    writeFileSync(path, bytes)
  }, /record 1 has label 10, not below 10: .*fetch the data again/)
  await refuseSpoiled((path) => appendFileSync(path, 'x'), /not a whole number/)
})

test('a loss that is not finite stops the search, says where, and keeps the checkpoint before', async () => {
  const out = join(place.path, 'diverged')
  const wild = [
    'weightOptimizer.lr=1e30',
    'weightOptimizer.gradClip=1e30',
    'checkpoint.steps=1',
    'data.batch=2',
  ]
  const args = [...good, '--out', out, ...wild.flatMap((setting) => ['--set', setting])]
  const { code, stderr } = await ddsas(args, place.path)
  assert.equal(code, 1)
  const [, step, kept] =
    /^ddsas: the (?:training loss|validation loss|gradient norm) is \S+ at step (\d+) \(epoch 1, step \d+\): search again with a smaller weightOptimizer\.lr or weightOptimizer\.gradClip; the checkpoint after step (\d+) is kept\n$/.exec(
      stderr,
    ) ?? assert.fail(stderr)
  assert.equal(Number(kept), Number(step) - 1)
  assert.ok(filesBelow(out).includes(`checkpoints/0000000${Number(step) - 1}/weights.safetensors`))
  await refuse(['search', '--resume', out], 1, [new RegExp(`at step ${step} `)])
})

test('a loss that is not finite after the last step of an epoch is not saved either', async () => {
  const out = join(place.path, 'diverged late')
  const wild = ['weightOptimizer.lr=1e30', 'weightOptimizer.gradClip=1e30', 'data.batch=10']
  const args = [...good, '--out', out, ...wild.flatMap((setting) => ['--set', setting])]
  await refuse(
    args,
    1,
    [
      /validation loss is (NaN|Infinity) after epoch 1: search again with a smaller weightOptimizer\.lr or weightOptimizer\.gradClip\n$/,
    ],
    place.path,
  )
  assert.ok(!filesBelow(out).some((name) => name.startsWith('checkpoints')))
})
