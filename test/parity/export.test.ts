/** Exports of the golden networks: in ONNX Runtime and in PyTorch they give the published code's logits. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { imagePath, readImageFolder } from '../../src/data/folder.ts'
import { imagenetEvaluation } from '../../src/data/image-transform.ts'
import { exportOnnx } from '../../src/export/onnx.ts'
import { exportPytorch } from '../../src/export/pytorch-module.ts'
import { writePytorchFile } from '../../src/export/pytorch-writer.ts'
import type { TrainedNetwork } from '../../src/export/trained.ts'
import { shapeOfWeights } from '../../src/export/weights.ts'
import { loadTensors, Network, stateDict } from '../../src/nn/index.ts'
import { publishedGenotype } from '../../src/spaces/darts/published-genotypes.ts'
import { programOf } from '../../src/spaces/network-shape.ts'
import { decodeSafetensors, Generator, noGrad, Tensor, tidy } from '../../src/torch/index.ts'
import { skipWithoutShared } from '../needs.ts'
import { runOnnx } from '../unit/export/onnx-runtime.ts'
import { runPython, withoutPython } from '../unit/export/python.ts'
import { temporaryFolder } from '../unit/runs/temporary.ts'
import { absent, assertClose, below, fixtures, shared, tensorOf } from './fixtures.ts'

/** The golden logits in evaluation mode were taken after one forward pass in training mode, as are ours here. */
function golden(kind: string): { trained: TrainedNetwork; images: Tensor; logits: Tensor } {
  const file = `network.${kind}.safetensors`
  const { tensors: all, metadata } = decodeSafetensors(readFileSync(join(fixtures, file)), file)
  const tensors = below(all, 'init/')
  const shape = shapeOfWeights(tensors, publishedGenotype(metadata.genotype), file)
  const told = [metadata.C, metadata.layers, metadata.classes]
  assert.deepEqual([shape.channels, shape.cells, shape.classes].map(String), told)
  const images = tensorOf(all, 'x')
  const network = new Network(programOf(shape), { device: 'cpu', generator: new Generator(0) })
  loadTensors(stateDict(network), tensors, file)
  noGrad(() => network.forward(images, { training: true }))
  const trained = { shape, tensors: stateDict(network), imageSide: images.shape[2] }
  return { trained, images, logits: tensorOf(all, 'eval.logits') }
}

for (const kind of ['cifar', 'imagenet']) {
  test(`ONNX model of the ${kind} network`, { skip: absent }, async () => {
    const { trained, images, logits } = golden(kind)
    const feed = { type: 'float32', data: Float32Array.from(images.floats()), shape: images.shape } as const
    const [found] = await runOnnx(exportOnnx(trained), feed)
    assertClose(found, logits, 'logits of ONNX Runtime')
  })

  test(`PyTorch module of the ${kind} network`, { skip: absent || withoutPython('torch') }, (t) => {
    const folder = temporaryFolder(t)
    tidy(() => {
      const { trained, images, logits } = golden(kind)
      const { module, weights } = exportPytorch(trained)
      writeFileSync(join(folder, 'network.py'), module)
      writeFileSync(join(folder, 'network.pt'), weights)
      writeFileSync(join(folder, 'images.pt'), writePytorchFile([['x', images]]))
      const script = `
import torch, network
print(network.load()(torch.load('images.pt', weights_only=True)['x']).tolist())`
      const values: number[][] = JSON.parse(runPython(script, [], folder))
      const found = Tensor.from(Float32Array.from(values.flat()), [values.length, values[0].length])
      assertClose(found, logits, 'logits of PyTorch')
    })
  })
}

const photographs = join(shared, 'data/imagefolder')
const noPhotographs = skipWithoutShared(photographs)

test('photographs as bytes: ONNX Runtime normalises and classifies them as our engine does', {
  skip: absent || noPhotographs,
}, async () => {
  const { mean, std } = imagenetEvaluation
  const { trained } = golden('cifar')
  const folder = readImageFolder(photographs, 'val')
  const pixels = await Promise.all(
    [0, Math.floor(folder.count / 2), folder.count - 1].map((position) =>
      planesOf(imagePath(folder, position)),
    ),
  )
  const data = Uint8Array.from(pixels.flatMap((planes) => [...planes]))
  const shape = [pixels.length, 3, side, side]
  const model = exportOnnx({ ...trained, normalisation: { mean, std } }, 'bytes')
  const [logits] = await runOnnx(model, { type: 'uint8', data, shape })
  const channel = (index: number) => Math.floor(index / side ** 2) % 3
  const images = Float32Array.from(data, (value, i) => (value / 255 - mean[channel(i)]) / std[channel(i)])
  const network = new Network(programOf(trained.shape), { device: 'cpu', generator: new Generator(0) })
  loadTensors(stateDict(network), trained.tensors, 'golden')
  const ours = noGrad(() => network.forward(Tensor.from(images, shape), { training: false }))
  assertClose(logits, ours.logits, 'logits of ONNX Runtime')
})

const side = 32

/** The photograph as small planes of red, green and blue. */
async function planesOf(path: string): Promise<Uint8Array> {
  const image = sharp(path).resize(side, side, { fit: 'cover' }).toColourspace('srgb').removeAlpha()
  const data = await image.raw().toBuffer()
  return Uint8Array.from(data, (_, index) => data[(index % side ** 2) * 3 + Math.floor(index / side ** 2)])
}
