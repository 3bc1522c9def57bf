/** What is found in layers, as plain data: which kernel takes which of them, and what is left to ATen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Fused, fuse, fuseNothing, type Kernel } from '../../../src/nn/fuse.ts'
import {
  batchNorm2d,
  conv2d,
  type Layer,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type State,
  sequential,
  sigmoid,
} from '../../../src/nn/index.ts'
import { factorizedReduce, operations, reluConvBn } from '../../../src/spaces/darts/operations.ts'

const inNetwork = { channels: 4, stride: 1, affine: false } as const

/** One state of layers, or one term of a sum; `after` what it reads. */
function program(state: State, before: readonly State[] = []): Program {
  return { states: [...before, state], outputs: { logits: state.id }, blocks: [], modules: [] }
}

function kernelText(found: Kernel): string {
  if (found.kernel === 'aten') return `aten ${found.layer.name}`
  return found.kernel === 'separable' && found.norm ? 'norm, separable' : found.kernel
}

/** Entry, kernels and the norm that is left, in words. */
const text = ({ entry, kernels, norm }: Fused) => [
  entry ? `enters ${entry.kernel}` : 'enters',
  ...kernels.map(kernelText),
  ...(norm ? [`leaves ${norm.name}`] : []),
]

const only = (found: Map<unknown, Fused>) => [...found.values()].map(text)

function termText(layers: Sequence): string[] {
  const terms = [{ input: 'images', name: 't', layers, operation: 'own' }]
  return only(fuse(program({ id: 'sum', kind: 'sum', terms })))[0]
}

const stateOf = (layers: Sequence, input = 'images'): State => ({
  ...{ id: 'own', kind: 'layers', input, name: 's' },
  layers,
})

test('the operations of DARTS begin together, go on in kernels, and leave their last norm to the sum', () => {
  const separable = operations.sep_conv_5x5(inNetwork)
  assert.deepEqual(termText(separable), ['enters separable', 'norm, separable', 'leaves t.op.7'])
  assert.deepEqual(termText(operations.dil_conv_3x3(inNetwork)), ['enters separable', 'leaves t.op.3'])
  assert.deepEqual(termText(operations.max_pool_3x3(inNetwork)), ['enters pool', 'leaves t.1'])
  assert.deepEqual(termText(operations.max_pool_3x3({ ...inNetwork, affine: true })), ['enters pool'])
  assert.deepEqual(termText(operations.skip_connect(inNetwork)), ['enters'])
  const halving = operations.skip_connect({ ...inNetwork, stride: 2 })
  assert.deepEqual(termText(halving), ['enters', 'factorized_reduce', 'leaves t.bn'])
  assert.deepEqual(termText(operations.none(inNetwork)), ['enters', 'aten t'])
})

test('layers by themselves keep their norm, which a kernel computes where one made its input', () => {
  const alone = (layers: Sequence) => only(fuse(program(stateOf(layers))))[0]
  assert.deepEqual(alone(reluConvBn(4, 4, true)), ['enters', 'relu_pointwise', 'norm'])
  assert.deepEqual(alone(factorizedReduce(4, 4, true)), ['enters', 'factorized_reduce', 'norm'])
  const stem = sequential('', [conv2d(3, 4, 3), batchNorm2d(4, true), relu, conv2d(4, 4, 1)])
  assert.deepEqual(alone(stem), ['enters', 'aten s.0', 'aten s.1', 'relu_pointwise'])
})

test('nothing begins at one state after parts of a concatenation', () => {
  const parts: State = { id: 'parts', kind: 'concat', inputs: ['images', 'images'] }
  const layers = operations.dil_conv_3x3({ ...inNetwork, channels: 6 })
  const [found] = only(fuse(program(stateOf(layers, 'parts'), [parts])))
  assert.deepEqual(found, ['enters', 'separable', 'norm'])
})

test('what differs from what a kernel does is left to ATen', () => {
  const aten = (...layers: Layer[]) => {
    const found = termText(sequential('', layers))
    const names = layers.map((_, index) => `aten t.${index}`)
    // readers of one state share its ReLU
    const wanted = layers[0].type === 'relu' ? ['enters relu', ...names.slice(1)] : ['enters', ...names]
    assert.deepEqual(found, wanted)
  }
  const depthwise = (kernel: number, options = {}) => conv2d(4, 4, kernel, { groups: 4, ...options })
  aten(depthwise(3), conv2d(4, 4, 1))
  aten(relu, depthwise(7), conv2d(4, 4, 1))
  aten(relu, depthwise(3, { padding: 0 }), conv2d(4, 4, 1))
  aten(relu, depthwise(3, { bias: true }), conv2d(4, 4, 1))
  aten(relu, conv2d(4, 4, 3, { groups: 2 }), conv2d(4, 4, 1))
  aten(relu, depthwise(3), conv2d(4, 4, 1, { groups: 2 }))
  aten(relu, conv2d(4, 4, 1, { bias: true }))
  aten(relu, conv2d(4, 4, 1, { stride: 2 }))
  aten(sigmoid, conv2d(4, 4, 1))
  aten(pool2d('avg', 1, 5, 2))
  aten(pool2d('max', 2, 3, 0))
  aten(conv2d(4, 4, 1), batchNorm2d(4, true, 0.5))
  const norm = batchNorm2d(4, true, 0.5)
  const afterKernel = termText(sequential('', [relu, conv2d(4, 4, 1), norm]))
  assert.deepEqual(afterKernel, ['enters', 'relu_pointwise', 'aten t.2'], 'another momentum')
  const before = termText(sequential('', [norm, relu, depthwise(3), conv2d(4, 4, 1)]))
  assert.deepEqual(before, ['enters', 'aten t.0', 'separable'])
})

test('plain: each layer by itself, the last norm too', () => {
  const terms = [
    { input: 'images', name: 't', layers: operations.dil_conv_3x3(inNetwork), operation: 'dil_conv_3x3' },
  ]
  const found = only(fuseNothing(program({ id: 'sum', kind: 'sum', terms })))
  assert.deepEqual(found, [['enters', 'aten t.op.0', 'aten t.op.1', 'aten t.op.2', 'aten t.op.3']])
})
