/** Gradients of discrete networks in float64, auxiliary head included, are PyTorch's: in exact arithmetic nothing differs. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readPytorchFile } from '../../src/export/pytorch-file.ts'
import { exportPytorch } from '../../src/export/pytorch-module.ts'
import { writePytorchFile } from '../../src/export/pytorch-writer.ts'
import { layersOf, Network, namedParameters, type Program, stateDict, statesFor } from '../../src/nn/index.ts'
import { networkLoss } from '../../src/retrain/network-step.ts'
import type { NetworkKind } from '../../src/spaces/darts/stem.ts'
import { programOf } from '../../src/spaces/network-shape.ts'
import { channelsLast, Generator, grad, setRequiresGrad, Tensor, tidy } from '../../src/torch/index.ts'
import { everyOperation } from '../unit/export/networks.ts'
import { runPython, withoutPython } from '../unit/export/python.ts'
import { temporaryFolder } from '../unit/runs/temporary.ts'
import { assertNear, randomTensor } from '../unit/spaces/numerical.ts'

/** The published auxiliary head and loss, around the network that we export. */
const script = `
import torch, network
from torch import nn
kind, side = KIND, SIDE
body = network.Network().double().train()
given = torch.load('given.pt', weights_only=True)
tail = [nn.BatchNorm2d(768)] if kind == 'cifar' else []
features = 4 * 2 * 2 * 3
body.auxiliary_head = nn.ModuleDict(dict(
    features=nn.Sequential(
        nn.ReLU(), nn.AvgPool2d(5, stride=3 if kind == 'cifar' else 2, padding=0, count_include_pad=False),
        nn.Conv2d(features, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False), *tail, nn.ReLU()),
    classifier=nn.Linear(768, body.classifier.out_features))).double()
body.load_state_dict({k: v for k, v in given.items() if k not in ('x', 'y')}, strict=True)
seen = []
body.cells[2 * len(body.cells) // 3].register_forward_hook(lambda module, inputs, output: seen.append(output))
logits = body(given['x'])
auxiliary = body.auxiliary_head['classifier'](body.auxiliary_head['features'](seen[0]).flatten(1))
loss = sum(w * nn.functional.cross_entropy(x, given['y'], label_smoothing=0.1) for w, x in ((1, logits), (0.4, auxiliary)))
loss.backward()
result = {'logits': logits, 'auxiliary': auxiliary, 'loss': loss}
result |= {'grad/' + name: p.grad for name, p in body.named_parameters() if p.grad is not None}
result |= {'after/' + name: b for name, b in body.named_buffers() if 'running' in name}
torch.save({name: tensor.detach() for name, tensor in result.items()}, 'wanted.pt')
`

const sides = { cifar: 32, imagenet: 224 } as const

/** Running statistics of nodes that nothing depends on, as `after/…`: PyTorch computes them, our engine does not. */
function unreadStatistics(program: Program): Set<string> {
  const read = new Set(statesFor(program, Object.values(program.outputs)))
  const layers = program.states.filter((state) => !read.has(state)).flatMap(layersOf)
  const norms = layers.filter(({ layer }) => layer.type === 'batch_norm2d')
  return new Set(
    norms.flatMap(({ name }) => ['running_mean', 'running_var'].map((part) => `after/${name}.${part}`)),
  )
}

function assertFresh(statistics: Tensor | null | undefined, name: string): void {
  const fresh = name.endsWith('mean') ? 0 : 1
  assert.ok(
    statistics?.floats().every((value) => value === fresh),
    name,
  )
}

/** Values of one training pass under the names of the script's, from a network with all that random weights touch. */
function compare(kind: NetworkKind, folder: string): void {
  const generator = new Generator(4)
  const side = sides[kind]
  const shape = { kind, genotype: everyOperation, channels: 4, cells: 5, classes: 7, auxiliary: true }
  const program = programOf(shape)
  const network = new Network(program, { device: 'cpu', generator, dtype: 'float64' })
  const x = randomTensor([3, 3, side, side], generator)
  const y = Tensor.from(BigInt64Array.of(0n, 6n, 2n), [3])
  const { module } = exportPytorch({ shape, tensors: stateDict(network), imageSide: side })
  writeFileSync(join(folder, 'network.py'), module)
  const given = writePytorchFile([...stateDict(network), ['x', x], ['y', y]])
  writeFileSync(join(folder, 'given.pt'), given)
  runPython(script.replace('KIND', `'${kind}'`).replace('SIDE', String(side)), [], folder)
  const wanted = readPytorchFile(readFileSync(join(folder, 'wanted.pt')), 'wanted.pt').tensors
  const parameters = namedParameters(network)
  setRequiresGrad([...parameters.values()], true)
  const output = network.forward(channelsLast(x), { training: true, auxiliary: true })
  const loss = networkLoss(output, y, { smoothing: 0.1, auxiliary: 0.4 })
  const gradients = grad(loss, [...parameters.values()])
  const own = new Map<string, Tensor | null | undefined>([
    ['logits', output.logits],
    ['auxiliary', output.auxiliary],
    ['loss', loss],
    ...[...parameters.keys()].map((name, i) => [`grad/${name}`, gradients[i]] as const),
    ...[...stateDict(network)].map(([name, tensor]) => [`after/${name}`, tensor] as const),
  ])
  assert.ok(wanted.size > parameters.size + 2)
  const unread = unreadStatistics(program)
  assert.ok(unread.size > 0 && unread.size < wanted.size / 10)
  for (const [name, tensor] of wanted)
    if (unread.has(name)) assertFresh(own.get(name), name)
    else assertNear(own.get(name), tensor, 1e-9, name)
}

for (const kind of ['cifar', 'imagenet'] as const)
  test(`${kind} network: logits, loss, gradients, running statistics`, {
    skip: withoutPython('torch'),
  }, (t) => {
    const folder = temporaryFolder(t)
    tidy(() => compare(kind, folder))
  })
