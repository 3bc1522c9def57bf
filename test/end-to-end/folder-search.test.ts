/** `ddsas search folder`: photographs in a folder, searched on, killed, resumed exactly; and what a resume refuses. */
import assert from 'node:assert/strict'
import { readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { image, missing, realFolder, writeFolder } from '../unit/data/image-files.ts'
import { ddsas, set, startHeld, succeed, workplace } from './command.ts'
import { assertSameRun } from './runs.ts'

const place = workplace()
const data = join(place.path, 'photographs')
const at = (name: string) => join(place.path, name)
process.env.XDG_CACHE_HOME = at('cache')

const small = (batch: number) => [
  ...set('network.channels=4', 'network.cells=3', 'data.imageSize=16', 'data.padding=2'),
  ...set(`data.batch=${batch}`, 'evaluation.batch=8', 'ddsas.window=2', 'threads=1', 'checkpoint.steps=1'),
]

/** 3 steps an epoch, of 9 and 10 images. */
function begin(out: string, ...more: readonly string[]): string[] {
  return ['search', 'folder', '--data', data, '--out', at(out), '--epochs', '2', ...small(4), ...more]
}

before(async () => {
  await writeFolder(data, 'train', ['a', 'b'], 10)
  // drawn for the weights, by this seed or another
  truncateSync(join(data, 'train/b/3.jpg'), 200)
})
after(place.remove)

const recordSchema = z.object({
  data: z.object({
    classes: z.array(z.string()),
    normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
  }),
})

test('a search on photographs: counted, normalised, drawn by class; a broken file is named once', async () => {
  const { code, stdout, stderr } = await ddsas(begin('whole'))
  assert.equal(code, 0, stderr)
  assert.match(stderr, /^ddsas: skipped .*photographs\/train\/b\/3\.jpg: [^\n]*\n$/)
  assert.match(stdout, /(?:^|\n)searching: darts by ddsas on 19 images of folder, cpu with 1 thread\n/)
  assert.match(
    stdout,
    /\n2 classes, (9|10) images for the weights, (9|10) for the architecture, 16 px, in memory\n/,
  )
  assert.match(stdout, /\nepoch 2\/2 .*\n\nGenotype\(/)
  const record = recordSchema.parse(JSON.parse(readFileSync(join(at('whole'), 'config.json'), 'utf8')))
  assert.deepEqual(record.data.classes, ['a', 'b'])
  assert.ok(record.data.normalisation.mean.every((value) => value > 0.3 && value < 0.7))
  const drawn = z
    .object({ train: z.array(z.string()), valid: z.array(z.string()) })
    .parse(JSON.parse(readFileSync(join(at('whole'), 'images.json'), 'utf8')))
  for (const half of [drawn.train, drawn.valid])
    assert.deepEqual(half.map((file) => file[0]).sort(), [...'aaaaabbbbb'])
  assert.match(await succeed(['describe', at('whole')]), /2 classes, 16 px/)
})

test('begun on a mapped file, killed, and resumed in memory, it gives the same numbers', async () => {
  const args = begin('killed', '--json', '--set', 'memory.images=file')
  const { child, ended } = await startHeld(args, /"kind":"step"/, 3)
  child.kill('SIGKILL')
  await ended
  const { code, stderr } = await ddsas(['search', '--resume', at('killed'), '--set', 'memory.images=auto'])
  assert.equal(code, 0, stderr)
  assertSameRun(at('killed'), at('whole'))
})

test('a resume refuses images that changed, also those that keep their size', async () => {
  const path = join(data, 'train/a/0.jpg')
  const before = readFileSync(path)
  const other = await image(40, 36, 99).jpeg({ quality: 20 }).toBuffer()
  const padded = Buffer.concat([other, Buffer.alloc(Math.max(0, before.length - other.length))])
  assert.equal(padded.length, before.length)
  writeFileSync(path, padded)
  const { code, stderr } = await ddsas(['search', '--resume', at('whole')])
  assert.equal(code, 2)
  assert.match(stderr, /ddsas: the images in [^\n]* are not those of the run: they changed since it began/)
  writeFileSync(path, before)
  utimesSync(path, new Date(0), new Date(0))
  const list = join(at('whole'), 'images.json')
  const drawn = readFileSync(list, 'utf8')
  writeFileSync(list, drawn.replace('a/1.jpg', 'a/11.jpg'))
  const listed = await ddsas(['search', '--resume', at('whole')])
  assert.equal(listed.code, 2)
  assert.match(listed.stderr, /images\.json lists other files than/)
})

test('parts of ImageNet’s kind, streamed: three tenths and a tenth of each class', {
  skip: missing,
}, async () => {
  const parts = ['data.load=stream', 'data.trainFraction=0.3', 'data.validFraction=0.1', 'data.crop=0.08']
  const out = at('streamed')
  const args = ['search', 'folder', '--data', realFolder, '--out', out, '--epochs', '1', ...small(35)]
  const stdout = await succeed([
    ...args,
    ...set(...parts, 'data.jitter=[0.4,0.4,0.4,0.2]', 'data.imageSize=32'),
  ])
  assert.match(stdout, /\n10 classes, 70 images for the weights, 20 for the architecture, 32 px, streamed\n/)
  assert.match(stdout, /step 2\/2/)
})
