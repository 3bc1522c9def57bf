/** One's own operation, space and strategy, by the public API alone: searched, trained, described, drawn and exported. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  blockKinds,
  describeNetwork,
  drawBlock,
  exportOnnx,
  exportPytorch,
  nn,
  readTrained,
  runSearch,
  runTrain,
  type SearchRequest,
  type SearchSpace,
  shownNetwork,
  torch,
} from 'ddsas'
import { space as ownOperations } from '../../examples/own-operation.ts'
import { space as ownSpace } from '../../examples/own-space.ts'
import { strategy as ownStrategy } from '../../examples/own-strategy.ts'
import { runOnnx } from '../unit/export/onnx-runtime.ts'
import { runPython, withoutPython } from '../unit/export/python.ts'
import { workplace } from './command.ts'
import { writeImages } from './images.ts'

const place = workplace()
const data = join(place.path, 'data')
before(() => writeImages(data, 24))
after(place.remove)

const small = ['data.images=64', 'data.batch=8', 'network.channels=4', 'network.cells=3', 'threads=1']

/** Searches, and goes on with the run, which must need its own parts again. */
async function searched(
  name: string,
  parts: Pick<SearchRequest, 'space' | 'strategy'>,
  own: readonly string[] = [],
) {
  const out = join(place.path, name)
  const settings = [...small, ...own, 'evaluation.images=16', 'evaluation.batch=8']
  const found = await runSearch({ preset: 'demo', ...parts, settings, epochs: 2, data, out })
  await assert.rejects(runSearch({ resume: out, data }), { kind: 'input', message: /known are/ })
  const again = await runSearch({ resume: out, data, ...parts })
  assert.deepEqual(again.architecture, found.architecture)
  return found
}

/** Trains an architecture for an epoch; the network as it is here, as ONNX and as PyTorch compute the same. */
async function usable(name: string, space: SearchSpace, genotype: unknown, python: boolean): Promise<void> {
  const out = join(place.path, `train-${name}`)
  const settings = [...small, 'network.cells=3', 'loss.auxiliary=0', 'data.validation=0.2']
  const { run } = await runTrain({ genotype, space, settings, epochs: 1, data, out })
  const trained = torch.tidy(() => {
    const read = readTrained(run, 'last', undefined, space)
    for (const tensor of read.tensors.values()) torch.keep(tensor)
    return read
  })
  const { shape, tensors } = trained
  const { parameters, cells } = describeNetwork(shape)
  const counted = [...tensors].filter(([name]) => !/running_(mean|var)$/.test(name))
  assert.equal(
    parameters,
    counted.reduce((sum, [, { size }]) => sum + size, 0),
  )
  assert.equal(cells.length, 3)
  const program = shownNetwork(space, genotype)
  for (const kind of blockKinds(program)) {
    const { svg, png } = await drawBlock(program, kind)
    assert.match(svg, /<svg/)
    writeFileSync(join(place.path, `${name}-${kind}.png`), png)
  }
  const generator = new torch.Generator(0, 'pixels')
  const pixels = Float32Array.from({ length: 3 * 32 * 32 }, () => generator.normal())
  const own = torch.tidy(() => {
    const network = new nn.Network(space.network(genotype, shape), { device: 'cpu', generator })
    nn.loadTensors(nn.stateDict(network), tensors, 'trained')
    const x = torch.Tensor.from(pixels, [1, 3, 32, 32])
    return [...torch.noGrad(() => network.forward(x, { training: false }).logits).floats()]
  })
  const near = (values: ArrayLike<number>) => {
    for (const [i, value] of own.entries())
      assert.ok(Math.abs(value - values[i]) < 1e-4, `${value} ${values[i]}`)
  }
  const [byOnnx] = await runOnnx(exportOnnx(trained), {
    type: 'float32',
    data: pixels,
    shape: [1, 3, 32, 32],
  })
  near(byOnnx.floats())
  const { module, weights } = exportPytorch(trained)
  if (!python) return
  writeFileSync(join(place.path, `${name}.py`), module)
  writeFileSync(join(place.path, `${name}.pt`), weights)
  writeFileSync(join(place.path, 'pixels.bin'), pixels)
  const script = `import json, torch, ${name}
x = torch.frombuffer(bytearray(open('pixels.bin', 'rb').read()), dtype=torch.float32).view(1, 3, 32, 32)
print(json.dumps(${name}.load()(x)[0].tolist()))`
  near(JSON.parse(runPython(script, [], place.path)))
}

const skip = withoutPython('torch')

for (const [name, parts] of Object.entries({
  operations: { space: ownOperations },
  chain: { space: ownSpace },
}))
  test(`${name}: a search, a training, exports and drawings of one's own`, async () => {
    const { space, architecture } = await searched(name, parts, ['ddsas.window=3'])
    await usable(name, space, architecture, skip === false)
  })

test('operations of one’s own in every place compute the same in ONNX and PyTorch', { skip }, async () => {
  const edge = (input: number) => ['squeeze_excite', input]
  const cell = [0, 1, 0, 2, 1, 3, 4, 0].map((input, at) => (at % 2 ? ['conv_3x3', input] : edge(input)))
  const genotype = { normal: cell, normal_concat: [2, 3, 4, 5], reduce: cell, reduce_concat: [2, 3, 4, 5] }
  await usable('everywhere', ownOperations, ownOperations.parse(genotype, 'test'), true)
})

test("a strategy of one's own, in a space of one's own", async () => {
  await searched('strategy', { strategy: ownStrategy }, ['best_of.draws=3'])
  await searched('both', { strategy: ownStrategy, space: ownSpace }, ['best_of.draws=3'])
})
