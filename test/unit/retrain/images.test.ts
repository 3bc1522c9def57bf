/** How a training reads images at any size, and what it warns of when settings make no sense on them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resizeOf } from '../../../src/data/folder-transform.ts'
import { centreBox } from '../../../src/data/image-transform.ts'
import { newRecord, resumedConfig } from '../../../src/loop/record.ts'
import { applyTrainSettings, trainConfigSchema } from '../../../src/retrain/config.ts'
import { evaluationTransform, normalisationOf } from '../../../src/retrain/images.ts'
import { trainPreset, trainPresets } from '../../../src/retrain/presets.ts'
import { trainKind } from '../../../src/retrain/run.ts'
import { trainWarnings } from '../../../src/retrain/warnings.ts'
import { assertRefuses } from '../runs/temporary.ts'

const imagenet = trainPreset('imagenet')

test('at any size the same part of an image is evaluated as at 224 px', () => {
  const images = [
    { width: 500, height: 375 },
    { width: 480, height: 640 },
    { width: 256, height: 256 },
  ]
  for (const image of images) {
    const usual = centreBox(image, evaluationTransform(imagenet))
    for (const side of [32, 64, 96, 128, 160, 288, 384]) {
      const config = applyTrainSettings(imagenet, [`data.imageSize=${side}`])
      const box = centreBox(image, evaluationTransform(config))
      // both lengths are whole pixels of the resized image
      const near = 1.5 / side
      for (const [own, wanted, whole] of [
        [box.width, usual.width, image.width],
        [box.height, usual.height, image.height],
        [box.left, usual.left, image.width],
        [box.top, usual.top, image.height],
      ])
        assert.ok(Math.abs(own - wanted) / whole < near, `${side} px of ${image.width}: ${own}, ${wanted}`)
    }
  }
  // what was evaluated once: the middle sixteenth
  const small = applyTrainSettings(imagenet, ['data.imageSize=64', 'data.resize=256'])
  assert.equal(centreBox({ width: 256, height: 256 }, evaluationTransform(small)).width, 64)
})

test('resize is what was set, else follows the size of the images', () => {
  assert.equal(resizeOf({ imageSize: 224, resize: 0 }), 256)
  assert.equal(resizeOf({ imageSize: 64, resize: 0 }), 73)
  assert.equal(resizeOf({ imageSize: 64, resize: 256 }), 256)
  assert.equal(resizeOf({ imageSize: 300, resize: 256 }), 300)
})

test('a run that began with the sizes written out is resumed by the name of its preset', () => {
  for (const [preset, resize] of [
    ['imagenet', 256],
    ['cifar10', 32],
  ] as const) {
    const own = applyTrainSettings(trainPreset(preset), [`data.resize=${resize}`])
    const record = newRecord(trainKind, preset, own, 'cpu', { directory: 'data', fingerprint: '' })
    const asked = { preset, settings: ['threads=1'] }
    assert.deepEqual(resumedConfig(trainKind, record, asked), { ...own, threads: 1 })
  }
  const small = applyTrainSettings(imagenet, ['data.imageSize=64', 'data.resize=256'])
  const record = newRecord(trainKind, 'imagenet', small, 'cpu', { directory: 'data', fingerprint: '' })
  assert.deepEqual(resumedConfig(trainKind, record, { settings: [] }), small)
  assertRefuses(
    () => resumedConfig(trainKind, record, { settings: ['data.resize=0'] }),
    'input',
    /data\.resize is 256 in the run, not 73/,
  )
})

test('images are normalised as the data set is, or as is set, also in evaluation', () => {
  assert.deepEqual(normalisationOf(imagenet), { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] })
  assert.equal(normalisationOf(trainPreset('cifar100')).mean[0], 0.5071)
  assert.equal(
    normalisationOf(applyTrainSettings(trainPreset('cifar10'), ['dataset=cifar100'])).mean[0],
    0.5071,
  )
  const own = applyTrainSettings(imagenet, ['data.mean=[0.1,0.2,0.3]', 'data.std=[0.4,0.5,0.6]'])
  const { mean, std } = evaluationTransform(own)
  assert.deepEqual(
    [mean, std],
    [
      [0.1, 0.2, 0.3],
      [0.4, 0.5, 0.6],
    ],
  )
  assert.deepEqual(
    normalisationOf(applyTrainSettings(imagenet, ['data.mean=[0.1,0.2,0.3]'])).std,
    [0.229, 0.224, 0.225],
  )
})

test('every preset is what JSON keeps of it', () => {
  for (const config of Object.values(trainPresets))
    assert.deepEqual(trainConfigSchema.parse(JSON.parse(JSON.stringify(config))), config)
})

/** A folder of as many images to train on and held out, of ten classes. */
function folderOf(train: number, validation: number, heldOutClasses = 10) {
  const classes = Array.from({ length: 10 }, (_, label) => `class ${label}`)
  return { counts: { train, validation, test: 80 }, classes, heldOutClasses, warnings: [] }
}

test('settings that make no sense on the images at hand are warned of', () => {
  const quiet = { ...imagenet, threads: 1 }
  assert.deepEqual(trainWarnings(quiet, folderOf(1_255_000, 25_000)), [])
  const warned = trainWarnings({ ...quiet, epochs: 5 }, folderOf(235, 5, 4))
  assert.equal(warned.length, 3)
  assert.match(warned[0], /data\.batch = 1024 is more than the 235 images to train on, .*preset folder/)
  assert.match(warned[1], /weightOptimizer\.warmUp = 5 epochs, of which there are 5: it never gets to 0\.5/)
  assert.match(warned[2], /the 5 images held out are of 4 of 10 classes, .*raise data\.validation/)
  // as many as classes are not yet one of each
  assert.equal(trainWarnings(quiet, folderOf(2000, 10, 9)).length, 1)
  // none held out is what a user asked for
  assert.deepEqual(trainWarnings(quiet, folderOf(2000, 0, 0)), [])
  assert.deepEqual(trainWarnings(quiet, { ...folderOf(2000, 40), warnings: ['links'] }), ['links'])
})

test('the preset for small folders fits two hundred images', () => {
  const { data, weightOptimizer, epochs } = trainPreset('folder')
  const held = Math.round(240 * data.validation)
  assert.deepEqual(
    trainWarnings({ data, weightOptimizer, epochs, threads: 1 }, folderOf(240 - held, held)),
    [],
  )
  assert.ok((240 - held) / data.batch >= 5)
})
