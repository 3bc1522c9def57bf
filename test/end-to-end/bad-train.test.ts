/** What training, evaluating and describing refuse: the exit code, and one line that names thing and remedy. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { publishedGenotypes } from '../../src/spaces/darts/published-genotypes.ts'
import { writeFolder } from '../unit/data/image-files.ts'
import { refuse, set, succeed, workplace } from './command.ts'
import { writeImages } from './images.ts'
import { filesBelow } from './runs.ts'

const place = workplace()
const at = (...parts: readonly string[]) => join(place.path, ...parts)

const tiny = [...set('network.channels=4', 'network.cells=3', 'data.batch=8', 'threads=1'), '--epochs', '1']
const small = [
  ...tiny,
  ...set('data.imageSize=32', 'data.resize=36', 'loss.auxiliary=0', 'data.validation=0'),
]
const train = (preset: string, data: string, ...more: readonly string[]) => {
  const args = ['train', 'DARTS_V1', preset, '--data', data, '--out', 'new']
  return [...args, ...(preset === 'imagenet' ? small : tiny), ...more]
}

before(async () => {
  writeImages(at('cifar'), 8)
  await writeFolder(at('photographs'), 'train', ['a', 'b'], 8)
  await writeFolder(at('photographs'), 'val', ['a', 'b'], 2)
  const copy = (name: string) => cpSync(at('photographs'), at(name), { recursive: true })
  for (const name of ['empty class', 'no val', 'other classes', 'text']) copy(name)
  mkdirSync(at('empty class/train/c'))
  rmSync(at('no val/val'), { recursive: true })
  for (const split of ['train', 'val'])
    cpSync(at('photographs', split, 'b'), at('other classes', split, 'd'), { recursive: true })
  for (const split of ['train', 'val']) rmSync(at('other classes', split, 'b'), { recursive: true })
  rmSync(at('text/train/a'), { recursive: true })
  mkdirSync(at('text/train/a'))
  writeFileSync(at('text/train/a/notes.txt'), 'not an image')
  mkdirSync(at('search'))
  writeFileSync(at('search/config.json'), '{"kind":"search"}')
  writeFileSync(at('file'), 'text')
  await succeed(['train', 'DARTS_V1', '--data', at('cifar'), '--out', at('run'), ...tiny])
  await succeed(train('imagenet', 'photographs', '--out', 'photographed'), place.path)
})
after(place.remove)

/** Runs it in the place and checks that no file there has come or gone. */
async function refuseAndKeep(args: readonly string[], code: number, pattern: RegExp): Promise<void> {
  const found = filesBelow(place.path)
  await refuse(args, code, [pattern], place.path)
  assert.deepEqual(filesBelow(place.path), found)
  assert.ok(!existsSync(at('new')))
}

const genotype = publishedGenotypes.DARTS_V2
const spoiled: Readonly<Record<string, readonly [object, RegExp]>> = {
  'an input below 0': [
    { ...genotype, normal: [['skip_connect', -1], ...genotype.normal.slice(1)] },
    /normal\[0\] \(node 0\): input -1 does not exist; node 0 may read 0 to 1/,
  ],
  'one input twice': [
    { ...genotype, reduce: [['skip_connect', 1], ...genotype.reduce.slice(1)] },
    /reduce\[1\] \(node 0\): reads input 1 twice; give two different inputs/,
  ],
  'the operation none': [
    { ...genotype, normal: [['none', 0], ...genotype.normal.slice(1)] },
    /unknown operation "none"; choose one of max_pool_3x3/,
  ],
  'an empty concatenation': [{ ...genotype, reduce_concat: [] }, /reduce_concat: is empty; list different/],
  'a node concatenated twice': [{ ...genotype, normal_concat: [2, 2] }, /holds 2 twice; list different/],
  'no reduction cell': [{ normal: genotype.normal, normal_concat: [2] }, /reduce: .*; give what a search/],
}

const images: readonly (readonly [string, readonly string[], RegExp])[] = [
  [
    'an image folder for CIFAR',
    train('cifar10', 'photographs'),
    /photographs is an image folder, not cifar10: train with the preset folder or imagenet/,
  ],
  ['CIFAR for an image folder', train('imagenet', 'cifar'), /cifar\/train is missing: an image folder holds/],
  [
    'a class folder without files',
    train('imagenet', 'empty class'),
    /class folder empty class\/train\/c has no images .*remove the folder .*`npx ddsas data check 'empty class'`/,
  ],
  [
    'a class folder with other files alone',
    train('imagenet', 'text'),
    /class folder text\/train\/a has no images .*: add \.jpg/,
  ],
  ['no images to test on', train('imagenet', 'no val'), /the folder no val\/val is missing/],
  [
    'images too small for the network',
    train('cifar10', 'cifar', ...set('network.kind=imagenet')),
    /images of 32 px are too small for the auxiliary head .* of 1 x 1 px\): use larger images, or no head/,
  ],
  [
    'more images than there are',
    train('imagenet', 'photographs', ...set('data.images=17')),
    /data\.images = 17, the training set has 16; ask for at most that/,
  ],
  ['a run folder below a file', train('cifar10', 'cifar', '--out', 'file/run'), /cannot write .*file\/run/],
]

const evaluations: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['nothing', ['evaluate', 'none'], /none does not exist; name the folder of a run or a file of weights/],
  ['a folder that is no run', ['evaluate', 'cifar'], /is not a run: it has no config\.json/],
  ['a search', ['evaluate', 'search'], /search is a search; train its cell first: npx ddsas train/],
  ['a file of text', ['evaluate', 'file'], /file holds no weights: it is neither/],
  ['no images at a time', ['evaluate', 'run', '--batch', '0'], /--batch.*'0'.*1 to 100000 is wanted/],
  ['threads without end', ['evaluate', 'run', '--threads', '513'], /--threads.*'513'.*1 to 512 is wanted/],
  [
    'the best of a training that chose none',
    ['evaluate', 'photographed', '--weights', 'best'],
    /has no weights of its best epoch: wait, or use the other/,
  ],
  [
    'the weights of another network',
    ['evaluate', 'run', '--genotype', 'DDSAS_cifar10'],
    /run holds other weights: '[^']+' is [^,]+, '[^']+' is [^,]+, '[^']+' is .+ and \d+ more/,
  ],
  [
    'images of another kind',
    ['evaluate', 'run', '--dataset', 'folder', '--data', 'photographs'],
    /tells 10 classes apart, the images in photographs have 2: name others/,
  ],
  [
    'a folder for CIFAR',
    ['evaluate', 'run', '--data', 'photographs'],
    /photographs is an image folder, not cifar10: .*--dataset folder/,
  ],
  [
    'as many other classes',
    ['evaluate', 'photographed', '--data', 'other classes'],
    /class 1 of last weights of .*photographed is 'b', that of the images in other classes is 'd'/,
  ],
]

describe('refused, nothing written', () => {
  for (const [name, [content, pattern]] of Object.entries(spoiled))
    test(`a genotype with ${name}`, async () => {
      writeFileSync(at('cell.json'), JSON.stringify(content))
      await refuseAndKeep(['describe', 'cell.json'], 2, pattern)
    })
  for (const [name, args, pattern] of images)
    test(`training: ${name}`, () => refuseAndKeep(args, pattern.source.startsWith('cannot') ? 1 : 2, pattern))
  for (const [name, args, pattern] of evaluations)
    test(`evaluating: ${name}`, () => refuseAndKeep(args, 2, pattern))
  test('evaluating: a folder that cannot be made', () =>
    refuseAndKeep(['evaluate', 'run', '--out', 'file/tables'], 1, /cannot write .*file\/tables/))
})

test('a run is described as its own network, or as another that was asked for', async () => {
  const first = async (...args: string[]) => (await succeed(['describe', ...args], place.path)).split('\n')[0]
  assert.equal(await first('run'), 'run: cifar network, C = 4, 3 cells, 10 classes, 32 px')
  assert.equal(await first('run', '--channels', '8'), 'run: cifar network, C = 8, 3 cells, 10 classes, 32 px')
  assert.equal(
    await first('photographed'),
    'photographed: imagenet network, C = 4, 3 cells, 2 classes, 32 px',
  )
  assert.equal(
    await first('run', '--network', 'imagenet'),
    'run: imagenet network, C = 48, 14 cells, 1000 classes, 224 px',
  )
})

test('the evaluations of the last and of the best epoch stand side by side', async () => {
  for (const which of ['last', 'best'])
    await succeed(['evaluate', 'run', '--weights', which, '--json'], place.path)
  const tables = filesBelow(at('run/evaluation')).filter((name) => name.endsWith('.csv'))
  assert.deepEqual(
    tables,
    ['best', 'last'].flatMap((which) => [`${which}/confusion.csv`, `${which}/per-class.csv`]),
  )
})
