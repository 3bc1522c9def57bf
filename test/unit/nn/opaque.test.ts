/** A layer of one's own: it runs, trains and is saved under its name; readers that need more than it says name it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OnnxGraph } from '../../../src/export/onnx-graph.ts'
import { addProgram } from '../../../src/export/onnx-network.ts'
import {
  conv2d,
  disposeModule,
  filled,
  type InitContext,
  images,
  type Layer,
  loadTensors,
  Network,
  namedBuffers,
  namedParameters,
  type Opaque,
  type Program,
  programShapes,
  relu,
  Sgd,
  type State,
  sequential,
  stateDict,
  uniformByFanIn,
} from '../../../src/nn/index.ts'
import { describeProgram } from '../../../src/spaces/describe.ts'
import { checkWeights } from '../../../src/spaces/weights-check.ts'
import {
  call,
  copy,
  Generator,
  grad,
  liveSlots,
  mul,
  noGrad,
  reshape,
  setRequiresGrad,
  setThreads,
  sum,
  type Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { checkGradients, randomTensor, weighed } from '../spaces/numerical.ts'
import { madeState, programOf, termOf } from './programs.ts'

setThreads(1)

const context = (device = 'cpu'): InitContext => ({
  device,
  generator: new Generator(0),
  dtype: 'float64',
})

/** x w + a count of passes in training: a trained weight for each channel in a module below, and a buffer. */
const counting: Opaque = {
  type: 'opaque',
  name: 'counting',
  make: (where) => {
    const passes = filled([1], 0, where)
    const weight = uniformByFanIn([3], 3, where)
    return {
      buffers: { passes },
      children: { inner: { parameters: { weight } } },
      forward: (x, training) => {
        if (training) noGrad(() => copy(passes, call('aten::add.Scalar', passes, 1)))
        return mul(x, reshape(weight, [1, 3, 1, 1]))
      },
    }
  },
  outputShape: (shape) => shape,
  multiplyAdds: ([channels, height, width]) => channels * height * width,
}

const without = (key: keyof Opaque): Layer => ({ ...counting, [key]: undefined })

/** images -> convolution -> the layer -> ReLU, as `body`. */
function programWith(layer: Layer): Program {
  const layers = [...sequential('', [conv2d(3, 3, 1)]), { name: 'own', layer }, ...sequential('end', [relu])]
  const program = programOf([{ id: 'out', block: 'b', kind: 'layers', input: images, name: 'body', layers }])
  return { ...program, blocks: [{ name: 'b', kind: 'normal', output: 'out' }] }
}

test('it runs: forward, in training and evaluation, with its state and gradients', () => {
  tidy(() => {
    const generator = new Generator(1)
    const network = new Network(programWith(counting), context())
    const parameters = namedParameters(network)
    assert.deepEqual([...parameters.keys()], ['body.0.weight', 'body.own.inner.weight'])
    assert.deepEqual([...namedBuffers(network).keys()], ['body.own.passes'])
    const passes = () => namedBuffers(network).get('body.own.passes')?.item()
    const x = randomTensor([2, 3, 4, 4], generator)
    const upstream = randomTensor([2, 3, 4, 4], generator)
    const run = (training: boolean) => network.forward(x, { training }).logits
    noGrad(() => run(true))
    noGrad(() => run(false))
    assert.equal(passes(), 1)
    const body = () => tidy(() => weighed(run(false), upstream))
    checkGradients(body, new Map([['x', x], ...parameters]), generator)
    const before = liveSlots()
    tidy(() => {
      run(true)
    })
    assert.equal(liveSlots(), before)
    disposeModule(network)
  })
})

test('it trains with the others, and is saved and loaded by its names', () => {
  tidy(() => {
    const network = new Network(programWith(counting), context())
    const parameters = namedParameters(network)
    const sgd = new Sgd(parameters, { momentum: 0, weightDecay: 0 })
    const x = randomTensor([2, 3, 4, 4], new Generator(1))
    const before = new Map([...parameters].map(([name, tensor]) => [name, [...tensor.floats()]]))
    setRequiresGrad([...parameters.values()], true)
    const gradients = grad(sum(network.forward(x, { training: true }).logits), [...parameters.values()])
    setRequiresGrad([...parameters.values()], false)
    sgd.step(gradients, 0.1)
    for (const [name, tensor] of parameters) assert.notDeepEqual([...tensor.floats()], before.get(name), name)
    const copyOf = new Network(programWith(counting), { ...context(), generator: new Generator(9) })
    loadTensors(stateDict(copyOf), stateDict(network), 'saved')
    const outputs = [network, copyOf].map((one) => [
      ...noGrad(() => one.forward(x, { training: false })).logits.floats(),
    ])
    assert.deepEqual(outputs[1], outputs[0])
    checkWeights(programWith(counting), stateDict(network), 'f')
    const other = new Map([...stateDict(network)].filter(([name]) => name !== 'body.own.inner.weight'))
    assertRefuses(
      () => checkWeights(programWith(counting), other, 'f'),
      'checkpoint',
      /'body\.own\.inner\.weight' is missing/,
    )
    for (const one of [network, copyOf]) disposeModule(one)
    sgd.dispose()
  })
})

test('it is described with its parameters and what it says to cost', () => {
  const before = liveSlots()
  const described = describeProgram(programWith(counting), 8)
  assert.deepEqual(
    [described.parameters, described.multiplyAdds, described.depth],
    [9 + 3, 9 * 64 + 3 * 64, 2],
  )
  assert.deepEqual(described.cells, [
    { type: 'normal', output: [3, 8, 8], parameters: 12, multiplyAdds: 768 },
  ])
  assert.equal(liveSlots(), before)
})

test('what a reader needs and it does not say is refused by its name; it runs all the same', () => {
  const told = (layer: Layer, pattern: RegExp) =>
    assertRefuses(() => describeProgram(programWith(layer), 8), 'input', pattern)
  told(without('multiplyAdds'), /the layer 'counting' does not say its multiplyAdds: it cannot be described$/)
  const shapes: readonly (readonly [Layer, string])[] = [
    [without('outputShape'), 'absent'],
    [{ ...counting, outputShape: () => [3, 8, 0] }, 'of no pixels'],
    [{ ...counting, outputShape: () => [3, 8.5, 8] }, 'not whole'],
  ]
  for (const [layer, what] of shapes) {
    const pattern =
      /^out: the layer 'counting' gives no shape \[channels, height, width\] of its output, .* 3 /
    assertRefuses(() => programShapes(programWith(layer), [3, 8, 8]), 'input', pattern)
    tidy(() => {
      const network = new Network(programWith(layer), context())
      const x = randomTensor([1, 3, 8, 8], new Generator(1))
      assert.deepEqual(network.forward(x, { training: true }).logits.shape, [1, 3, 8, 8], what)
      disposeModule(network)
    })
  }
})

test('ONNX has no nodes for it', () => {
  tidy(() => {
    const program = programWith(counting)
    const network = new Network(program, context())
    assertRefuses(
      () => addProgram(new OnnxGraph(stateDict(network)), program, 'images', [3, 8, 8]),
      'input',
      /the layer 'counting' at body\.own cannot be exported to ONNX: .*use layers of ddsas/,
    )
    disposeModule(network)
  })
})

for (const plain of [false, true])
  test(`what it keeps may be handed on as it is, and so may its input${plain ? ', layer by layer' : ''}`, () => {
    tidy(() => {
      const kept = randomTensor([2, 3, 2, 2], new Generator(2))
      const values = [...kept.floats()]
      const own = (name: string, forward: (x: Tensor) => Tensor): State => madeState(name, forward)
      const program = programOf([
        own('constant', () => kept),
        own('same', (x) => x),
        {
          id: 'out',
          kind: 'sum',
          terms: ['constant', 'same', 'same'].map((input, index) => termOf([], input, String(index))),
        },
      ])
      const network = new Network(program, context(), { plain })
      const x = randomTensor([2, 3, 2, 2], new Generator(1))
      setRequiresGrad([kept, x], true)
      const before = liveSlots()
      for (let i = 0; i < 2; i++)
        tidy(() => {
          const { logits } = network.forward(x, { training: true })
          for (const [at, value] of logits.floats().entries())
            assert.ok(Math.abs(value - 2 * x.floats()[at] - values[at]) < 1e-12)
          const gradients = grad(sum(logits), [kept, x])
          assert.deepEqual(
            gradients.map((gradient) => new Set(gradient?.floats())),
            [new Set([1]), new Set([2])],
          )
        })
      assert.equal(liveSlots(), before)
      assert.deepEqual([...kept.floats()], values)
    })
  })
