/** ONNX models: their logits in ONNX Runtime against our engine's, what they take, and what is refused. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { exportOnnx, onnxInputs } from '../../../src/export/onnx.ts'
import { disposeModule, functional, type Network, zero } from '../../../src/nn/index.ts'
import { dartsSpace } from '../../../src/spaces/darts/cell-space.ts'
import { publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'
import type { SearchSpace } from '../../../src/spaces/space.ts'
import { liveSlots, noGrad, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses, temporaryFolder } from '../runs/temporary.ts'
import { everyOperation, randomImages, smallShape, trainedNetwork } from './networks.ts'
import { oddPrograms } from './odd-programs.ts'
import { metadataOf, runOnnx } from './onnx-runtime.ts'
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

/** Logits of ONNX Runtime against our engine's, on several sizes of batch. */
async function assertSameLogits({ network, trained }: ReturnType<typeof trainedNetwork>): Promise<void> {
  const { imageSide, shape } = trained
  const feeds = [1, 3].map((count) => ({
    type: 'float32' as const,
    data: randomImages(count, imageSide),
    shape: [count, 3, imageSide, imageSide],
  }))
  const found = await runOnnx(exportOnnx(trained), ...feeds)
  found.forEach((logits, index) => {
    const { data, shape: sides } = feeds[index]
    assert.deepEqual(logits.shape, [sides[0], shape.classes])
    assertNear([...logits.floats()], logitsOf(network, Tensor.from(data, sides)))
  })
}

for (const [kind, imageSide] of [
  ['cifar', 32],
  ['cifar', 16],
  ['imagenet', 64],
] as const)
  test(`${kind} network with every operation, ${imageSide} px, several batch sizes`, async () => {
    const made = trainedNetwork({ ...smallShape, kind }, imageSide)
    await assertSameLogits(made)
    disposeModule(made.network)
  })

for (const [name, what] of [
  ['shuffled', 'channels in another order, and a part of them'],
  ['zeros', 'sums of zeros alone, also of every second pixel, and after other layers'],
] as const)
  test(what, async () => {
    const space = { ...dartsSpace, name, network: () => oddPrograms[name] } as SearchSpace
    const made = trainedNetwork({ ...smallShape, space, classes: 3, auxiliary: false }, 16)
    await assertSameLogits(made)
    disposeModule(made.network)
  })

for (const [name, genotype] of Object.entries(publishedGenotypes))
  for (const [kind, imageSide] of [
    ['cifar', 16],
    ['imagenet', 32],
  ] as const)
    test(`${kind} network of the published cell ${name}`, async () => {
      // a normal cell, two reductions, and a normal cell after one
      const shape = { ...smallShape, kind, genotype, cells: 4 }
      const made = trainedNetwork(shape, imageSide)
      const classNames = Array.from({ length: shape.classes }, (_, label) => `${name}, ${label}`)
      await assertSameLogits(made)
      const told = metadataOf(exportOnnx({ ...made.trained, classNames }))
      assert.deepEqual(JSON.parse(told.classes), classNames)
      assert.deepEqual([JSON.parse(told.genotype), told.network], [genotype, kind])
      disposeModule(made.network)
    })

test('images from 0 to 1, or in bytes, are normalised inside', async () => {
  const { network, trained } = trainedNetwork()
  const { mean, std } = trained.normalisation ?? assert.fail()
  const pixels = Uint8Array.from({ length: 2 * 3 * 32 * 32 }, (_, index) => (index * 7919) % 256)
  const channel = (index: number) => Math.floor(index / (32 * 32)) % 3
  const images = Float32Array.from(pixels, (value, i) => (value / 255 - mean[channel(i)]) / std[channel(i)])
  const shape = [2, 3, 32, 32]
  const wanted = logitsOf(network, Tensor.from(images, shape))
  const [bytes] = await runOnnx(exportOnnx(trained, 'bytes'), { type: 'uint8', data: pixels, shape })
  assertNear([...bytes.floats()], wanted)
  const data = Float32Array.from(pixels, (value) => value / 255)
  const [unit] = await runOnnx(exportOnnx(trained, 'unit'), { type: 'float32', data, shape })
  assertNear([...unit.floats()], wanted)
  disposeModule(network)
})

const checker = `
import onnx, sys
for name in sys.argv[1:]:
    model = onnx.load(name)
    onnx.checker.check_model(model, full_check=True)
    print(name, model.opset_import[0].version, [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim])`

test('the ONNX checker and its shape inference pass', { skip: withoutPython('onnx') }, (t) => {
  const folder = temporaryFolder(t)
  const genotypes = { everyOperation, ...publishedGenotypes }
  const models = Object.entries(genotypes).flatMap(([name, genotype]) =>
    (['cifar', 'imagenet'] as const).flatMap((kind) => {
      const { network, trained } = trainedNetwork({ ...smallShape, kind, genotype }, 32)
      const files = onnxInputs.map((input) => {
        writeFileSync(join(folder, `${name}-${kind}-${input}.onnx`), exportOnnx(trained, input))
        return `${name}-${kind}-${input}.onnx`
      })
      disposeModule(network)
      return files
    }),
  )
  const lines = runPython(checker, models, folder).trimEnd().split('\n')
  assert.deepEqual(
    lines,
    models.map((name) => `${name} 17 ['batch', 7]`),
  )
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
    'cifar network of 5 cells, C = 4, 7 classes, without its auxiliary head; unit RGB images of 32 px',
    'cells.4._ops.6.op.7',
  ])
    assert.ok(text.includes(part), part)
  assert.ok(!text.includes('auxiliary_head.'))
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
  assertRefuses(() => exportOnnx({ ...trained, imageSide: 30 }), 'input', /images of 30 px .*: use 32 px$/)
  assertRefuses(() => exportOnnx({ ...trained, imageSide: 0 }), 'input', /images of 0 px/)
  assertRefuses(() => exportOnnx({ ...trained, classNames: ['a'] }), 'input', /1 class names for 7 classes/)
  assertRefuses(() => exportOnnx({ ...trained, normalisation: undefined }, 'bytes'), 'input', /mean and std/)
  const zero = { mean: [0, 0, 0], std: [1, 0, 1] }
  assertRefuses(() => exportOnnx({ ...trained, normalisation: zero }), 'input', /std 1,0,1; give three/)
  const none = { ...everyOperation, normal: [['none', 0], ...everyOperation.normal.slice(1)] }
  assertRefuses(() => exportOnnx(shape({ genotype: none })), 'input', /unknown operation "none"/)
  disposeModule(network)
})

test('a node of zeros alone is exported as such', async () => {
  const space: SearchSpace = {
    ...dartsSpace,
    network: (genotype, options) => {
      const program = dartsSpace.network(everyOperation, options)
      const states = program.states.map((state) =>
        state.id === 'cells.0/3' && state.kind === 'sum'
          ? { ...state, terms: [{ ...state.terms[0], layers: [functional(zero(1))] }] }
          : state,
      )
      assert.deepEqual(genotype, everyOperation)
      return { ...program, states }
    },
  }
  const { network, trained } = trainedNetwork({ ...smallShape, space, auxiliary: false })
  const [pixels, shape] = [randomImages(2, 32), [2, 3, 32, 32]]
  const [found] = await runOnnx(exportOnnx(trained), { type: 'float32', data: pixels, shape })
  tidy(() => {
    const own = noGrad(() => network.forward(Tensor.from(pixels, shape), { training: false }).logits).floats()
    for (const [i, value] of found.floats().entries()) assert.ok(Math.abs(value - own[i]) < 1e-4)
  })
  disposeModule(network)
})
