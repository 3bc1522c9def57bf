/** What a fetch does to files that are there: it replaces what is damaged, and destroys nothing else. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { create } from 'tar'
import { fetchCifar10, fetchCifar100 } from '../../../src/data/fetch.ts'
import { planRepair } from '../../../src/data/fetch-repair.ts'
import { failsWith, records, temporaryFolder, writeCifar10 } from './files.ts'

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')

test('missing, damaged, sound and other files are told apart', async (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder, 2)
  const names = [1, 2, 3].map((batch) => `data_batch_${batch}.bin`)
  const at = (name: string) => join(folder, name)
  const sums = new Map(names.map((name) => [name, md5(readFileSync(at(name)))]))
  const plan = () => planRepair('cifar10', folder, sums)
  assert.deepEqual(await plan(), { missing: [], damaged: [] })
  rmSync(at(names[0]))
  truncateSync(at(names[1]), 100)
  assert.deepEqual(await plan(), { missing: [names[0]], damaged: [names[1]] })
  // cut to whole records: damaged beside a published file, someone's own without one
  truncateSync(at(names[1]), 3073)
  assert.deepEqual(await plan(), { missing: [names[0]], damaged: [names[1]] })
  truncateSync(at(names[2]), 3073)
  await assert.rejects(
    plan(),
    failsWith(
      'data',
      /holds other images than cifar10 \(data_batch_2\.bin, data_batch_3\.bin\): name another/,
    ),
  )
  for (const name of names) writeFileSync(at(name), '')
  assert.deepEqual(await plan(), { missing: [], damaged: names })
})

test("one's own images in CIFAR-10's layout are refused before anything is fetched", async (context) => {
  const folder = temporaryFolder(context)
  writeCifar10(folder, 2)
  const path = process.env.PATH
  process.env.PATH = ''
  context.after(() => {
    process.env.PATH = path
  })
  await assert.rejects(fetchCifar10(folder), failsWith('data', /holds other images than cifar10/))
})

const archiveFiles: Readonly<Record<string, Uint8Array | string>> = {
  'train.bin': records([
    [1, 7],
    [2, 99],
  ]),
  'test.bin': records([[0, 50]]),
  'fine_label_names.txt': Array.from({ length: 100 }, (_, index) => `fine${index}`).join('\n'),
  'coarse_label_names.txt': 'coarse\n',
}

/** A server of an archive like that of CIFAR-100. */
async function serveArchive(context: TestContext): Promise<{ url: string; md5: string }> {
  const outer = temporaryFolder(context)
  mkdirSync(join(outer, 'cifar-100-binary'))
  for (const [name, content] of Object.entries(archiveFiles))
    writeFileSync(join(outer, 'cifar-100-binary', name), content)
  const file = join(outer, 'made.tgz')
  await create({ file, cwd: outer, gzip: true }, ['cifar-100-binary'])
  const bytes = readFileSync(file)
  const server = createServer((_, response) => response.end(bytes)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  context.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.tgz`, md5: md5(bytes) }
}

test('only the damaged file is replaced, where it is, and that is told', async (context) => {
  const source = await serveArchive(context)
  const directory = temporaryFolder(context)
  const { replaced } = await fetchCifar100(directory, source)
  assert.deepEqual(replaced, [])
  const inner = join(directory, 'cifar-100-binary')
  const inode = (name: string) => statSync(join(inner, name)).ino
  const before = ['train.bin', 'fine_label_names.txt'].map(inode)
  truncateSync(join(inner, 'test.bin'), 10)
  writeFileSync(join(inner, 'notes.txt'), 'mine')
  const again = await fetchCifar100(directory, source)
  assert.deepEqual([again.fetched, again.replaced], [true, ['test.bin']])
  assert.deepEqual(readFileSync(join(inner, 'test.bin')), archiveFiles['test.bin'])
  assert.deepEqual(['train.bin', 'fine_label_names.txt'].map(inode), before)
  assert.equal(readFileSync(join(inner, 'notes.txt'), 'utf8'), 'mine')
})

test('files that lie in the folder itself are repaired there', async (context) => {
  const source = await serveArchive(context)
  const directory = temporaryFolder(context)
  writeFileSync(join(directory, 'train.bin'), archiveFiles['train.bin'])
  writeFileSync(join(directory, 'test.bin'), 'cut')
  const { folder, replaced } = await fetchCifar100(directory, source)
  assert.deepEqual([folder, replaced], [directory, ['test.bin']])
  assert.deepEqual(readFileSync(join(directory, 'test.bin')), archiveFiles['test.bin'])
})

test("one's own images in CIFAR-100's layout stay", async (context) => {
  const source = await serveArchive(context)
  const directory = temporaryFolder(context)
  const own = { 'train.bin': records([[3, 4]]), 'test.bin': records([[5, 6]]) }
  for (const [name, bytes] of Object.entries(own)) writeFileSync(join(directory, name), bytes)
  await assert.rejects(
    fetchCifar100(directory, source),
    failsWith('data', /holds other images than cifar100/),
  )
  for (const [name, bytes] of Object.entries(own))
    assert.deepEqual(readFileSync(join(directory, name)), bytes)
})
