/** Corrupt files in an image folder: training and evaluation leave them out, name each once, and count them. */
import assert from 'node:assert/strict'
import { cpSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { writeFolder } from '../unit/data/image-files.ts'
import { ddsas, refuse, set, start, workplace } from './command.ts'
import { assertSameRun, metricsOf } from './runs.ts'

const place = workplace()
const data = join(place.path, 'photographs')
const reference = join(place.path, 'reference')
/** Two to train on (with this seed none of them is held out), one to test. */
const corrupt = ['train/b/3.jpg', 'train/b/7.jpg', 'val/a/1.jpg'].map((file) => join(data, file))

const tiny = set(
  'network.channels=4',
  'network.cells=3',
  'data.imageSize=32',
  'data.resize=36',
  'data.batch=6',
  'data.validation=0.2',
  'data.augmentation.crop=1',
  'evaluation.batch=4',
  'loss.auxiliary=0',
  'threads=1',
  'checkpoint.steps=1',
)

/** 3 steps an epoch, 6 in all: 16 images to train on, 4 to choose the epoch by, 8 to test. */
function begin(out: string, ...more: readonly string[]): string[] {
  return ['train', 'DARTS_V1', 'imagenet', '--data', data, '--out', out, ...tiny, '--epochs', '2', ...more]
}

before(async () => {
  await writeFolder(data, 'train', ['a', 'b'], 10)
  await writeFolder(data, 'val', ['a', 'b'], 4)
  for (const path of corrupt) truncateSync(path, readFileSync(path).length - 60)
})
after(place.remove)

/** The lines of standard error, as paths with their reasons. */
function warnings(stderr: string): string[] {
  return stderr.trimEnd().split('\n').sort()
}

test('a training names each corrupt file once, and counts what it left out', async () => {
  const { code, stdout, stderr } = await ddsas(begin(reference))
  assert.equal(code, 0, stderr)
  const lines = warnings(stderr)
  assert.equal(lines.length, corrupt.length, stderr)
  corrupt.forEach((path, index) => {
    assert.match(
      lines[index] ?? '',
      new RegExp(`^ddsas: skipped ${path}: (VipsJpeg: premature end of JPEG image|is damaged or cut short)$`),
    )
  })
  assert.match(stdout, /^epoch 1\/2 .* skipped 2 /m)
  assert.match(stdout, /^last epoch: 2, .*\(7 images, 1 skipped\)/m)
  const counts = metricsOf(reference).flatMap(({ kind, skipped }) => (kind === 'epoch' ? [skipped] : []))
  assert.deepEqual(counts, [2, 2])
  const report = z.looseObject({
    last: z.looseObject({ test: z.looseObject({ images: z.number(), skipped: z.number() }) }),
  })
  const { images, skipped } = report.parse(metricsOf(reference).at(-1)).last.test
  assert.deepEqual([images, skipped], [7, 1])
})

test('as JSON lines; killed within an epoch and resumed, the counts are the same', async () => {
  const path = join(place.path, 'killed')
  const { child, ended, line } = start(begin(path, '--json'))
  const told = z.strictObject({
    kind: z.literal('skip'),
    path: z.string(),
    reason: z.string(),
    count: z.number(),
  })
  const first = told.parse(JSON.parse(await line(/"kind":"skip"/)))
  assert.ok(corrupt.includes(first.path) && first.count === 1)
  await line(/"kind":"step"/, 1)
  child.kill('SIGKILL')
  await ended
  const { code, stderr } = await ddsas(['train', '--resume', path, '--json'])
  assert.deepEqual([code, stderr], [0, ''])
  assertSameRun(path, reference)
})

test('ddsas evaluate names and counts them', async () => {
  const { code, stdout, stderr } = await ddsas(['evaluate', reference, '--json'])
  assert.equal(code, 0, stderr)
  const { path, kind, count } = z
    .looseObject({ path: z.string(), kind: z.string(), count: z.number() })
    .parse(JSON.parse(stderr))
  assert.deepEqual([kind, path, count], ['skip', corrupt[2], 1])
  const { images, skipped } = z
    .looseObject({ images: z.number(), skipped: z.number() })
    .parse(JSON.parse(stdout))
  assert.deepEqual([images, skipped], [7, 1])
  const text = await ddsas(['evaluate', reference])
  assert.match(text.stdout, /: 7 images, 1 skipped$/m)
  assert.match(text.stderr, new RegExp(`^ddsas: skipped ${corrupt[2]}: [^\n]*\n$`))
})

test('where nothing can be decoded that is an error', async () => {
  const spoiled = join(place.path, 'spoiled')
  cpSync(data, spoiled, { recursive: true })
  for (const name of ['a', 'b'])
    for (const index of [0, 1, 2, 3]) truncateSync(join(spoiled, 'val', name, `${index}.jpg`), 50)
  const { code, stderr } = await ddsas(['evaluate', reference, '--data', spoiled])
  assert.equal(code, 2)
  assert.match(
    stderr,
    /\nddsas: none of the 8 images to evaluate on can be decoded: name a folder with images\n$/,
  )
  await refuse(['evaluate', reference, '--data', join(place.path, 'none')], 2, [/none.* is missing/])
})
