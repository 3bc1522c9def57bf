/** What is wrong with a folder: all of it found in one go, in order, none wrongly; and tasks under way. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { checkImageFolder } from '../../../src/data/folder-check.ts'
import { forEachInFlight, limiter } from '../../../src/data/folder-tasks.ts'
import { failsWith, temporaryFolder } from './files.ts'
import { missing, realFolder, spoil, writeFolder } from './image-files.ts'

const sound = {
  corrupt: [],
  problems: [],
  refused: false,
  hasVal: true,
  otherFiles: {},
  looseImages: 0,
  innerFolders: 0,
}

test('corrupt files of both splits are listed with their reasons', async (context) => {
  const directory = temporaryFolder(context)
  await writeFolder(directory, 'train', ['a', 'b'], 5)
  await writeFolder(directory, 'val', ['a', 'b'], 2)
  assert.deepEqual(await checkImageFolder(directory), { directory, checked: 14, ...sound })
  spoil(directory, 'val/b/1.jpg')
  spoil(directory, 'train/b/0.jpg')
  const cut = join(directory, 'train/a/3.jpg')
  truncateSync(cut, statSync(cut).size - 60)
  truncateSync(join(directory, 'train/a/2.jpg'), 0)
  const progress: string[] = []
  const { checked, corrupt, problems, refused } = await checkImageFolder(directory, {
    onProgress: (done, total) => progress.push(`${done}/${total}`),
  })
  assert.deepEqual([checked, problems, refused], [14, [], false])
  assert.deepEqual(
    corrupt.map(({ split, file }) => `${split}/${file}`),
    ['train/a/2.jpg', 'train/a/3.jpg', 'train/b/0.jpg', 'val/b/1.jpg'],
  )
  assert.equal(corrupt[0].reason, 'is empty')
  assert.equal(progress.at(-1), '14/14')
})

test('whatever else is wrong is listed in the same go, and what is left out is counted', async (context) => {
  const directory = temporaryFolder(context)
  await writeFolder(directory, 'train', ['a', 'b', 'only here'], 2)
  await writeFolder(directory, 'val', ['a', 'b', 'only there'], 1)
  const at = (path: string) => join(directory, path)
  for (const path of ['train/empty', 'val/empty', 'train/a/inner']) mkdirSync(at(path))
  for (const path of ['train/README', 'train/a/x.txt', 'val/b/Y.TXT', 'val/b/z.gif', 'val/b/.hidden.gif'])
    writeFileSync(at(path), '')
  copyFileSync(at('train/a/0.jpg'), at('train/loose.jpg'))
  copyFileSync(at('train/a/0.jpg'), at('val/b/\u001b[2J.jpg'))
  truncateSync(at('val/a/0.jpg'), 2 ** 28 + 1)
  symlinkSync('nowhere', at('train/b/dead.jpg'))
  symlinkSync('..', at('train/up'))
  symlinkSync('1.jpg', at('train/b/linked.jpg'))
  spoil(directory, 'train/b/0.jpg')
  const { problems, corrupt, ...rest } = await checkImageFolder(directory)
  assert.deepEqual(
    problems.map(({ kind, path }) => `${kind}: ${path}`),
    [
      'circular link: train/up',
      'dead link: train/b/dead.jpg',
      'empty class: train/empty',
      'too large: val/a/0.jpg',
      'unprintable name: val/b/\u001b[2J.jpg',
      'empty class: val/empty',
      'class of one side: train/only here',
      'class of one side: val/only there',
    ],
  )
  assert.deepEqual(
    corrupt.map(({ file }) => file),
    ['b/0.jpg'],
  )
  assert.deepEqual(rest, {
    directory,
    // 3 x 2 and a link in train; 3 x 1 but for one too large, and one of a strange name in val
    checked: 7 + 3,
    refused: true,
    hasVal: true,
    otherFiles: { 'without extension': 1, '.txt': 2, '.gif': 1 },
    looseImages: 1,
    innerFolders: 1,
  })
})

test('links that cannot be followed are left out by a training, and refuse nothing', async (context) => {
  const directory = temporaryFolder(context)
  await writeFolder(directory, 'train', ['a'], 1)
  symlinkSync('nowhere', join(directory, 'train/gone'))
  const { refused, problems } = await checkImageFolder(directory)
  assert.deepEqual([refused, problems.map(({ kind }) => kind)], [false, ['dead link']])
})

test('train alone is enough, a folder that is none is an error', async (context) => {
  const directory = temporaryFolder(context)
  await assert.rejects(checkImageFolder(directory), failsWith('data', /train is missing/))
  await writeFolder(directory, 'train', ['a'], 1)
  assert.deepEqual(await checkImageFolder(directory), { directory, checked: 1, ...sound, hasVal: false })
})

test('the real folder is sound', { skip: missing }, async () => {
  const { checked, corrupt } = await checkImageFolder(realFolder)
  assert.deepEqual([checked, corrupt], [320, []])
})

test('no more tasks than the limit are under way, and the first failure ends it', async () => {
  let [running, most] = [0, 0]
  const done: number[] = []
  const task = async (index: number) => {
    most = Math.max(most, ++running)
    for (let turns = 0; turns < index % 3; turns++) await turn()
    running--
    done.push(index)
  }
  await forEachInFlight(20, 3, task)
  assert.deepEqual([most, done.length], [3, 20])
  await forEachInFlight(0, 3, task)
  let started = 0
  const failing = forEachInFlight(100, 2, async (index) => {
    started++
    await turn()
    if (index === 4) throw new Error('stop')
  })
  await assert.rejects(failing, /stop/)
  assert.ok(started < 10, `${started}`)
})

test('a limiter lets waiting tasks in as others end or fail, in order', async () => {
  const limited = limiter(2)
  let [running, most] = [0, 0]
  const order: number[] = []
  const results = await Promise.allSettled(
    Array.from({ length: 9 }, (_, index) =>
      limited(async () => {
        order.push(index)
        most = Math.max(most, ++running)
        await turn()
        running--
        if (index % 4 === 1) throw new Error(`${index}`)
        return index
      }),
    ),
  )
  assert.equal(most, 2)
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8])
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')),
    [0, 'failed', 2, 3, 4, 'failed', 6, 7, 8],
  )
})
