/** Evaluation batches of an image folder: in order, exactly the central crop, corrupt files left out. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ImageFolder, readImageFolder } from '../../../src/data/folder.ts'
import { type FolderEvaluationOptions, forEachFolderBatch } from '../../../src/data/folder-evaluation.ts'
import { decodeWhole } from '../../../src/data/image-decode.ts'
import { centreBox, imagenetEvaluation, noDraw } from '../../../src/data/image-transform.ts'
import { liveSlots } from '../../../src/torch/index.ts'
import { failsWith, temporaryFolder } from './files.ts'
import { missing, realFolder, smallFolder, spoil } from './image-files.ts'
import { augmented } from './image-formula.ts'

const transform = { ...imagenetEvaluation, size: 16, resize: 20 }

async function collect(folder: ImageFolder, options: Partial<FolderEvaluationOptions> = {}) {
  const positions = Array.from({ length: folder.count }, (_, index) => index)
  const batches: { shape: readonly number[]; floats: Float32Array; labels: number[] }[] = []
  const skipped = await forEachFolderBatch(
    folder,
    { positions, batch: 5, transform, device: 'cpu', ...options },
    ({ images, labels }) =>
      batches.push({
        shape: images.shape,
        floats: Float32Array.from(images.floats()),
        labels: [...new BigInt64Array(labels.bytes().buffer)].map(Number),
      }),
  )
  return { batches, skipped }
}

test('all images in order, resized and cut out as Resize and CenterCrop do', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const before = liveSlots()
  const { batches, skipped } = await collect(folder)
  assert.equal(liveSlots(), before)
  assert.deepEqual(skipped, [])
  assert.deepEqual(
    batches.map(({ shape }) => shape[0]),
    [5, 5, 2],
  )
  assert.deepEqual(
    batches.flatMap(({ labels }) => labels),
    [...folder.labels],
  )
  for (const [index, file] of folder.files.entries()) {
    const image = await decodeWhole(join(folder.directory, 'train', file))
    const expected = augmented({ ...image, ...noDraw, box: centreBox(image, transform) }, 16, transform)
    const found = batches[Math.floor(index / 5)].floats.subarray((index % 5) * 768)
    const worst = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - found[at])), 0)
    assert.ok(worst < 2e-5, `${file}: ${worst}`)
  }
})

test('a second pass gives the same, as do other batch sizes', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  const flat = async (batch: number) => {
    const { batches } = await collect(folder, { batch })
    return batches.flatMap(({ floats }) => [...floats])
  }
  const first = await flat(5)
  for (const batch of [5, 1, 100]) assert.deepEqual(await flat(batch), first)
})

test('corrupt files are left out and listed, a batch of nothing else does not come', async (context) => {
  const directory = temporaryFolder(context)
  const folder = await smallFolder(directory)
  for (const index of [0, 5, 6, 7, 8, 9]) spoil(directory, `train/${folder.files[index]}`)
  const told: number[] = []
  const { batches, skipped } = await collect(folder, { onSkip: (_, count) => told.push(count) })
  assert.deepEqual(
    batches.map(({ labels }) => labels),
    [
      [0, 0, 0, 0],
      [1, 1],
    ],
  )
  assert.deepEqual(told, [1, 2, 3, 4, 5, 6])
  assert.equal(skipped.length, 6)
})

test('errors of the caller and of the transform come through', async (context) => {
  const folder = await smallFolder(temporaryFolder(context))
  await assert.rejects(
    collect(folder, { transform: { ...transform, size: 32 } }),
    failsWith('input', /32 px/),
  )
  const options = { positions: [0, 1, 2], batch: 1, transform, device: 'cpu' }
  const stop = new Error('stop')
  await assert.rejects(
    forEachFolderBatch(folder, options, () => {
      throw stop
    }),
    stop,
  )
  assert.deepEqual((await collect(folder, { positions: [] })).batches, [])
})

test('the real validation images', { skip: missing }, async () => {
  const { batches, skipped } = await collect(readImageFolder(realFolder, 'val'), {
    batch: 32,
    transform: imagenetEvaluation,
  })
  assert.equal(skipped.length, 0)
  assert.deepEqual(
    batches.map(({ shape }) => shape),
    [32, 32, 16].map((count) => [count, 3, 224, 224]),
  )
})
