/** Fetching CIFAR-100 from a server on this machine that is sound, wrong or hostile. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { create } from 'tar'
import { readCifar } from '../../../src/data/cifar.ts'
import { download } from '../../../src/data/download.ts'
import { type FetchStage, fetchCifar100 } from '../../../src/data/fetch.ts'
import { failsWith, records, temporaryFolder } from './files.ts'

const good: Readonly<Record<string, Uint8Array | string>> = {
  'cifar-100-binary/train.bin': records([
    [1, 7],
    [2, 99],
  ]),
  'cifar-100-binary/test.bin': records([[0, 50]]),
  'cifar-100-binary/fine_label_names.txt': `${Array.from({ length: 100 }, (_, index) => `fine${index}`).join('\n')}\n`,
  'cifar-100-binary/coarse_label_names.txt': 'coarse\n',
}

interface Archive {
  readonly bytes: Buffer
  readonly md5: string
}

/** A gzipped tar of these files; `prepare` may add more to the folder that is packed. */
async function archive(
  context: TestContext,
  files: Readonly<Record<string, Uint8Array | string>>,
  more: { names?: readonly string[]; prepare?: (folder: string) => void } = {},
): Promise<Archive> {
  const outer = temporaryFolder(context)
  const folder = join(outer, 'in')
  mkdirSync(join(folder, 'cifar-100-binary'), { recursive: true })
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content)
  more.prepare?.(folder)
  const file = join(outer, 'made.tgz')
  await create({ file, cwd: folder, gzip: true, preservePaths: true }, [
    ...(more.names ?? []),
    ...Object.keys(files),
  ])
  const bytes = readFileSync(file)
  return { bytes, md5: createHash('md5').update(bytes).digest('hex') }
}

async function serve(context: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/cifar.tar.gz`
}

/** Serves an archive and expects fetching it to fail and to leave the folder empty. */
async function refused(context: TestContext, { bytes, md5 }: Archive, ...patterns: RegExp[]): Promise<void> {
  const folder = temporaryFolder(context)
  const url = await serve(context, (_, response) => response.end(bytes))
  await assert.rejects(fetchCifar100(folder, { url, md5 }), failsWith('data', ...patterns))
  assert.deepEqual(readdirSync(folder), [])
}

test('a sound archive is fetched once, read back, and fetched again when a file changes', async (context) => {
  const folder = temporaryFolder(context)
  const { bytes, md5 } = await archive(context, good)
  let requests = 0
  const url = await serve(context, (_, response) => {
    requests++
    response.setHeader('content-length', bytes.length).end(bytes)
  })
  const stages = new Set<FetchStage>()
  let last = 0
  const onProgress = ({ stage, done, total }: { stage: FetchStage; done: number; total: number }) => {
    stages.add(stage)
    if (stage === 'download') last = done === total ? done : last
  }
  const result = await fetchCifar100(folder, { url, md5: md5.toUpperCase(), onProgress })
  assert.deepEqual([...stages], ['check', 'download', 'extract', 'verify', 'ready'])
  assert.equal(last, bytes.length)
  assert.equal(result.fetched, true)
  assert.deepEqual(readdirSync(folder), ['cifar-100-binary'])
  const dataset = readCifar(folder, 'cifar100', 'train')
  assert.deepEqual([...dataset.labels], [7, 99])
  assert.equal(dataset.classes[99], 'fine99')
  assert.equal((await fetchCifar100(folder, { url, md5 })).fetched, false)
  assert.equal(requests, 1)
  writeFileSync(join(result.folder, 'test.bin'), '')
  assert.equal((await fetchCifar100(folder, { url, md5 })).fetched, true)
  assert.deepEqual(readFileSync(join(result.folder, 'test.bin')), good['cifar-100-binary/test.bin'])
})

test('a checksum that differs shows both values', async (context) => {
  const { bytes, md5 } = await archive(context, good)
  await refused(context, { bytes, md5: 'a'.repeat(32) }, new RegExp(md5), /a{32}/)
  const folder = temporaryFolder(context)
  await assert.rejects(fetchCifar100(folder, { md5: 'short' }), failsWith('input', /"short"/))
})

test('members outside the folder and links are not written', async (context) => {
  const names = ['../evil.txt', '../train.bin', 'cifar-100-binary/link']
  const prepare = (inner: string) => {
    writeFileSync(join(inner, '..', 'evil.txt'), 'evil')
    writeFileSync(join(inner, '..', 'train.bin'), 'evil')
    symlinkSync('/etc', join(inner, 'cifar-100-binary', 'link'))
  }
  const { bytes, md5 } = await archive(context, good, { names, prepare })
  const outer = temporaryFolder(context)
  const folder = join(outer, 'data')
  const url = await serve(context, (_, response) => response.end(bytes))
  const result = await fetchCifar100(folder, { url, md5 })
  assert.deepEqual(readdirSync(outer), ['data'])
  assert.deepEqual(readdirSync(folder), ['cifar-100-binary'])
  assert.equal(existsSync(join(result.folder, 'link')), false)
  assert.equal(readCifar(folder, 'cifar100', 'train').count, 2)
})

test('a wanted member that is a link is refused', async (context) => {
  const { 'cifar-100-binary/test.bin': _, ...others } = good
  const prepare = (inner: string) => symlinkSync('train.bin', join(inner, 'cifar-100-binary', 'test.bin'))
  const made = await archive(context, others, { names: ['cifar-100-binary/test.bin'], prepare })
  await refused(context, made, /has no file cifar-100-binary\/test\.bin/)
})

test('a member over its bound is refused', async (context) => {
  const names = { ...good, 'cifar-100-binary/fine_label_names.txt': 'x'.repeat(70_000) }
  await refused(context, await archive(context, names), /fine_label_names\.txt has 70000 bytes.*65536/)
})

test('a missing member, an unsound archive and bad records are refused', async (context) => {
  const { 'cifar-100-binary/test.bin': _, ...others } = good
  await refused(context, await archive(context, others), /has no file cifar-100-binary\/test\.bin/)
  const { bytes } = await archive(context, good)
  for (const broken of [
    Buffer.from('not an archive'),
    bytes.subarray(0, bytes.length / 2),
    Buffer.alloc(0),
  ]) {
    await refused(context, { bytes: broken, md5: createHash('md5').update(broken).digest('hex') }, /archive/)
  }
  const short = { ...good, 'cifar-100-binary/train.bin': 'short' }
  await refused(context, await archive(context, short), /train\.bin has 5 bytes/)
  const wrong = { ...good, 'cifar-100-binary/test.bin': records([[0, 100]]) }
  await refused(context, await archive(context, wrong), /test\.bin: record 0 has label 100/)
})

const answers: readonly (readonly [string, RequestListener, RegExp])[] = [
  ['404', (_, response) => response.writeHead(404).end('no'), /HTTP status 404/],
  [
    'a redirect for ever',
    (_, response) => response.writeHead(302, { location: '/again' }).end(),
    /more than 5 times/,
  ],
  ['a redirect to nowhere', (_, response) => response.writeHead(302).end(), /HTTP status 302/],
  ['silence', () => {}, /sent nothing for 0\.2 s/],
  ['silence after the first bytes', (_, response) => response.write('some'), /sent nothing for 0\.2 s/],
  [
    'a cut connection',
    (_, response) => response.write('some', () => response.destroy()),
    /could not be fetched/,
  ],
]
for (const [name, listener, pattern] of answers) {
  test(`a server that answers with ${name} is a network error`, async (context) => {
    const folder = temporaryFolder(context)
    const url = await serve(context, listener)
    await assert.rejects(
      fetchCifar100(folder, { url, stallMs: 200 }),
      failsWith('network', pattern, /run it again/),
    )
    assert.deepEqual(readdirSync(folder), [])
  })
}

test('a redirect on the same machine is followed', async (context) => {
  const folder = temporaryFolder(context)
  const { bytes, md5 } = await archive(context, good)
  const url = await serve(context, ({ url }, response) =>
    url === '/there' ? response.end(bytes) : response.writeHead(302, { location: '/there' }).end(),
  )
  assert.equal((await fetchCifar100(folder, { url, md5 })).fetched, true)
})

test('addresses that are not https, or hide a user name, are refused', async (context) => {
  const folder = temporaryFolder(context)
  const urls = [
    'http://example.com/a',
    'file:///etc/passwd',
    'ftp://localhost/a',
    'https://u:p@localhost/a',
    'none',
  ]
  for (const url of urls) await assert.rejects(fetchCifar100(folder, { url }), failsWith('input', /https/))
  const away = await serve(context, (_, response) =>
    response.writeHead(302, { location: 'http://example.com/' }).end(),
  )
  await assert.rejects(
    fetchCifar100(folder, { url: away }),
    failsWith('input', /http:\/\/example\.com is not allowed/),
  )
  assert.deepEqual(readdirSync(folder), [])
})

test('a file longer than its bound is cut off, announced or not', async (context) => {
  const folder = temporaryFolder(context)
  const options = { maxBytes: 10, stallMs: 2000 }
  for (const announced of [true, false]) {
    const url = await serve(context, (_, response) => {
      if (announced) response.setHeader('content-length', 11)
      response.write('five5')
      response.end('and six')
    })
    const long = failsWith('network', /more than 10 bytes/)
    await assert.rejects(download(url, join(folder, String(announced)), options), long)
  }
})

test('stopping a download removes what was written aside', async (context) => {
  const folder = temporaryFolder(context)
  const url = await serve(context, (_, response) => response.write('some'))
  const signal = AbortSignal.timeout(200)
  await assert.rejects(fetchCifar100(folder, { url, signal }), failsWith('interrupted'))
  assert.deepEqual(readdirSync(folder), [])
})
