/** The Python file and its weights: read by a real PyTorch strictly, its logits against our engine's. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { readPytorchFile } from '../../../src/export/pytorch-file.ts'
import {
  exportPytorch,
  type PytorchExport,
  type PytorchNotes,
  pytorchFiles,
} from '../../../src/export/pytorch-module.ts'
import { writePytorchFile } from '../../../src/export/pytorch-writer.ts'
import { disposeModule, type Layer, Network, type Program, stateDict } from '../../../src/nn/index.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import type { Genotype } from '../../../src/spaces/darts/genotype.ts'
import { parseGenotypeLine } from '../../../src/spaces/darts/genotype-file.ts'
import { publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'
import type { NetworkShape } from '../../../src/spaces/network-shape.ts'
import { Generator, noGrad, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { everyOperation, randomImages, randomStatistics, smallShape, trainedNetwork } from './networks.ts'
import { layerAt, oddPrograms } from './odd-programs.ts'
import { residualProgram, sixEdgeProgram } from './programs.ts'
import { runPython, withoutPython } from './python.ts'

const notes: PytorchNotes = { title: 'A network', imageSide: 16 }

/** A network, the file that is written of it, and what it makes of images of a side. */
interface Case {
  readonly name: string
  readonly network: Network
  readonly side: number
  readonly files: PytorchExport
}

const script = `
import importlib, json, pathlib, sys, torch, warnings
torch.set_grad_enabled(False)
results = {}
for name in sys.argv[1:]:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        compile(pathlib.Path(name + '.py').read_text(), name, 'exec')
    module = importlib.import_module(name)
    logits = module.load()(torch.load(name + '.images.pt', weights_only=True)['images'])
    classes = [value.__name__ for value in vars(module).values() if isinstance(value, type)]
    results[name] = {'logits': logits.flatten().tolist(), 'classes': classes}
print(json.dumps(results))
`

const resultSchema = z.record(
  z.string(),
  z.object({ logits: z.array(z.number()), classes: z.array(z.string()) }),
)

/** Runs the files in PyTorch, their weights loaded strictly; returns the classes that each defines. */
function assertAgree(t: TestContext, cases: readonly Case[]): Map<string, string[]> {
  const folder = temporaryFolder(t)
  const wanted = cases.map(({ name, network, side, files }) =>
    tidy(() => {
      assert.ok(
        files.module.split('\n').every((line) => line.length <= 100 && line === line.trimEnd()),
        name,
      )
      writeFileSync(join(folder, `${name}.py`), files.module)
      writeFileSync(join(folder, `${name}.pt`), files.weights)
      const images = Tensor.from(randomImages(2, side), [2, 3, side, side])
      writeFileSync(join(folder, `${name}.images.pt`), writePytorchFile([['images', images]]))
      return [...noGrad(() => network.forward(images, { training: false })).logits.floats()]
    }),
  )
  const printed = runPython(
    script,
    cases.map(({ name }) => name),
    folder,
  )
  const results = resultSchema.parse(JSON.parse(printed))
  for (const [index, { name, network }] of cases.entries()) {
    const scale = Math.max(1, ...wanted[index].map(Math.abs))
    const { logits } = results[name]
    assert.equal(logits.length, wanted[index].length)
    for (const [at, value] of logits.entries())
      assert.ok(
        Math.abs(value - wanted[index][at]) <= 1e-5 * scale,
        `${name} ${at}: ${value}, ours ${wanted[index][at]}`,
      )
    disposeModule(network)
  }
  return new Map(cases.map(({ name }) => [name, results[name].classes]))
}

function dartsCase(name: string, shape: Partial<NetworkShape>, side: number): Case {
  const { network, trained } = trainedNetwork({ ...smallShape, ...shape }, side)
  return { name, network, side, files: exportPytorch(trained) }
}

function programCase(name: string, program: Program, side = 16): Case {
  const network = new Network(program, { device: 'cpu', generator: new Generator(1) })
  randomStatistics(network, new Generator(2))
  return { name, network, side, files: pytorchFiles(program, stateDict(network), notes) }
}

/** Nothing but skips and pools, also of stride 2; the first node of the reduction cell is read by nobody. */
const weightless: Genotype = {
  normal: [
    ['skip_connect', 0],
    ['avg_pool_3x3', 1],
    ['skip_connect', 2],
    ['max_pool_3x3', 1],
  ],
  normal_concat: [3],
  reduce: [
    ['skip_connect', 1],
    ['max_pool_3x3', 0],
    ['skip_connect', 0],
    ['avg_pool_3x3', 1],
  ],
  reduce_concat: [3],
}

test('cells of the DARTS space, loaded strictly, agree to 1e-5', { skip: withoutPython('torch') }, (t) => {
  const cases = (['cifar', 'imagenet'] as const).flatMap((kind) => {
    const side = kind === 'cifar' ? 16 : 64
    const published = Object.entries(publishedGenotypes)
      .filter(([name]) => kind === 'cifar' || name !== 'DARTS_V2')
      .map(([name, genotype]) => dartsCase(`${kind}_${name}`, { kind, genotype, cells: 4 }, side))
    return [
      ...published,
      dartsCase(`${kind}_every`, { kind, genotype: everyOperation, channels: 6, cells: 6 }, side),
      dartsCase(`${kind}_weightless`, { kind, genotype: weightless }, side),
      dartsCase(`${kind}_one`, { kind, cells: 1 }, side),
      dartsCase(`${kind}_two`, { kind, cells: 2 }, side),
    ]
  })
  const classes = assertAgree(t, cases)
  assert.deepEqual(classes.get('cifar_DARTS_V2'), [
    'Path',
    'ReluConvBn',
    'FactorizedReduce',
    'SepConv3x3',
    'DilConv3x3',
    'Normal',
    'Reduce',
    'Network',
  ])
})

test('programs of no space of ours agree to 1e-5', { skip: withoutPython('torch') }, (t) => {
  const odd = Object.entries(oddPrograms).map(([name, program]) => programCase(name, program))
  const cells = ['none', 'skip_connect', 'nor_conv_3x3', 'nor_conv_1x1', 'avg_pool_3x3'].map((operation) =>
    programCase(`cells_${operation}`, sixEdgeProgram(Array.from({ length: 6 }, () => operation))),
  )
  const cases = [
    ...odd,
    ...cells,
    programCase('residual', residualProgram()),
    programCase('six', sixEdgeProgram()),
  ]
  const classes = assertAgree(t, cases)
  assert.deepEqual(classes.get('residual')?.slice(1), ['Se', 'ConvSe', 'Shortcut', 'Residual', 'Network'])
  assert.deepEqual(classes.get('six')?.slice(1), [
    'NorConv3x3',
    'NorConv1x1',
    'Cell',
    'ConvA',
    'Reduction',
    'Network',
  ])
})

/** The lines of a class without the empty ones. */
function classOf({ module }: PytorchExport, name: string): string {
  const [, text = ''] = new RegExp(`\\n(class ${name}\\([\\s\\S]*?)\\n\\n\\n`).exec(module) ?? []
  return text.replaceAll(/\n+/g, '\n')
}

test('blocks of a kind share a class: what differs is an argument, a module where it is more than sizes', () => {
  const { network, files } = programCase('residual', residualProgram())
  assert.equal(
    classOf(files, 'Residual'),
    `class Residual(nn.Module):
    def __init__(self, shortcut, c_in, c_out, stride):
        super().__init__()
        self.body = ConvSe(c_in, c_out, stride=stride)
        self.shortcut = shortcut
    def forward(self, x):
        n0 = self.body(x) + self.shortcut(x)
        return torch.relu(n0)`,
  )
  assert.equal(
    classOf(files, 'Se'),
    `class Se(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.reduce = nn.Linear(c, c // 4)
        self.expand = nn.Linear(c // 4, c)
    def forward(self, x):
        scale = torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3))))))
        return x * scale[:, :, None, None]`,
  )
  const whole = classOf(files, 'Network')
  assert.match(
    whole,
    /Residual\(nn\.Identity\(\), 8, 8, stride=1\),\n +Residual\(Shortcut\(8, 16\), 8, 16, stride=2\),/,
  )
  assert.match(
    whole,
    /x = self\.stem\(images\)\n +for layer in self\.layers:\n +x = layer\(x\)\n +return self\.head\(x/,
  )
  disposeModule(network)
})

test('cells read top to bottom, and a loop runs through them', () => {
  const { network, files } = dartsCase('every', { cells: 6, channels: 6 }, 32)
  const cell = classOf(files, 'Normal')
  assert.match(cell, /def __init__\(self, preprocess0, c_in, c_out\):/)
  assert.match(
    cell,
    /self\._ops = nn\.ModuleList\(\[\n +SepConv3x3\(c_out, stride=1\),\n +nn\.MaxPool2d\(3, stride=1, padding=1\),/,
  )
  const forward = cell.slice(cell.indexOf('def forward'))
  assert.equal(
    forward,
    `def forward(self, s0, s1):
        s0 = self.preprocess0(s0)
        s1 = self.preprocess1(s1)
        n0 = self._ops[0](s0) + self._ops[1](s1)
        n1 = self._ops[2](s0) + self._ops[3](n0)
        n2 = self._ops[4](s0) + self._ops[5](n1)
        n3 = self._ops[6](n2) + self._ops[7](n0)
        return torch.cat([n0, n1, n2, n3], 1)`,
  )
  assert.match(
    classOf(files, 'FactorizedReduce'),
    /"""skip_connect, factorized_reduce\."""\n[\s\S]*c_out \/\/ 2, 1, stride=2, bias=False/,
  )
  const whole = classOf(files, 'Network')
  assert.match(
    whole,
    /s0 = s1 = self\.stem\(images\)\n +for cell in self\.cells:\n +s0, s1 = s1, cell\(s0, s1\)\n/,
  )
  assert.match(whole, /Normal\(FactorizedReduce\(24, 12\), 36, 12\),/)
  disposeModule(network)
})

test('the file says what it is at its top, and nothing that is not known', () => {
  const { network, trained } = trainedNetwork()
  const { module, weights } = exportPytorch({ ...trained, normalisation: undefined })
  assert.match(
    module,
    /^"""A network of 5 cells for 7 classes, exported by ddsas without the auxiliary head,/,
  )
  const [, strings = ''] = /\nARCHITECTURE = \(\n([\s\S]*?)\n\)\n/.exec(module) ?? []
  const line = strings
    .split('\n')
    .map((text) => JSON.parse(text))
    .join('')
  assert.deepEqual(parseGenotypeLine(line), trained.shape.genotype)
  assert.doesNotMatch(module, /CLASSES|MEAN|def prepare|undefined|auxiliary_head/)
  assert.match(module, /[^\n]\n$/)
  tidy(() => {
    const { tensors } = readPytorchFile(weights, 'weights')
    const names = [...trained.tensors.keys()].filter((name) => !name.startsWith('auxiliary_head'))
    assert.deepEqual(
      [...tensors.keys()].filter((name) => !name.endsWith('num_batches_tracked')),
      names,
    )
    assert.equal(tensors.get('stem.1.num_batches_tracked')?.dtype, 'int64')
  })
  disposeModule(network)
})

const noteScript = `
import json, torch, network
prepared = network.prepare(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))[0, :, 0, 0].tolist()
print(json.dumps({'prepared': prepared, 'classes': network.CLASSES}))
`

test('class names and normalisation reach Python as they are', { skip: withoutPython('torch') }, (t) => {
  const folder = temporaryFolder(t)
  const classNames = ['cat', 'dog', 'a "b"', "it's", 'größe', 'back\\slash', 'line\nbreak']
  const { network, trained } = trainedNetwork()
  const { module } = exportPytorch({ ...trained, classNames })
  writeFileSync(join(folder, 'network.py'), module)
  const { prepared, classes } = z
    .object({ prepared: z.array(z.number()), classes: z.array(z.string()) })
    .parse(JSON.parse(runPython(noteScript, [], folder)))
  assert.deepEqual(classes, classNames)
  assert.ok(Math.abs(prepared[2] - (1 - 0.44) / 0.26) < 1e-5)
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

test('what PyTorch cannot hold is refused by its name', () => {
  const refused = (program: Program, pattern: RegExp) =>
    assertRefuses(() => pytorchFiles(program, new Map(), notes), 'input', pattern)
  const supernet = dartsSpace.supernet({ channels: 4, cells: 3, classes: 10 })
  refused(supernet, /'cells\.0\/2' belongs to a supernet, .*: derive an architecture/)
  const own: Layer = {
    type: 'opaque',
    name: 'mine',
    make: () => assert.fail(),
    outputShape: (shape) => shape,
  }
  refused(
    layerAt('body', 'act', own),
    /the layer 'mine' at body\.act cannot be exported to PyTorch: .*; use layers of ddsas/,
  )
  const conv: Layer = residualProgram().states.flatMap((state) =>
    state.kind === 'layers' ? state.layers : [],
  )[0].layer
  refused(layerAt('body', 'train', conv), /a module 'train' of body cannot be: .*; choose another/)
  refused(layerAt('a.items', '', conv), /a module 'items' of the network cannot be/)
  refused(layerAt('body', '', conv, 'body', 'more'), /two modules 'body' of the network, .*; name them apart/)
})
