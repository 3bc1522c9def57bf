/** NAS-Bench-201: operations, supernet, parameters and texts of architectures against the published code's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type InitContext, Network, namedParameters, type Program } from '../../src/nn/index.ts'
import { describeProgram } from '../../src/spaces/describe.ts'
import { canonicalForm, isConnected, parseArchitecture } from '../../src/spaces/nasbench201/architecture.ts'
import { operations, residualWays } from '../../src/spaces/nasbench201/operations.ts'
import { nasbench201Space } from '../../src/spaces/nasbench201/space.ts'
import {
  channelsLast,
  copy,
  crossEntropy,
  Generator,
  grad,
  mul,
  noGrad,
  setRequiresGrad,
  softmax,
  sum,
  type Tensor,
  withoutKernels,
} from '../../src/torch/index.ts'
import { operationProgram, programOf as program, termOf } from '../unit/nn/programs.ts'
import { randomTensor } from '../unit/spaces/numerical.ts'
import { absent, assertClose, below, fixtureNames, readJson, readTensors, tensorOf } from './fixtures.ts'

const read = (file: string) =>
  fixtureNames(/^nasbench201\./).includes(file) ? readTensors(file) : new Map<string, Tensor>()
const golden = read('nasbench201.operations.safetensors')
const cases = [...new Set([...golden.keys()].map((name) => name.split('/')[0]))]
const context: InitContext = { device: 'cpu', generator: new Generator(0) }

const layouts = {
  'NCHW, ATen': (body: (layout: (x: Tensor) => Tensor) => void) => withoutKernels(() => body((x) => x)),
  'channels last, kernels': (body: (layout: (x: Tensor) => Tensor) => void) => body(channelsLast),
}

test('golden values of NAS-Bench-201', { skip: absent }, () => {
  assert.deepEqual(cases.sort(), [
    'avg_pool_3x3.search',
    'none.search',
    'nor_conv_1x1.search',
    'nor_conv_3x3.search',
    'resnet_basic_block.stride2',
    'skip_connect.search',
  ])
})

/** A residual block by itself: its two ways, added. */
function residualProgram(inputs: number, outputs: number): Program {
  const { main, beside } = residualWays(inputs, outputs)
  return program([{ id: 'out', kind: 'sum', terms: [termOf(main), termOf(beside)] }])
}

function programOf(name: string): Program {
  if (name.startsWith('resnet')) return residualProgram(8, 16)
  const kind = Object.entries(operations).find(([operation]) => operation === name.split('.')[0])
  assert.ok(kind)
  return operationProgram(kind[1]({ channels: 8, affine: false }))
}

for (const name of cases)
  for (const [manner, run] of Object.entries(layouts))
    test(`${name}, ${manner}`, () =>
      run((layout) => {
        const get = (part: string) => tensorOf(golden, `${name}/${part}`)
        const network = new Network(programOf(name), context)
        const parameters = namedParameters(network)
        const wanted = below(golden, `${name}/param/`)
        assert.deepEqual([...parameters.keys()].sort(), [...wanted.keys()].sort())
        for (const [key, tensor] of parameters) copy(tensor, tensorOf(wanted, key))
        const x = layout(get('x'))
        setRequiresGrad([x, ...parameters.values()], true)
        const y = network.forward(x, { training: true }).logits
        assertClose(y, get('y'), 'y')
        const gradients = grad(sum(mul(y, get('dy'))), [x, ...parameters.values()])
        // nothing reads an image through zeros
        if (gradients[0] !== null || name !== 'none.search') assertClose(gradients[0], get('dx'), 'dx')
        // a bias before a batch norm changes nothing: its gradient is rounding
        for (const [index, key] of [...parameters.keys()].entries())
          assertClose(gradients[index + 1], get(`grad/${key}`), key, {
            floor: key.endsWith('op.1.bias') ? 1 : 1e-5,
          })
      }))

const supernetFile = 'nasbench201.supernet-softmax.safetensors'
const supernetGolden = read(supernetFile)

for (const [manner, run] of Object.entries(layouts))
  test(`the supernet with a softmax over all operations, ${manner}`, { skip: absent }, () =>
    run((layout) => {
      const network = new Network(nasbench201Space.supernet({ channels: 4, cells: 3, classes: 10 }), context)
      const parameters = namedParameters(network)
      const wanted = below(supernetGolden, 'init/', (name) => name !== 'arch_parameters')
      assert.deepEqual([...parameters.keys()], [...wanted.keys()], 'names, in their order')
      for (const [key, tensor] of parameters) copy(tensor, tensorOf(wanted, key))
      const alpha = tensorOf(supernetGolden, 'init/arch_parameters')
      const all = Array.from({ length: 6 }, () => [0, 1, 2, 3, 4])
      setRequiresGrad([alpha, ...parameters.values()], true)
      const archWeights = () => ({ weights: softmax(alpha, 1), sampledOps: all })
      const x = layout(tensorOf(supernetGolden, 'x'))
      const { logits } = network.forward(x, { training: true, archWeights })
      assertClose(logits, tensorOf(supernetGolden, 'logits'), 'logits')
      const loss = crossEntropy(logits, tensorOf(supernetGolden, 'y'))
      assert.ok(Math.abs(loss.item() - tensorOf(supernetGolden, 'loss').item()) < 1e-5)
      const gradients = grad(loss, [alpha, ...parameters.values()])
      assertClose(gradients[0], tensorOf(supernetGolden, 'grad/arch'), 'alpha')
      for (const [index, key] of [...parameters.keys()].entries()) {
        const expected = supernetGolden.get(`grad/${key}`)
        if (expected)
          assertClose(gradients[index + 1], expected, key, { floor: key.endsWith('op.1.bias') ? 1 : 1e-5 })
      }
    }),
  )

test('architectures: parameters, what computes the same, whether the input reaches the output', {
  skip: absent,
}, () => {
  const schema = z.array(
    z.object({ arch: z.string(), params_cifar10: z.number(), unique: z.string(), check_valid: z.boolean() }),
  )
  const known = schema.parse(readJson('nasbench201.architectures.json'))
  assert.equal(known.length, 60)
  for (const { arch, params_cifar10, unique, check_valid } of known) {
    const cell = parseArchitecture(arch, 'golden')
    const architecture = nasbench201Space.parse(arch, 'golden')
    assert.equal(nasbench201Space.format(architecture), arch)
    assert.equal(canonicalForm(cell), unique)
    assert.equal(isConnected(cell), check_valid)
    const size = { channels: 16, cells: 15, classes: 10, kind: 'cifar', auxiliary: false } as const
    const description = describeProgram(nasbench201Space.network(architecture, size), 32)
    assert.equal(description.parameters, params_cifar10)
    const count = (operation: string) => cell.filter((name) => name === operation).length
    // the benchmark counts the classifier's bias, too
    const benchmark = 7_783_050 + 35_389_440 * count('nor_conv_3x3') + 3_932_160 * count('nor_conv_1x1')
    assert.equal(description.multiplyAdds + 10, benchmark)
  }
})

test('where nothing reaches the output, all images are alike', () => {
  const nothing = nasbench201Space.parse('|none~0|+|none~0|none~1|+|none~0|none~1|none~2|', 'text')
  const size = { channels: 4, cells: 3, classes: 10, kind: 'cifar', auxiliary: false } as const
  const network = new Network(nasbench201Space.network(nothing, size), context)
  const x = channelsLast(randomTensor([2, 3, 16, 16], new Generator(1), 'float32'))
  const logits = noGrad(() => network.forward(x, { training: false }).logits).floats()
  assert.deepEqual(logits.slice(0, 10), logits.slice(10))
})
