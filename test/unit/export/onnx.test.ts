/** ONNX models: their logits in ONNX Runtime against our engine's, what they take, and what is refused. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { exportOnnx, onnxInputs } from '../../../src/export/onnx.ts'
import { disposeModule } from '../../../src/nn/index.ts'
import type { Network } from '../../../src/spaces/network.ts'
import { liveSlots, noGrad, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { everyOperation, randomImages, smallShape, trainedNetwork } from './networks.ts'
import { runOnnx, withoutOnnxRuntime } from './onnx-runtime.ts'
import { runPython, withoutPython } from './python.ts'

function logitsOf(network: Network, images: Tensor): number[] {
  return noGrad(() => tidy(() => [...network.forward(images, { training: false }).logits.floats()]))
}

function assertNear(got: readonly number[], wanted: readonly number[], tolerance = 1e-4): void {
  assert.equal(got.length, wanted.length)
  const scale = Math.max(1, ...wanted.map(Math.abs))
  got.forEach((value, index) => {
    assert.ok(
      Math.abs(value - wanted[index]) <= tolerance * scale,
      `logit ${index}: ${value}, ours ${wanted[index]}`,
    )
  })
}

for (const [kind, imageSide] of [
  ['cifar', 32],
  ['cifar', 16],
  ['imagenet', 64],
] as const)
  test(`${kind} network with every operation, ${imageSide} px, several batch sizes`, {
    skip: withoutOnnxRuntime,
  }, async () => {
    const { network, trained } = trainedNetwork({ ...smallShape, kind }, imageSide)
    const model = exportOnnx(trained)
    for (const count of [1, 3]) {
      const data = randomImages(count, imageSide)
      const shape = [count, 3, imageSide, imageSide]
      const logits = await runOnnx(model, { type: 'float32', data, shape })
      assert.deepEqual(logits.shape, [count, smallShape.classes])
      assertNear([...logits.floats()], logitsOf(network, Tensor.from(data, shape)))
    }
    disposeModule(network)
  })

test('images from 0 to 1, or in bytes, are normalised inside', { skip: withoutOnnxRuntime }, async () => {
  const { network, trained } = trainedNetwork()
  const { mean, std } = trained.normalisation ?? assert.fail()
  const pixels = Uint8Array.from({ length: 2 * 3 * 32 * 32 }, (_, index) => (index * 7919) % 256)
  const channel = (index: number) => Math.floor(index / (32 * 32)) % 3
  const images = Float32Array.from(pixels, (value, i) => (value / 255 - mean[channel(i)]) / std[channel(i)])
  const shape = [2, 3, 32, 32]
  const wanted = logitsOf(network, Tensor.from(images, shape))
  const bytes = await runOnnx(exportOnnx(trained, 'bytes'), { type: 'uint8', data: pixels, shape })
  assertNear([...bytes.floats()], wanted)
  const unit = { type: 'float32', data: Float32Array.from(pixels, (value) => value / 255), shape } as const
  assertNear([...(await runOnnx(exportOnnx(trained, 'unit'), unit)).floats()], wanted)
  disposeModule(network)
})

const checker = `
import onnx
model = onnx.load('network.onnx')
onnx.checker.check_model(model, full_check=True)
print(model.opset_import[0].version, [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim])`

test('the ONNX checker and its shape inference pass', { skip: withoutPython('onnx') }, (t) => {
  const folder = temporaryFolder(t)
  const { network, trained } = trainedNetwork({ ...smallShape, kind: 'imagenet' }, 32)
  for (const input of onnxInputs) {
    writeFileSync(join(folder, 'network.onnx'), exportOnnx(trained, input))
    assert.equal(runPython(checker, [], folder).trim(), "17 ['batch', 7]")
  }
  disposeModule(network)
})

test('the model says what it is: genotype, classes, mean and std; the auxiliary head is not in it', () => {
  const { network, trained } = trainedNetwork()
  const before = liveSlots()
  const classNames = ['a', 'b', 'c', 'd', 'e', 'f', 'größe']
  const text = Buffer.from(exportOnnx({ ...trained, classNames }, 'unit')).toString('utf8')
  assert.equal(liveSlots(), before)
  for (const part of [
    JSON.stringify(everyOperation),
    JSON.stringify(classNames),
    '[0.49,0.48,0.44]',
    'cifar network of 5 cells, C = 4, 7 classes; unit RGB images of 32 px',
    'cells.4._ops.6.op.7',
  ])
    assert.ok(text.includes(part), part)
  assert.ok(!text.includes('auxiliary'))
  assert.deepEqual(exportOnnx(trained), exportOnnx(trained))
  disposeModule(network)
})

test('weights of another network, sizes and names that do not fit', () => {
  const { network, trained } = trainedNetwork()
  const shape = (change: object) => ({ ...trained, shape: { ...trained.shape, ...change } })
  assertRefuses(
    () => exportOnnx(shape({ classes: 10 })),
    'checkpoint',
    /'classifier\.weight' is \[7,\d+\] instead of \[10,/,
  )
  assertRefuses(() => exportOnnx(shape({ cells: 4 })), 'checkpoint', /, .*, .* and \d+ more/)
  assertRefuses(() => exportOnnx({ ...trained, imageSide: 30 }), 'input', /multiple of 4 px/)
  assertRefuses(() => exportOnnx({ ...trained, imageSide: 0 }), 'input', /images of 0 px/)
  assertRefuses(() => exportOnnx({ ...trained, classNames: ['a'] }), 'input', /1 class names for 7 classes/)
  assertRefuses(() => exportOnnx({ ...trained, normalisation: undefined }, 'bytes'), 'input', /mean and std/)
  const zero = { mean: [0, 0, 0], std: [1, 0, 1] }
  assertRefuses(() => exportOnnx({ ...trained, normalisation: zero }), 'input', /std 1,0,1; give three/)
  const none = { ...everyOperation, normal: [['none', 0], ...everyOperation.normal.slice(1)] }
  assertRefuses(() => exportOnnx(shape({ genotype: none })), 'input', /'none'/)
  disposeModule(network)
})
