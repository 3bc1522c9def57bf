/** A training through the command line: its report and run folder, exact resume, evaluation, and what it refuses. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import { writePytorchFile } from '../../src/export/pytorch-writer.ts'
import { RunFolder } from '../../src/runs/folder.ts'
import { publishedGenotypes } from '../../src/spaces/darts/published-genotypes.ts'
import { decodeSafetensors, tidy } from '../../src/torch/index.ts'
import { skipWithoutShared } from '../needs.ts'
import { shared } from '../parity/fixtures.ts'
import { runPython, withoutPython } from '../unit/export/python.ts'
import { messageOf, refuse, set, startHeld, succeed, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { assertSameRun, checkpointOf, metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'data')
const reference = join(place.path, 'reference')

const tiny = set(
  'network.channels=4',
  'network.cells=3',
  'data.batch=16',
  'evaluation.batch=20',
  'threads=1',
  'checkpoint.steps=3',
)

/** 5 steps an epoch, 15 in all: 72 images to train on, 8 to choose the epoch by. */
function begin(name: string, ...more: readonly string[]): { path: string; args: string[] } {
  const path = join(place.path, name)
  const args = ['train', 'DDSAS_cifar10', '--data', data, '--out', path, ...tiny, '--epochs', '3']
  return { path, args: [...args, '--json', ...more] }
}

before(async () => {
  writeImages(data, 16)
  await succeed(begin('reference').args)
})
after(place.remove)

const score = z.looseObject({ top1Error: z.number(), top5Error: z.number(), images: z.number() })
const tested = z.object({ epoch: z.number(), validation: score.optional(), test: score })
const reportSchema = z.looseObject({ last: tested, best: tested.nullable() })

function reportOf(path: string): z.infer<typeof reportSchema> {
  const line = metricsOf(path).at(-1)
  assert.equal(line?.kind, 'report')
  return reportSchema.parse(line)
}

test('the run folder is complete, and last and best epoch are reported apart', () => {
  const kinds = metricsOf(reference).map(({ kind }) => kind)
  assert.deepEqual(kinds, [
    ...[1, 2, 3].flatMap(() => ['step', 'step', 'step', 'step', 'step', 'epoch']),
    'report',
  ])
  assert.deepEqual(RunFolder.open(reference).readGenotype(), publishedGenotypes.DDSAS_cifar10)
  const { last, best } = reportOf(reference)
  assert.deepEqual([last.epoch, last.validation?.images, last.test.images], [2, 8, 16])
  assert.ok(best?.validation && last.validation && best.validation.top1Error <= last.validation.top1Error)
  assert.deepEqual([...checkpointOf(reference).files.keys()].sort(), [
    'best.safetensors',
    'momentum.safetensors',
    'state.json',
    'weights.safetensors',
  ])
})

test('the same seed gives the same run', async () => {
  const { path, args } = begin('again')
  await succeed(args)
  assertSameRun(path, reference)
})

test('killed within an epoch and after one, and resumed, it is the same bit for bit', async () => {
  const { path, args } = begin('killed')
  for (const [how, kind, count] of [
    [args, 'step', 3],
    [['train', '--resume', path, '--json'], 'epoch', 0],
  ] as const) {
    const { child, ended } = await startHeld(how, new RegExp(`^{"kind":"${kind}"`), count)
    child.kill('SIGKILL')
    await ended
  }
  await succeed(['train', '--resume', path, '--json'])
  assertSameRun(path, reference)
  // A finished run only tests again.
  await succeed(['train', '--resume', path])
  assertSameRun(path, reference)
})

test('Ctrl-C saves and says how to go on', async () => {
  const { path, args } = begin('stopped')
  const { child, ended, release } = await startHeld(args, /"kind":"step"/, 1)
  child.kill('SIGINT')
  release()
  const how = await ended
  assert.equal(how.code, 130)
  assert.match(
    messageOf(how, args),
    /^stopped after step \d+, saved; go on with: npx ddsas train --resume \S+$/,
  )
  assert.match(await succeed(['train', '--resume', path, '--epochs', '3']), /^resuming after step \d+$/m)
  await succeed(['train', '--resume', path, '--json'])
  assertSameRun(path, reference)
})

test('in bfloat16: resumed exactly, near float32, weights and momentum of float32, evaluated as trained', async (t) => {
  process.env.DDSAS_CPU_BFLOAT16 = '1'
  t.after(() => delete process.env.DDSAS_CPU_BFLOAT16)
  // the bodies of the GPU's kernels compute it on a CPU, slowly
  const settings = [...set('precision=bfloat16'), '--epochs', '2']
  const half = begin('half', ...settings)
  const { child, ended } = await startHeld(half.args, /"kind":"step"/, 6)
  child.kill('SIGKILL')
  await ended
  await succeed(['train', '--resume', half.path, '--json'])
  const [whole, single] = [begin('half whole', ...settings), begin('single', '--epochs', '2')]
  for (const { args } of [whole, single]) await succeed(args)
  assertSameRun(half.path, whole.path)
  const losses = (path: string) =>
    metricsOf(path).flatMap(({ kind, train }) =>
      kind === 'step' ? [z.object({ loss: z.number() }).parse(train).loss] : [],
    )
  const [own, full] = [losses(whole.path), losses(single.path)]
  assert.notDeepEqual(own, full)
  // the same weights in the first step; after that rounding drives any two runs apart, but not their courses
  const near = (a: number, b: number, share: number, what: string) =>
    assert.ok(Math.abs(a / b - 1) < share, `${what}: ${a}, float32 ${b}`)
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value) / values.length
  near(own[0], full[0], 5e-3, 'the first loss')
  near(mean(own), mean(full), 0.03, 'the mean loss')
  const files = RunFolder.open(whole.path).loadCheckpoint()?.files
  for (const name of ['weights.safetensors', 'momentum.safetensors'])
    assert.ok(!/"dtype":"(?!F32)/.test(files?.get(name)?.toString('latin1', 0, 100_000) ?? '"dtype":"'), name)
  const text = await succeed(['evaluate', whole.path, '--out', join(place.path, 'half csv'), '--json'])
  const { loss } = z.object({ loss: z.number() }).parse(JSON.parse(text))
  assert.equal(loss, z.looseObject({ loss: z.number() }).parse(reportOf(whole.path).last.test).loss)
  await refuse(['train', '--resume', whole.path, ...set('precision=float32')], 2, [
    /precision is "bfloat16" in the run, not "float32"/,
  ])
  await refuse(begin('odd', ...set('precision=float16')).args, 2, [/precision: .*"float32"\|"bfloat16"/])
})

test('without held-out images only the last epoch is reported', async () => {
  const { path, args } = begin('all', ...set('data.validation=0', 'loss.auxiliary=0', 'dropPath=0'))
  await succeed([...args, '--epochs', '1'])
  const { last, best } = reportOf(path)
  assert.deepEqual([last.validation, best], [undefined, null])
})

test('ddsas evaluate gives the errors of the report, tables and charts', async () => {
  for (const which of ['last', 'best'] as const) {
    const out = join(place.path, `evaluated-${which}`)
    const text = await succeed(['evaluate', reference, '--weights', which, '--out', out, '--json'])
    const { top1Error, top5Error } = score.parse(JSON.parse(text))
    const wanted = reportOf(reference)[which]?.test
    assert.deepEqual([top1Error, top5Error], [wanted?.top1Error, wanted?.top5Error])
    const [head, ...rows] = readFileSync(join(out, 'confusion.csv'), 'utf8').trimEnd().split('\r\n')
    assert.match(head ?? '', /^class,airplane,.*truck$/)
    const counts = rows.flatMap((row) => row.split(',').slice(1).map(Number))
    assert.equal(counts.length, 100)
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      16,
    )
    assert.equal(readFileSync(join(out, 'per-class.csv'), 'utf8').split('\r\n').length, 12)
    for (const name of ['confusion.svg', 'confusion.png', 'per-class.svg', 'per-class.png'])
      assert.ok(existsSync(join(out, name)), name)
  }
})

test('a file of weights is evaluated with its genotype named', async () => {
  const weights = join(place.path, 'weights.safetensors')
  const saved = RunFolder.open(reference).loadCheckpoint()?.files.get('weights.safetensors')
  writeFileSync(weights, saved ?? assert.fail('no weights'))
  const args = ['evaluate', weights, '--data', data, '--out', join(place.path, 'csv'), '--json']
  await refuse(args, 2, [/does not tell its genotype; give --genotype NAME, RUN or FILE/])
  const text = await succeed([...args, '--genotype', reference, '--threads', '1'])
  assert.equal(score.parse(JSON.parse(text)).top1Error, reportOf(reference).last.test.top1Error)
  await refuse([...args, '--genotype', 'DARTS_V1'], 2, [
    /holds other weights: '[^']+' is [^,]+, '[^']+' is [^,]+, '[^']+' is .+ and \d+ more/,
  ])
})

/** What training scripts save: the state dict of a wrapped model, its optimizer and more, in both formats; and in half. */
const saveCheckpoints = `
import torch
state = torch.load('weights.pt', weights_only=True)
optimizer = torch.optim.SGD([torch.nn.Parameter(v) for k, v in state.items() if k.endswith('weight')], lr=0.1, momentum=0.9)
sum(p.square().sum() for p in optimizer.param_groups[0]['params']).backward()
optimizer.step()
checkpoint = {'epoch': 3, 'state_dict': {'module.' + k: v for k, v in state.items()}, 'best_acc_top1': 95.0,
              'optimizer': optimizer.state_dict()}
torch.save(checkpoint, 'zip.pt')
torch.save(checkpoint, 'legacy.pth.tar', _use_new_zipfile_serialization=False)
torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, 'half.pt')
`

test('checkpoints of PyTorch training scripts are evaluated', { skip: withoutPython('torch') }, async () => {
  const saved = RunFolder.open(reference).loadCheckpoint()?.files.get('weights.safetensors')
  tidy(() => {
    const { tensors } = decodeSafetensors(saved ?? assert.fail('no weights'), 'weights')
    writeFileSync(join(place.path, 'weights.pt'), writePytorchFile(tensors))
  })
  runPython(saveCheckpoints, [], place.path)
  const wanted = reportOf(reference).last.test
  for (const file of ['zip.pt', 'legacy.pth.tar', 'half.pt']) {
    const args = [
      'evaluate',
      join(place.path, file),
      '--genotype',
      'DDSAS_cifar10',
      '--data',
      data,
      '--threads',
      '1',
    ]
    const text = await succeed([...args, '--out', join(place.path, 'csv'), '--json'])
    const { top1Error, images } = score.parse(JSON.parse(text))
    assert.deepEqual([top1Error, images], [wanted.top1Error, wanted.images], file)
  }
})

const genotype = publishedGenotypes.DARTS_V1
const spoiled: Readonly<Record<string, readonly [object, RegExp]>> = {
  'an unknown operation': [
    { ...genotype, normal: [['conv_7x7', 0], ...genotype.normal.slice(1)] },
    /unknown operation "conv_7x7"; choose one of/,
  ],
  'a wrong count of edges': [{ ...genotype, normal: genotype.normal.slice(1) }, /has 7 edges; give two/],
  'an input that is not there': [
    { ...genotype, reduce: [['skip_connect', 2], ...genotype.reduce.slice(1)] },
    /input 2 does not exist; node 0 may read 0 to 1/,
  ],
  'a wrong concatenation': [{ ...genotype, normal_concat: [2, 6] }, /holds 6, which is no node/],
}

describe('refused with exit code 2', () => {
  const args = (...more: string[]) => ['train', 'DARTS_V1', '--data', data, ...tiny, '--epochs', '1', ...more]
  for (const [name, [content, pattern]] of Object.entries(spoiled))
    test(`a genotype with ${name}`, async () => {
      const file = join(place.path, `${name}.json`)
      writeFileSync(file, JSON.stringify(content))
      await refuse(['train', file, '--data', data], 2, [pattern], place.path)
      await refuse(['describe', file], 2, [pattern], place.path)
    })
  const refused: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no genotype', ['train', '--data', data], /name the genotype to train/],
    ['an unknown genotype', ['train', 'DARTS_V9'], /'DARTS_V9' is no genotype: give a published name/],
    [
      'an unknown preset',
      args('--preset', 'mnist'),
      /no preset 'mnist'; known are cifar10, cifar100, nasbench201, folder, imagenet/,
    ],
    ['two presets', ['train', 'DARTS_V1', 'cifar10', '--preset', 'imagenet'], /two presets/],
    [
      'an unknown setting',
      args(...set('weightOptimizer.lt=1')),
      /--set: there is no setting 'weightOptimizer\.lt'/,
    ],
    ['a wrong type', args(...set('weightOptimizer.schedule=step')), /weightOptimizer\.schedule: /],
    [
      'nothing to train on',
      args(...set('data.validation=0.999')),
      /data\.validation = 0\.999 .* none to train on/,
    ],
    [
      'images of another size',
      args(...set('data.imageSize=64')),
      /data\.imageSize = 64, images of cifar10 have 32 px/,
    ],
    ['a resumed search or nothing', ['train', '--resume', data], /is not a run: it has no config\.json/],
    [
      'another seed when resuming',
      ['train', '--resume', reference, '--seed', '1'],
      /seed is 0 in the run, not 1; resume without it/,
    ],
    [
      'another genotype when resuming',
      ['train', 'DARTS_V1', '--resume', reference],
      /another genotype than the one given/,
    ],
  ]
  for (const [name, command, pattern] of refused) test(name, () => refuse(command, 2, [pattern], place.path))
})

test('a run whose genotype or images were changed is not resumed', async () => {
  const path = join(place.path, 'changed')
  cpSync(reference, path, { recursive: true })
  writeFileSync(join(path, 'genotype.json'), JSON.stringify(publishedGenotypes.DARTS_V2))
  await refuse(['train', '--resume', path], 2, [/another cell than genotype\.json; put genotype\.json back/])
  const others = writeImages(join(place.path, 'others'), 16, 1)
  await refuse(['train', '--resume', reference, '--data', others], 2, [/are not those of the run/])
})

test('a loss that is not finite stops the training', async () => {
  const { path, args } = begin('wild', ...set('weightOptimizer.lr=1e30', 'weightOptimizer.gradClip=1e30'))
  await refuse(args, 1, [/is \S+ at step \d+ .*train again with a smaller weightOptimizer\.lr/])
  assert.ok(existsSync(join(path, 'config.json')))
})

const folder = join(shared, 'data/imagefolder')

test('transfer: a cell trained on an image folder', {
  skip: skipWithoutShared(folder),
}, async () => {
  const path = join(place.path, 'transfer')
  const small = set(
    'network.channels=4',
    'network.cells=3',
    'data.imageSize=64',
    'data.resize=72',
    'data.batch=24',
    'data.images=60',
    'data.validation=0.2',
    'evaluation.batch=40',
    'loss.auxiliary=0',
    'threads=1',
    'weightOptimizer.warmUp=1',
  )
  const args = ['train', reference, 'imagenet', '--data', folder, '--out', path, ...small, '--epochs', '2']
  const printed = await succeed(args)
  assert.match(printed, /^imagenet network of 3 cells, C = 4, 10 classes, 64 px$/m)
  assert.match(printed, /^last epoch: 2, test top-1 error \d+\.\d\d %, top-5 /m)
  assert.match(printed, /^best epoch: [12], test top-1 error /m)
  assert.equal(reportOf(path).last.test.images, 80)
})
