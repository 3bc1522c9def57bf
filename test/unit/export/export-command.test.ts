/** `ddsas export`: what it writes for runs and files of weights, and what it refuses. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { exportCommand } from '../../../src/cli/export.ts'
import { DdsasError, type ErrorKind } from '../../../src/errors.ts'
import { readPytorchFile } from '../../../src/export/pytorch-file.ts'
import { writePytorchFile } from '../../../src/export/pytorch-writer.ts'
import { readWeightFile } from '../../../src/export/weights.ts'
import { disposeModule } from '../../../src/nn/index.ts'
import type { TrainConfig } from '../../../src/retrain/config.ts'
import { trainPresets } from '../../../src/retrain/presets.ts'
import { RunFolder } from '../../../src/runs/folder.ts'
import { encodeSafetensors, liveSlots, tidy } from '../../../src/torch/index.ts'
import { temporaryFolder } from '../runs/temporary.ts'
import { everyOperation, smallShape, trainedNetwork } from './networks.ts'

async function runExport(...args: readonly string[]): Promise<string> {
  let printed = ''
  const command = exportCommand((text) => {
    printed += text
  })
  command.exitOverride().configureOutput({ writeErr: () => {} })
  const before = liveSlots()
  try {
    await command.parseAsync(args, { from: 'user' })
  } finally {
    assert.equal(liveSlots(), before, 'tensors are left over')
  }
  return printed
}

const refused = (args: readonly string[], kind: ErrorKind, pattern: RegExp) =>
  assert.rejects(
    runExport(...args),
    (error) => error instanceof DdsasError && error.kind === kind && pattern.test(error.message),
  )

/** A folder with the genotype of a network as `cell.json` and its weights as `weights.pt`, as PyTorch would save them. */
function saved(t: TestContext): { folder: string; weights: string; cell: string; content: Uint8Array } {
  const folder = temporaryFolder(t)
  const [weights, cell] = [join(folder, 'weights.pt'), join(folder, 'cell.json')]
  const { network, trained } = trainedNetwork({ ...smallShape, classes: 10 })
  writeFileSync(weights, writePytorchFile(trained.tensors))
  writeFileSync(cell, JSON.stringify(everyOperation))
  const content = encodeSafetensors(trained.tensors)
  disposeModule(network)
  return { folder, weights, cell, content }
}

test('a PyTorch file becomes safetensors that need no further word, and these become anything', async (t) => {
  const { folder, weights, cell } = saved(t)
  const own = join(folder, 'own.safetensors')
  const printed = await runExport(
    weights,
    '--to',
    'safetensors',
    '--genotype',
    cell,
    '--dataset',
    'cifar10',
    '--out',
    own,
  )
  assert.equal(printed, `written: ${own}\nwith the auxiliary head\n`)
  tidy(() => {
    const { genotype, imageSide, normalisation, classNames, tensors } = readWeightFile(own)
    assert.deepEqual([genotype, imageSide], [everyOperation, 32])
    assert.deepEqual(Object.keys(normalisation ?? {}), ['mean', 'std'])
    assert.equal(classNames?.[0], 'airplane')
    assert.ok(tensors.has('auxiliary_head.classifier.weight'))
  })
  const model = join(folder, 'deep', 'er', 'network.onnx')
  await runExport(own, '--to', 'onnx', '--input', 'bytes', '--out', model)
  assert.match(readFileSync(model, 'utf8'), /\["airplane","automobile",/)
  const module = join(folder, 'network.py')
  const json = await runExport(own, '--to', 'pytorch', '--out', module, '--json')
  assert.deepEqual(JSON.parse(json), { files: [join(folder, 'network.pt'), module], auxiliary: false })
  assert.match(readFileSync(module, 'utf8'), /^CLASSES = \[\n {4}"airplane",/m)
  tidy(() => {
    const names = [...readPytorchFile(readFileSync(join(folder, 'network.pt')), 'x').tensors.keys()]
    assert.ok(names.includes('classifier.weight'))
  })
})

/** config.json of a training of the small network, and of a search. */
function recordOf(kind: 'train' | 'search', change: Partial<TrainConfig> = {}, classes?: readonly string[]) {
  const { channels, cells } = smallShape
  const network = { kind: smallShape.kind, channels, cells }
  const config = { ...trainPresets.cifar10, network, ...change }
  const environment = { ddsas: '0', libtorch: '0', cpuCapability: '-', device: 'cpu', node: '0' }
  const data = { directory: 'data', fingerprint: '0', ...(classes ? { classes } : {}) }
  return { format: 2, kind, preset: 'cifar10', config, data, environment }
}

test('a run: the weights of its last checkpoint, its genotype and data set, into its export folder', async (t) => {
  const { folder, content } = saved(t)
  const run = RunFolder.create(join(folder, 'run'), recordOf('train'))
  await refused([run.path, '--to', 'onnx'], 'input', /genotype\.json: /)
  run.writeGenotype(everyOperation)
  await refused([run.path, '--to', 'onnx'], 'input', /no weights of its last epoch: wait/)
  run.saveCheckpoint(1, { 'weights.safetensors': content })
  await refused([run.path, '--to', 'onnx', '--weights', 'best'], 'input', /no weights of its best epoch/)
  for (const format of ['onnx', 'pytorch', 'safetensors']) await runExport(run.path, '--to', format)
  const names = ['network.onnx', 'network.pt', 'network.py', 'network.safetensors']
  assert.deepEqual(readdirSync(join(run.path, 'export')).sort(), names)
  assert.match(readFileSync(join(run.path, 'export', 'network.py'), 'utf8'), /MEAN, STD = \(0\.49139968/)
})

test('a run on an image folder: its own side, classes, mean and standard deviation', async (t) => {
  const { folder, content } = saved(t)
  const { data } = trainPresets.imagenet
  const change = { dataset: 'folder', data: { ...data, imageSize: 48 } } as const
  const classes = Array.from({ length: 10 }, (_, label) => `class ${label}`)
  const run = RunFolder.create(join(folder, 'run'), recordOf('train', change, classes))
  run.writeGenotype(everyOperation)
  run.saveCheckpoint(1, { 'weights.safetensors': content, 'best.safetensors': content })
  for (const which of ['last', 'best']) {
    const out = join(folder, `${which}.safetensors`)
    await runExport(run.path, '--to', 'safetensors', '--weights', which, '--out', out)
    tidy(() => {
      const { imageSide, classNames, normalisation } = readWeightFile(out)
      assert.deepEqual([imageSide, classNames], [48, classes])
      assert.deepEqual(normalisation?.mean, [0.485, 0.456, 0.406])
    })
  }
})

test('another run can tell the genotype; a search has no network to export', async (t) => {
  const { folder, weights } = saved(t)
  const search = RunFolder.create(join(folder, 'search'), recordOf('search'))
  const out = join(folder, 'network.onnx')
  await refused([weights, '--to', 'onnx', '--genotype', search.path], 'input', /no genotype\.json yet/)
  search.writeGenotype(everyOperation)
  assert.match(await runExport(weights, '--to', 'onnx', '--genotype', search.path, '--out', out), /^written/)
  await refused([search.path, '--to', 'onnx'], 'input', /is a search; train its cell first: npx ddsas train/)
})

test('what cannot be exported is refused, and nothing is written', async (t) => {
  const { folder, weights, cell } = saved(t)
  const out = join(folder, 'network.onnx')
  const to = (...args: string[]) => [weights, '--to', 'onnx', '--out', out, ...args]
  await refused(to(), 'input', /weights\.pt does not tell its genotype/)
  await refused(to('--genotype', 'DDSAS_cifar11'), 'input', /'DDSAS_cifar11' is no genotype/)
  await refused(
    to('--genotype', 'DDSAS_cifar10'),
    'checkpoint',
    /weights\.pt holds other weights: 'cells\.0\._ops.* and \d+ more/,
  )
  await refused(to('--genotype', cell, '--dataset', 'cifar100'), 'input', /100 class names for 10 classes/)
  await refused(to('--genotype', cell, '--image-side', '30'), 'input', /images of 30 px .*: use 32 px$/)
  await refused(to('--genotype', cell, '--image-side', '0'), 'input', /--image-side 0: give a whole number/)
  await refused(to('--genotype', cell, '--input', 'bytes'), 'input', /mean and std/)
  await refused([join(folder, 'none'), '--to', 'onnx'], 'input', /none does not exist/)
  await refused([cell, '--to', 'onnx'], 'data', /neither a safetensors nor a PyTorch file/)
  const pytorch = [weights, '--genotype', cell, '--to', 'pytorch', '--out']
  await refused([...pytorch, join(folder, 'network')], 'input', /give a name that ends in \.py/)
  await refused(
    [...pytorch, join(folder, 'weights.py')],
    'input',
    /weights\.pt is what is exported; choose another --out/,
  )
  await assert.rejects(runExport(weights, '--to', 'keras'), /Allowed choices are onnx, pytorch, safetensors/)
  assert.deepEqual(readdirSync(folder).sort(), ['cell.json', 'weights.pt'])
  mkdirSync(out)
  await refused(to('--genotype', cell), 'disk', /cannot write .*network\.onnx/)
  assert.deepEqual(readdirSync(folder).sort(), ['cell.json', 'network.onnx', 'weights.pt'])
})
