/** `ddsas data check`, `stats` and `info` on image folders, as users run them: output, JSON, exit codes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder, writeCifar10 } from './files.ts'
import { smallFolder, spoil, writeFolder } from './image-files.ts'

const program = join(import.meta.dirname, '../../../src/cli/main.ts')

function ddsas(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', program, ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr: stderr.trimEnd() }
}

test('check lists corrupt files and ends with 1 where there are some', async (context) => {
  const directory = temporaryFolder(context)
  await smallFolder(directory, 2)
  const sound = ddsas('data', 'check', directory)
  assert.deepEqual([sound.status, sound.stderr], [0, ''])
  assert.equal(sound.stdout, `4 of 4 images in ${directory} can be decoded\n`)
  spoil(directory, 'train/b/1.jpg')
  const found = ddsas('data', 'check', directory)
  assert.equal(found.status, 1)
  assert.match(
    found.stdout,
    /^train\/b\/1\.jpg: is not a JPEG, PNG or WebP image\n3 of 4 images .* 1 cannot\n$/,
  )
  const json = ddsas('data', 'check', directory, '--json')
  assert.deepEqual([json.status, json.stderr], [1, ''])
  assert.deepEqual(JSON.parse(json.stdout), {
    directory,
    checked: 4,
    corrupt: [{ split: 'train', file: 'b/1.jpg', reason: 'is not a JPEG, PNG or WebP image' }],
  })
})

test('stats of a folder and of CIFAR files, told apart by what is there', async (context) => {
  const folder = temporaryFolder(context)
  await smallFolder(folder, 2)
  spoil(folder, 'train/a/0.jpg')
  const text = ddsas('data', 'stats', folder)
  assert.equal(text.status, 0)
  assert.match(
    text.stdout,
    /: 3 images, \d+ pixels, .*\nmean (0\.\d{8} ){2}0\.\d{8}\nstd {2}(0\.\d{8} ){2}0\.\d{8}\n$/,
  )
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
