/** Listing an image folder: order, labels, fingerprint, and every way in which a folder can be wrong. */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { imagePath, looksLikeImages, readImageFolder } from '../../../src/data/folder.ts'
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

test('links are followed wherever they lead, unless in a circle or nowhere', (context) => {
  const outside = folderOf(context, ['images/o.jpg'])
  const directory = folderOf(context, sound)
  const link = (to: string, from: string) => symlinkSync(to, join(directory, from))
  link('a.jpeg', 'train/cat/inside.jpg')
  link(join(outside, 'images/o.jpg'), 'train/cat/outside.jpg')
  link('nowhere.jpg', 'train/cat/broken.jpg')
  link(join(outside, 'images'), 'train/elephant')
  link('cat', 'train/lynx')
  for (const [to, from] of [
    ['..', 'train/up'],
    ['.', 'train/self'],
    [directory, 'train/cat/root'],
    ['ring', 'train/ring'],
    ['nowhere', 'train/gone'],
  ])
    link(to, from)
  for (const split of ['elephant', 'lynx']) write(directory, `val/${split}/v.jpg`)
  const train = readImageFolder(directory, 'train')
  assert.deepEqual(train.classes, ['Dog', 'cat', 'elephant', 'lynx'])
  const cat = ['a.jpeg', 'b.JPG', 'inside.jpg', 'outside.jpg']
  assert.deepEqual(train.files, [
    'Dog/x.webp',
    ...cat.map((name) => `cat/${name}`),
    'elephant/o.jpg',
    ...cat.map((name) => `lynx/${name}`),
  ])
  // up, self, ring and gone in train; root and broken in cat, seen again as lynx
  assert.equal(train.badLinks, 4 + 2 * 2)
  assert.equal(readImageFolder(directory, 'val').badLinks, 0)
})

test('a split may be a link, too', (context) => {
  const outside = folderOf(context, ['cat/a.jpg'])
  const directory = temporaryFolder(context)
  symlinkSync(outside, join(directory, 'train'))
  assert.deepEqual(readImageFolder(directory, 'train').files, ['cat/a.jpg'])
})

test('a folder of photographs is known as such, however it is laid out', (context) => {
  for (const [files, wanted] of [
    [['train/cat/a.jpg'], true],
    [['cat/a.JPEG'], true],
    [['a.webp', 'notes.txt'], true],
    [['cifar-10-batches-bin/data_batch_1.bin', 'notes.txt'], false],
  ] as const)
    assert.equal(looksLikeImages(folderOf(context, files)), wanted, files.join())
  assert.equal(looksLikeImages(join(temporaryFolder(context), 'none')), false)
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
