/** Listing an image folder: order, labels, fingerprint, and every way in which a folder can be wrong. */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { imagePath, readImageFolder } from '../../../src/data/folder.ts'
import { failsWith, temporaryFolder } from './files.ts'
import { missing, realFolder } from './image-files.ts'

/** A folder with files of a few bytes: listing does not look into them. */
function folderOf(context: TestContext, files: readonly string[]): string {
  const directory = temporaryFolder(context)
  for (const file of files) write(directory, file)
  return directory
}

function write(directory: string, file: string, text = file): void {
  mkdirSync(join(directory, file, '..'), { recursive: true })
  writeFileSync(join(directory, file), text)
}

const sound = ['train/cat/b.JPG', 'train/cat/a.jpeg', 'train/Dog/x.webp', 'val/cat/a.png', 'val/Dog/y.jpg']

test('classes and files are sorted, labels follow, other files do not count', (context) => {
  const directory = folderOf(context, [
    ...sound,
    'train/cat/notes.txt',
    'train/cat/.hidden.jpg',
    'train/.git/c.jpg',
    'train/cat/inner/d.jpg',
    'train/loose.jpg',
  ])
  const train = readImageFolder(directory, 'train')
  assert.deepEqual(train.classes, ['Dog', 'cat'])
  assert.deepEqual(train.files, ['Dog/x.webp', 'cat/a.jpeg', 'cat/b.JPG'])
  assert.deepEqual([...train.labels], [0, 1, 1])
  assert.equal(train.count, 3)
  assert.equal(imagePath(train, 2), join(directory, 'train/cat/b.JPG'))
  assert.deepEqual(readImageFolder(directory, 'val').files, ['Dog/y.jpg', 'cat/a.png'])
})

test('the fingerprint depends on names and sizes alone', (context) => {
  const directory = folderOf(context, sound)
  const fingerprint = () => readImageFolder(directory, 'train').fingerprint
  const first = fingerprint()
  assert.match(first, /^[0-9a-f]{64}$/)
  write(directory, 'train/cat/b.JPG', 'x'.repeat('train/cat/b.JPG'.length))
  assert.equal(fingerprint(), first)
  write(directory, 'train/cat/b.JPG', 'longer than it was before')
  assert.notEqual(fingerprint(), first)
  write(directory, 'train/cat/b.JPG')
  renameSync(join(directory, 'train/cat/b.JPG'), join(directory, 'train/cat/c.JPG'))
  assert.notEqual(fingerprint(), first)
})

test('links count where they stay inside', (context) => {
  const outside = folderOf(context, ['images/o.jpg'])
  const directory = folderOf(context, sound)
  const link = (to: string, from: string) => symlinkSync(to, join(directory, from))
  link('a.jpeg', 'train/cat/inside.jpg')
  link(join(outside, 'images/o.jpg'), 'train/cat/outside.jpg')
  link('nowhere.jpg', 'train/cat/broken.jpg')
  link(join(outside, 'images'), 'train/elephant')
  link('cat', 'train/lynx')
  const { classes, files } = readImageFolder(directory, 'train')
  assert.deepEqual(classes, ['Dog', 'cat', 'lynx'])
  assert.deepEqual(
    files.filter((file) => file.startsWith('cat/')),
    ['cat/a.jpeg', 'cat/b.JPG', 'cat/inside.jpg'],
  )
})

test('val alone has its own classes', (context) => {
  const directory = folderOf(context, ['val/b/1.png', 'val/a/1.png'])
  assert.deepEqual(readImageFolder(directory, 'val').classes, ['a', 'b'])
})

test('a folder that cannot be used is named with the remedy', async (context) => {
  const cases: readonly (readonly [string, (directory: string) => void, 'train' | 'val', RegExp])[] = [
    ['missing', (d) => rmSync(d, { recursive: true }), 'train', /train is missing: an image folder holds/],
    ['no split', (d) => rmSync(join(d, 'train'), { recursive: true }), 'train', /train is missing/],
    ['a file', (d) => [rmSync(d, { recursive: true }), writeFileSync(d, '')], 'train', /is missing/],
    [
      'no classes',
      (d) => rmSync(join(d, 'train'), { recursive: true }) ?? write(d, 'train/a.jpg'),
      'train',
      /no class folders/,
    ],
    ['an empty class', (d) => mkdirSync(join(d, 'train/ant')), 'train', /train.ant has no images/],
    [
      'an empty class of text',
      (d) => write(d, 'val/ant/a.txt') ?? write(d, 'train/ant/a.jpg'),
      'val',
      /val.ant has no images/,
    ],
    ['a class too many', (d) => write(d, 'val/ant/a.jpg'), 'val', /val has the class ant, train has not/],
    ['a class too few', (d) => write(d, 'train/ant/a.jpg'), 'val', /val lacks the class ant of train/],
    [
      'over 256 MiB (sparse)',
      (d) => truncateSync(join(d, 'train/cat/b.JPG'), 2 ** 28 + 1),
      'train',
      /b\.JPG has 268435457 bytes/,
    ],
    [
      'control characters',
      (d) => write(d, 'train/cat/\u001b[2J.jpg'),
      'train',
      /"\\u001b\[2J\.jpg".* control characters/,
    ],
    ['a line break in a class', (d) => write(d, 'train/a\nb/x.jpg'), 'train', /"a\\nb" .*rename it/],
  ]
  for (const [name, change, split, pattern] of cases) {
    await context.test(name, (inner) => {
      const directory = folderOf(inner, sound)
      change(directory)
      assert.throws(() => readImageFolder(directory, split), failsWith('data', pattern))
    })
  }
})

test('the real folder: ten classes, the same in both splits', { skip: missing }, () => {
  const train = readImageFolder(realFolder, 'train')
  const val = readImageFolder(realFolder, 'val')
  assert.deepEqual([train.count, val.count, train.classes.length], [240, 80, 10])
  assert.deepEqual(train.classes, val.classes)
  assert.equal(train.classes[0], 'n01440764')
})
