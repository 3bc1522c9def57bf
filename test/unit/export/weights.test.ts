/** Weight files: told apart by their bytes, described by their metadata, and the shapes of networks told from weights. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { writePytorchFile } from '../../../src/export/pytorch-writer.ts'
import { exportSafetensors, readWeightFile, shapeOfWeights } from '../../../src/export/weights.ts'
import { disposeModule } from '../../../src/nn/index.ts'
import { encodeSafetensors, type Tensor, Tensor as TensorClass, tidy } from '../../../src/torch/index.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { everyOperation, normalisation, smallShape, trainedNetwork } from './networks.ts'

const contents = (tensors: ReadonlyMap<string, Tensor>) =>
  new Map([...tensors].map(([name, tensor]) => [name, tensor.bytes()]))

test('safetensors of ours: all weights and the description of the network', (t) => {
  const path = join(temporaryFolder(t), 'network.safetensors')
  const { network, trained } = trainedNetwork()
  const classNames = ['a', 'b', 'c', 'd', 'e', 'f', 'größe']
  writeFileSync(path, exportSafetensors({ ...trained, classNames }))
  tidy(() => {
    const { tensors, ...notes } = readWeightFile(path)
    assert.deepEqual(notes, {
      genotype: everyOperation,
      imageSide: 32,
      normalisation,
      classNames,
      auxiliary: true,
      space: 'darts',
    })
    assert.deepEqual(contents(tensors), contents(trained.tensors))
    assert.deepEqual(shapeOfWeights(tensors, everyOperation, path), smallShape)
  })
  disposeModule(network)
})

test('PyTorch files and safetensors of others: weights alone, without the counters of batch norms', (t) => {
  const folder = temporaryFolder(t)
  const { network, trained } = trainedNetwork({ ...smallShape, kind: 'imagenet', auxiliary: false }, 64)
  const wanted = contents(trained.tensors)
  const counter = TensorClass.from(BigInt64Array.of(3n), [])
  writeFileSync(join(folder, 'a'), writePytorchFile(trained.tensors))
  writeFileSync(
    join(folder, 'b'),
    encodeSafetensors([...trained.tensors, ['stem0.1.num_batches_tracked', counter]]),
  )
  for (const name of ['a', 'b'])
    tidy(() => {
      const { tensors, ...notes } = readWeightFile(join(folder, name))
      assert.deepEqual(notes, {})
      assert.deepEqual(contents(tensors), wanted)
      const shape = { ...smallShape, kind: 'imagenet', auxiliary: false }
      assert.deepEqual(shapeOfWeights(tensors, everyOperation, name), shape)
    })
  counter.dispose()
  disposeModule(network)
})

test('files that hold no weights', (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, 'file')
  assertRefuses(() => readWeightFile(path), 'input', /file cannot be read \(ENOENT\)/)
  assertRefuses(() => readWeightFile(folder), 'input', /not a file of less than 2 GiB/)
  writeFileSync(path, '')
  assertRefuses(() => readWeightFile(path), 'data', /neither a safetensors nor a PyTorch file/)
  writeFileSync(path, 'PK\x03\x04 and no more')
  assertRefuses(() => readWeightFile(path), 'data', /as PyTorch weights/)
  writeFileSync(path, encodeSafetensors([], { 'ddsas.network': '{"imageSide": "large"}' }))
  assertRefuses(() => readWeightFile(path), 'data', /damaged description/)
})

test('weights that are of no network of cells', () => {
  tidy(() => {
    const ones = (...shape: number[]) =>
      TensorClass.from(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
    const tell = (entries: [string, Tensor][]) => () => shapeOfWeights(new Map(entries), everyOperation, 'f')
    assertRefuses(tell([]), 'input', /^f holds no weights of .* its first are none/)
    assertRefuses(tell([['conv1.weight', ones(1)]]), 'input', /its first are conv1\.weight/)
    const stem: [string, Tensor] = ['stem.0.weight', ones(12, 3, 3, 3)]
    assertRefuses(tell([stem, ['classifier.weight', ones(7, 4)]]), 'input', /no weights of/)
    const cell: [string, Tensor] = ['cells.0.preprocess0.op.1.weight', ones(1)]
    assertRefuses(tell([['stem.0.weight', ones(13, 3, 3, 3)], cell]), 'input', /no weights of/)
    const far: [string, Tensor] = ['cells.9999.preprocess0.op.1.weight', ones(1)]
    const classifier: [string, Tensor] = ['classifier.weight', ones(7, 4)]
    assert.equal(tell([stem, cell, far, classifier])().cells, 1)
  })
})
