/** `ddsas data check`, `stats` and `info` on image folders, as users run them: output, JSON, exit codes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { applyTrainSettings } from '../../../src/retrain/config.ts'
import { trainPreset } from '../../../src/retrain/presets.ts'
import { temporaryFolder, writeCifar10 } from './files.ts'
import { smallFolder, spoil, writeFolder } from './image-files.ts'

const program = join(import.meta.dirname, '../../../bin/ddsas.mjs')

function ddsas(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  return { status, stdout, stderr: stderr.trimEnd() }
}

test('check lists what is wrong and ends with 1 where something is left out, with 2 where training refuses', async (context) => {
  const directory = temporaryFolder(context)
  await smallFolder(directory, 2)
  await writeFolder(directory, 'val', ['a', 'b'], 1)
  const sound = ddsas('data', 'check', directory)
  assert.deepEqual([sound.status, sound.stderr], [0, ''])
  assert.equal(sound.stdout, `6 of 6 images in ${directory} can be decoded\n`)
  spoil(directory, 'train/b/1.jpg')
  const found = ddsas('data', 'check', directory)
  assert.equal(found.status, 1)
  assert.match(
    found.stdout,
    /^train\/b\/1\.jpg: is not a JPEG, PNG or WebP image\n5 of 6 images .* 1 cannot\n$/,
  )
  const json = ddsas('data', 'check', directory, '--json')
  assert.deepEqual([json.status, json.stderr], [1, ''])
  const { corrupt, checked, refused } = JSON.parse(json.stdout)
  assert.deepEqual(
    [corrupt, checked, refused],
    [[{ split: 'train', file: 'b/1.jpg', reason: 'is not a JPEG, PNG or WebP image' }], 6, false],
  )
  mkdirSync(join(directory, 'train/c'))
  writeFileSync(join(directory, 'train/a/notes.txt'), '')
  writeFileSync(join(directory, 'val/b/\u001b[2J.jpg'), '')
  const refusing = ddsas('data', 'check', directory)
  assert.equal(refusing.status, 2)
  assert.deepEqual(refusing.stdout.split('\n'), [
    'train/c: class folder without images',
    '"val/b/\\u001b[2J.jpg": has control characters',
    'train/c: class that val lacks',
    'train/b/1.jpg: is not a JPEG, PNG or WebP image',
    '"val/b/\\u001b[2J.jpg": is empty',
    'left out: 1 file of another kind (1 .txt)',
    `5 of 7 images in ${directory} can be decoded, 2 cannot`,
    `training refuses ${directory} as it is: mend what is listed first`,
    '',
  ])
})

test('stats of a folder and of CIFAR files, told apart by what is there', async (context) => {
  const folder = temporaryFolder(context)
  await smallFolder(folder, 2)
  spoil(folder, 'train/a/0.jpg')
  const text = ddsas('data', 'stats', folder)
  assert.equal(text.status, 0)
  assert.match(
    text.stdout,
    /: 3 images, \d+ pixels, .*\nmean (0\.\d{8} ){2}0\.\d{8}\nstd {2}(0\.\d{8} ){2}0\.\d{8}\nto use them: --set '[^']*' --set '[^']*'\n$/,
  )
  const settings = [...text.stdout.matchAll(/--set '([^']*)'/g)].map(([, setting]) => setting)
  const { data } = applyTrainSettings(trainPreset('folder'), settings)
  const printed = (name: string) =>
    new RegExp(`^${name} +(.*)$`, 'm').exec(text.stdout)?.[1].split(' ').map(Number)
  for (const name of ['mean', 'std'] as const)
    data[name]?.forEach((value, channel) => {
      assert.ok(Math.abs(value - (printed(name)?.[channel] ?? 9)) < 1e-5, name)
    })
  assert.equal(text.stderr, 'left out a/0.jpg: is not a JPEG, PNG or WebP image')
  const cifar = temporaryFolder(context)
  writeCifar10(cifar)
  const json = JSON.parse(ddsas('data', 'stats', cifar, '--json').stdout)
  assert.deepEqual([json.dataset, json.images, json.mean.length, json.std.length], ['cifar10', 10, 3, 3])
})

test('info counts the images of a folder by class', async (context) => {
  const directory = temporaryFolder(context)
  await smallFolder(directory, 3)
  await writeFolder(directory, 'val', ['a', 'b'], 1)
  const { status, stdout } = ddsas('data', 'info', directory)
  assert.equal(status, 0)
  assert.match(
    stdout,
    /folder in .*: 2 classes\nclass +train +val\na +3 +1\nb +3 +1\nall +6 +2\ntrain sha256 [0-9a-f]{64}\nval +sha256/,
  )
  const { train, val, classes } = JSON.parse(ddsas('data', 'info', directory, '--json').stdout)
  assert.deepEqual(
    [classes, train.perClass, val.perClass],
    [
      ['a', 'b'],
      [3, 3],
      [1, 1],
    ],
  )
})

test('a folder that cannot be used is one line and exit code 2', (context) => {
  const directory = temporaryFolder(context)
  for (const [args, pattern] of [
    [['check', directory], /train is missing: an image folder holds/],
    [['stats', directory, '--dataset', 'folder'], /train is missing/],
    [['stats', directory], /data_batch_1\.bin is missing/],
    [['stats', directory, '--dataset', 'mnist'], /unknown data set "mnist"/],
    [['check'], /missing required argument/],
  ] as const) {
    const { status, stdout, stderr } = ddsas('data', ...args)
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, pattern)
    assert.doesNotMatch(stderr, /\n/)
  }
})
