/** A search on an image folder: exact resume however its images are loaded, many classes, and what is refused. */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { RunFolder } from '../../../src/runs/folder.ts'
import { applySettings, type SearchConfig } from '../../../src/search/config.ts'
import { recordDrawn } from '../../../src/search/drawn.ts'
import { evaluateOnImages } from '../../../src/search/evaluate.ts'
import { checkImageSettings, findImages, type SearchImages } from '../../../src/search/images.ts'
import { searchPreset } from '../../../src/search/presets.ts'
import { planSearch } from '../../../src/search/run.ts'
import { searchStep } from '../../../src/search/search.ts'
import {
  createSession,
  disposeSession,
  restoreSession,
  type Session,
  sessionFiles,
} from '../../../src/search/session.ts'
import { liveSlots, setThreads } from '../../../src/torch/index.ts'
import { spoil, writeFolder } from '../data/image-files.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'

setThreads(1)

const small = (...settings: readonly string[]): SearchConfig =>
  applySettings(searchPreset('folder'), [
    ...['network.channels=4', 'network.cells=3', 'data.imageSize=16', 'data.padding=2', 'data.batch=4'],
    ...['evaluation.batch=3', 'ddsas.window=3', 'memory.images=memory'],
    ...settings,
  ])

async function photographs(context: TestContext, perClass = 9): Promise<string> {
  const directory = temporaryFolder(context)
  await writeFolder(directory, 'train', ['a', 'b', 'c'], perClass)
  return directory
}

async function openSession(directory: string, config: SearchConfig) {
  const images = await findImages(config, directory, 'cpu').open()
  return createSession(config, images, 'cpu')
}

const filesOf = (session: Session) =>
  new Map(
    Object.entries(sessionFiles(session, { metricsBytes: 0, windowsBytes: 0 })).map(([name, data]) => [
      name,
      Buffer.from(data),
    ]),
  )

const lr = 0.02

async function evaluated(session: Session) {
  const weights = (group: string) => session.strategy.archWeights(group, 'eval')
  const each = (use: Parameters<SearchImages['evaluate']>[0]) => session.images.evaluate(use)
  return evaluateOnImages(session.supernet, weights, each, { device: 'cpu' })
}

for (const [name, settings] of [
  ['kept in memory', []],
  ['mapped', ['memory.images=file']],
  ['streamed', ['data.load=stream', 'data.crop=0.3', 'data.jitter=[0.4,0.4,0.4,0.1]']],
] as const)
  test(`a search on a folder goes on exactly, images ${name}`, async (context) => {
    process.env.XDG_CACHE_HOME = temporaryFolder(context)
    const directory = await photographs(context)
    spoil(join(directory, 'train'), 'b/4.jpg')
    const before = liveSlots()
    const config = small(...settings)
    const whole = await openSession(directory, config)
    for (let step = 0; step < 5; step++) assert.ok(Number.isFinite((await searchStep(whole, lr)).train.loss))
    const saved = filesOf(whole)
    const resumed = await openSession(directory, config)
    restoreSession(resumed, saved)
    assert.deepEqual(filesOf(resumed), saved)
    for (let step = 0; step < 4; step++) for (const session of [whole, resumed]) await searchStep(session, lr)
    assert.deepEqual(filesOf(resumed), filesOf(whole))
    assert.deepEqual(await evaluated(resumed), await evaluated(whole))
    for (const session of [whole, resumed]) disposeSession(session)
    assert.equal(liveSlots(), before)
  })

test('mapped and in memory give the same numbers', async (context) => {
  process.env.XDG_CACHE_HOME = temporaryFolder(context)
  const directory = await photographs(context)
  const found = []
  for (const place of ['memory', 'file']) {
    const session = await openSession(directory, small(`memory.images=${place}`))
    for (let step = 0; step < 3; step++) await searchStep(session, lr)
    const { weights, strategy } = Object.fromEntries(
      [...filesOf(session)].map(([name, data]) => [name.split('.')[0], data]),
    )
    found.push({ weights, strategy, score: await evaluated(session) })
    disposeSession(session)
  }
  assert.deepEqual(found[0], found[1])
})

test('the measured mean and deviation normalise the images, unless they are set', async (context) => {
  const directory = await photographs(context)
  const normalisationOf = async (...settings: readonly string[]) => {
    const images = await findImages(small(...settings), directory, 'cpu').open()
    images.dispose()
    return images.normalisation
  }
  const measured = await normalisationOf()
  assert.ok(measured.mean.every((value) => Math.abs(value - 0.5) < 0.1))
  const set = ['data.mean=[0.1,0.2,0.3]', 'data.std=[0.4,0.5,0.6]']
  assert.deepEqual(await normalisationOf(...set), { mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] })
  assert.deepEqual((await normalisationOf('data.load=stream')).mean, [0.485, 0.456, 0.406])
  const config = small('evaluation.batch=99')
  const images = await findImages(config, directory, 'cpu').open()
  await images.evaluate(({ images: batch }) => {
    const values = [...batch.floats()]
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    assert.ok(Math.abs(mean) < 0.2, `${mean}`)
  })
  images.dispose()
})

test('more than 256 classes', async (context) => {
  const directory = temporaryFolder(context)
  const [dark, bright] = await Promise.all(
    ['#202020', '#e0e0e0'].map((background) =>
      sharp({ create: { width: 8, height: 8, channels: 3, background } })
        .png()
        .toBuffer(),
    ),
  )
  const classes = Array.from({ length: 300 }, (_, label) => `c${String(label).padStart(3, '0')}`)
  for (const [label, name] of classes.entries()) {
    mkdirSync(join(directory, 'train', name), { recursive: true })
    for (const file of ['0.png', '1.png'])
      writeFileSync(join(directory, 'train', name, file), label < 256 ? (dark ?? '') : (bright ?? ''))
  }
  const config = small('data.imageSize=8', 'evaluation.batch=50')
  const images = await findImages(config, directory, 'cpu').open()
  assert.equal(images.classes.length, 300)
  const seen: number[] = []
  await images.evaluate(({ images: batch, labels }) => {
    const own = new BigInt64Array(labels.bytes().buffer)
    const first = batch.floats().filter((_, at) => at % (3 * 8 * 8) === 0)
    for (const [row, label] of own.entries()) {
      seen.push(Number(label))
      assert.equal((first[row] ?? 0) > 0, label >= 256n, 'each label is that of its image')
    }
  })
  images.dispose()
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    classes.map((_, label) => label),
  )
})

test('images that changed have another fingerprint', async (context) => {
  const directory = await photographs(context)
  const fingerprintOf = async (...settings: readonly string[]) => {
    const images = await findImages(small(...settings), directory, 'cpu').open()
    images.dispose()
    return images.fingerprint
  }
  const streamed = await fingerprintOf('data.load=stream')
  const first = await fingerprintOf()
  assert.equal(await fingerprintOf('seed=7'), first, 'whatever is drawn')
  const path = join(directory, 'train/a/0.jpg')
  const other = await sharp({ create: { width: 40, height: 40, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer()
  writeFileSync(path, other)
  assert.notEqual(await fingerprintOf(), first)
  assert.notEqual(await fingerprintOf('data.load=stream'), streamed)
})

test('what was drawn is written once, and compared after', async (context) => {
  const run = RunFolder.create(join(temporaryFolder(context), 'run'), {})
  const drawn = { train: ['a/0.jpg', 'b/0.jpg'], valid: ['a/1.jpg'] }
  recordDrawn(run, drawn)
  recordDrawn(run, drawn)
  assertRefuses(() => recordDrawn(run, { ...drawn, valid: ['a/2.jpg'] }), 'input', /lists other files than/)
  writeFileSync(join(run.path, 'images.json'), '{"train": 5}')
  assertRefuses(() => recordDrawn(run, drawn), 'input', /images\.json lists other files than/)
})

test('a folder that cannot be searched on is refused', async (context) => {
  const directory = await photographs(context, 2)
  const find =
    (...settings: readonly string[]) =>
    () =>
      findImages(small(...settings), directory, 'cpu')
  assertRefuses(find('data.batch=7'), 'input', /^data\.batch = 7, there are 6 images/)
  assertRefuses(find('data.images=7'), 'input', /^data\.images = 7, the training set has 6/)
  assertRefuses(
    find('data.trainFraction=0.1', 'data.validFraction=0.1'),
    'input',
    /^data\.trainFraction = 0\.1 of the 2 images of the class a is none/,
  )
  spoil(join(directory, 'train'), 'b/0.jpg')
  await assert.rejects(find()().open(), {
    kind: 'data',
    message: /train\/b has no image that can be decoded for one of the halves/,
  })
  rmSync(join(directory, 'train/b/0.jpg'))
  assertRefuses(find(), 'input', /^the class b has 1 image, which cannot be in both halves/)
  rmSync(join(directory, 'train/b'), { recursive: true })
  rmSync(join(directory, 'train/c'), { recursive: true })
  assertRefuses(find(), 'data', /has one class, a: a search needs two$/)
  assertRefuses(
    () => findImages(searchPreset('cifar10'), directory, 'cpu'),
    'data',
    /is an image folder, not cifar10: search it with the preset folder/,
  )
})

test('settings that do not go together are refused, and sizes that the supernet cannot take', () => {
  const refused: readonly (readonly [preset: string, settings: readonly string[], problem: RegExp])[] = [
    ['cifar10', ['data.imageSize=64'], /^data\.imageSize = 64, images of cifar10 have 32 px/],
    ['cifar10', ['data.load=stream'], /are for image folders, not for cifar10/],
    ['cifar100', ['data.trainFraction=0.5', 'data.validFraction=0.5'], /for image folders, not for cifar100/],
    ['folder', ['data.trainFraction=0.5'], /go together/],
    ['folder', ['data.validFraction=0.5'], /go together/],
    ['folder', ['data.trainFraction=0.5', 'data.validFraction=0.6'], /is more than all images/],
    ['folder', ['data.trainFraction=0.5', 'data.validFraction=0.5', 'data.images=4'], /leave one out/],
  ]
  for (const [preset, settings, problem] of refused) {
    const config = applySettings(searchPreset(preset), settings)
    assertRefuses(() => checkImageSettings(config), 'input', problem)
    assertRefuses(() => planSearch({ preset, settings, device: 'cpu' }), 'input', problem)
  }
  assertRefuses(
    () => planSearch({ preset: 'folder', settings: ['data.imageSize=50'], device: 'cpu' }),
    'input',
    /^images of 50 px cannot be halved as often as the network halves them: use 52 px$/,
  )
  for (const name of ['cifar10', 'folder']) checkImageSettings(searchPreset(name))
})
