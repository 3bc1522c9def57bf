/** The Python file and its weights: read by a real PyTorch strictly, its logits against our engine's. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { readPytorchFile } from '../../../src/export/pytorch-file.ts'
import { exportPytorch } from '../../../src/export/pytorch-module.ts'
import { writePytorchFile } from '../../../src/export/pytorch-writer.ts'
import { disposeModule } from '../../../src/nn/index.ts'
import { noGrad, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { randomImages, smallShape, trainedNetwork } from './networks.ts'
import { runPython, withoutPython } from './python.ts'

const kinds = [
  { kind: 'cifar', side: 32 },
  { kind: 'imagenet', side: 64 },
] as const

const script = `
import importlib, json, torch
torch.set_grad_enabled(False)
results = {}
for kind in ('cifar', 'imagenet'):
    module = importlib.import_module(kind)
    results[kind] = {
        'logits': module.load()(torch.load(kind + '.images.pt', weights_only=True)['images']).flatten().tolist(),
        'prepared': module.prepare(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))[0, :, 0, 0].tolist(),
        'classes': module.CLASSES,
    }
print(json.dumps(results))
`

const resultSchema = z.record(
  z.string(),
  z.object({ logits: z.array(z.number()), prepared: z.array(z.number()), classes: z.array(z.string()) }),
)

const classNames = ['cat', 'dog', 'a "b"', "it's", 'größe', 'back\\slash', 'line\nbreak']

test('PyTorch loads the weights strictly and agrees to 1e-5', { skip: withoutPython('torch') }, (t) => {
  const folder = temporaryFolder(t)
  const wanted = kinds.map(({ kind, side }) => {
    const { network, trained } = trainedNetwork({ ...smallShape, kind }, side)
    const { module, weights } = exportPytorch({ ...trained, classNames })
    writeFileSync(join(folder, `${kind}.py`), module)
    writeFileSync(join(folder, `${kind}.pt`), weights)
    return tidy(() => {
      const images = Tensor.from(randomImages(2, side), [2, 3, side, side])
      writeFileSync(join(folder, `${kind}.images.pt`), writePytorchFile([['images', images]]))
      const logits = [...noGrad(() => network.forward(images, { training: false })).logits.floats()]
      disposeModule(network)
      return { kind, logits }
    })
  })
  const results = resultSchema.parse(JSON.parse(runPython(script, [], folder)))
  for (const { kind, logits } of wanted) {
    const scale = Math.max(1, ...logits.map(Math.abs))
    assert.equal(results[kind].logits.length, logits.length)
    results[kind].logits.forEach((value, index) => {
      assert.ok(
        Math.abs(value - logits[index]) <= 1e-5 * scale,
        `${kind} ${index}: ${value}, ours ${logits[index]}`,
      )
    })
    assert.deepEqual(results[kind].classes, classNames)
    assert.ok(Math.abs(results[kind].prepared[2] - (1 - 0.44) / 0.26) < 1e-5)
  }
})

test('the file has the genotype at its top, and nothing that is not known', () => {
  const { network, trained } = trainedNetwork()
  const { module, weights } = exportPytorch({ ...trained, normalisation: undefined })
  const lines = module.split('\n')
  assert.ok(lines.indexOf('GENOTYPE = Genotype(') < 20)
  assert.ok(lines.includes('        ("sep_conv_3x3", 0), ("max_pool_3x3", 1),  # state 2'))
  assert.doesNotMatch(module, /CLASSES = \[|MEAN|def prepare|undefined|auxiliary_head/)
  assert.match(module, /^"""A network of 5 cells for 7 classes, exported by ddsas without the auxiliary head/)
  assert.ok(lines.every((line) => line.length <= 120 && line === line.trimEnd()))
  assert.match(module, /[^\n]\n$/)
  tidy(() => {
    const { tensors } = readPytorchFile(weights, 'weights')
    assert.ok(![...tensors.keys()].some((name) => name.startsWith('auxiliary_head')))
    assert.equal(tensors.get('stem.1.num_batches_tracked')?.dtype, 'int64')
  })
  disposeModule(network)
})

test('a thousand class names stand in lines of a usual width', () => {
  const { network, trained } = trainedNetwork({ ...smallShape, classes: 1000 })
  const names = Array.from({ length: 1000 }, (_, index) => `class ${index}`)
  const { module } = exportPytorch({ ...trained, classNames: names })
  const start = module.indexOf('CLASSES = [\n')
  const list = module.slice(start + 'CLASSES = '.length, module.indexOf(']', start) + 1)
  assert.deepEqual(JSON.parse(list.replace(/,\n\]/, ']')), names)
  assert.ok(list.split('\n').every((line) => line.length <= 100))
  disposeModule(network)
})

test('weights of another network are refused', () => {
  const { network, trained } = trainedNetwork()
  const wrong = { ...trained, shape: { ...trained.shape, channels: 8 } }
  assertRefuses(
    () => exportPytorch(wrong),
    'checkpoint',
    /'stem\.0\.weight' is \[12,3,3,3\] instead of \[24,3,3,3\]/,
  )
  disposeModule(network)
})
