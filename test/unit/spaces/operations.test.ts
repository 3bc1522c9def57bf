/** Every operation: gradients by central differences, and compositions of ATen's operators over many shapes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  type InitContext,
  type Module,
  Network,
  namedBuffers,
  namedParameters,
  type Sequence,
} from '../../../src/nn/index.ts'
import {
  factorizedReduce,
  type Operation,
  operations,
  reluConvBn,
} from '../../../src/spaces/darts/operations.ts'
import {
  avgPool2d,
  batchNorm,
  cat,
  channelsLast,
  conv2d,
  type Dtype,
  Generator,
  grad,
  maxPool2d,
  relu,
  setRequiresGrad,
  setThreads,
  slice,
  type Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { operationProgram, partsOfImages, programOf } from '../nn/programs.ts'
import { assertNear, checkGradients, randomTensor, weighed } from './numerical.ts'

// threads that wait should not keep others from computing; read when the engine is loaded
process.env.GOMP_SPINCOUNT ??= '0'
const known: Readonly<Record<string, Operation>> = operations
const names = Object.keys(operations)
const contextOf = (dtype: Dtype): InitContext => ({
  device: 'cpu',
  generator: new Generator(0, 'weights'),
  dtype,
})

/** An operation as a network of its own. */
function makeOperation(name: string, options: Parameters<Operation>[0], dtype: Dtype): Network {
  return new Network(operationProgram(known[name](options)), contextOf(dtype))
}

const run = (network: Network, x: Tensor, training = true) => network.forward(x, { training }).logits

const layouts = { NCHW: (x: Tensor) => x, 'channels last': channelsLast }

for (const name of names.filter((each) => each !== 'none'))
  for (const stride of [1, 2] as const)
    test(`${name}, stride ${stride}: gradients agree with central differences`, () => {
      setThreads(1)
      for (const affine of [false, true])
        for (const layout of Object.values(layouts))
          tidy(() => {
            const generator = new Generator(1, `${name} ${stride} ${affine}`)
            const operation = makeOperation(name, { channels: 4, stride, affine }, 'float64')
            const x = layout(randomTensor([2, 4, 6, 6], generator))
            const upstream = randomTensor([2, 4, 6 / stride, 6 / stride], generator)
            const body = () => tidy(() => weighed(run(operation, x), upstream))
            checkGradients(body, new Map([['x', x], ...namedParameters(operation)]), generator)
          })
    })

const readers = { reluConvBn, factorizedReduce }

/** Layers that read parts of the images' channels, side by side, which nobody concatenates. */
function readerOf(layers: Sequence, parts: readonly number[], dtype: Dtype): Network {
  const program = programOf([
    ...partsOfImages('s', parts),
    { id: 'out', kind: 'layers', input: 's', name: '', layers },
  ])
  return new Network(program, contextOf(dtype))
}

test('the operations that read the output of a cell: gradients agree with central differences', () => {
  setThreads(1)
  for (const [name, make] of Object.entries(readers))
    tidy(() => {
      const generator = new Generator(2)
      const reader = readerOf(make(5, 7, false), [2, 3], 'float64')
      const x = channelsLast(randomTensor([2, 5, 6, 6], generator))
      const size = name === 'reluConvBn' ? 6 : 3
      const upstream = randomTensor([2, 7, size, size], generator)
      const body = () => tidy(() => weighed(run(reader, x), upstream))
      checkGradients(body, new Map([['x', x], ...namedParameters(reader)]), generator)
    })
})

test('the operations that read the output of a cell: the same as on its nodes side by side', () => {
  for (const make of Object.values(readers))
    tidy(() => {
      const layers = make(22, 12, true)
      const [inParts, whole] = [readerOf(layers, [16, 5, 1], 'float32'), readerOf(layers, [22], 'float64')]
      const x = channelsLast(randomTensor([3, 22, 4, 6], new Generator(3), 'float32'))
      const wanted = run(whole, to(x, { dtype: 'float64' }))
      assertNear(run(inParts, x), wanted, 1e-5, 'output')
      for (const [name, tensor] of namedBuffers(whole))
        assertNear(namedBuffers(inParts).get(name), tensor, 1e-5, name, 1)
    })
})

test('none is zero of the right size, whatever comes in, and so is its gradient', () => {
  for (const stride of [1, 2] as const)
    tidy(() => {
      const operation = makeOperation('none', { channels: 3, stride, affine: false }, 'float64')
      const x = randomTensor([2, 3, 6, 6], new Generator(3))
      setRequiresGrad([x], true)
      const y = run(operation, x)
      assert.deepEqual(y.shape, [2, 3, 6 / stride, 6 / stride])
      const [gradient] = grad(weighed(y, randomTensor(y.shape, new Generator(4))), [x])
      for (const values of [y.floats(), gradient?.floats() ?? [Number.NaN]])
        assert.ok(values.every((value) => value === 0))
    })
})

/** A batch norm that normalises by the batch, and its moved statistics under the names of buffers. */
function normalise(x: Tensor, training: Map<string, Tensor>, name: string): Tensor {
  const [runningMean, runningVar] = ['running_mean', 'running_var'].map((part) =>
    training.get(`${name}.${part}`),
  )
  assert.ok(runningMean && runningVar, `no statistics called ${name}`)
  return batchNorm(x, { runningMean, runningVar, training: true })
}

function convolve(x: Tensor, tensors: Map<string, Tensor>, name: string, options: object): Tensor {
  const weight = tensors.get(`${name}.weight`)
  assert.ok(weight, `no weight called ${name}`)
  return conv2d(x, weight, options)
}

/** The same by ATen's operators alone, out of weights and statistics by name. */
function composed(name: string, x: Tensor, stride: number, tensors: Map<string, Tensor>): Tensor {
  const kernel = name.endsWith('5x5') ? 5 : 3
  const block = (y: Tensor, first: number, by: number, dilation: number) => {
    const padding = ((kernel - 1) / 2) * dilation
    const how = { stride: by, padding, dilation, groups: x.shape[1] }
    const spatial = convolve(relu(y), tensors, `op.${first}`, how)
    return normalise(convolve(spatial, tensors, `op.${first + 1}`, {}), tensors, `op.${first + 2}`)
  }
  if (name === 'max_pool_3x3') return normalise(maxPool2d(x, 3, stride, 1), tensors, '1')
  if (name === 'avg_pool_3x3') return normalise(avgPool2d(x, 3, stride, 1), tensors, '1')
  if (name.startsWith('sep')) return block(block(x, 1, stride, 1), 5, 1, 1)
  if (name.startsWith('dil')) return block(x, 1, stride, 2)
  if (stride === 1) return x
  const [y, shifted] = [relu(x), slice(slice(relu(x), 2, 1, x.shape[2]), 3, 1, x.shape[3])]
  const halves = [
    convolve(y, tensors, 'conv_1', { stride }),
    convolve(shifted, tensors, 'conv_2', { stride }),
  ]
  return normalise(cat(halves, 1), tensors, 'bn')
}

/** Copies in float64 with channels outermost: what the oracle computes with. */
function exact(tensors: Map<string, Tensor>): Map<string, Tensor> {
  return new Map([...tensors].map(([name, tensor]) => [name, to(tensor, { dtype: 'float64' })]))
}

/** Output, all gradients and all moved statistics of both. */
function compare(
  name: string,
  stride: 1 | 2,
  shape: readonly number[],
  tolerance: number,
  dtype: Dtype,
): void {
  const generator = new Generator(5, `${name} ${stride} ${shape}`)
  const operation = makeOperation(name, { channels: shape[1], stride, affine: false }, dtype)
  const x = channelsLast(randomTensor(shape, generator, dtype))
  const own = new Map([['x', x], ...namedParameters(operation)])
  const statistics = namedBuffers(operation)
  const [wanted, moved] = [exact(own), exact(statistics)]
  const leaves = [...own.values(), ...wanted.values()]
  setRequiresGrad(leaves, true)
  const y = run(operation, x)
  const what = `${name}, stride ${stride}, [${shape}], ${dtype}`
  const oracle = composed(name, wanted.get('x') ?? x, stride, new Map([...wanted, ...moved]))
  assertNear(y, oracle, tolerance, `output of ${what}`)
  const upstream = randomTensor(y.shape, generator, dtype)
  const gradients = grad(weighed(y, upstream), [...own.values()])
  const expected = grad(weighed(oracle, to(upstream, { dtype: 'float64' })), [...wanted.values()])
  for (const [i, part] of [...own.keys()].entries())
    assertNear(gradients[i], expected[i] ?? x, 5 * tolerance, `gradient of ${part} of ${what}`)
  for (const [part, tensor] of moved)
    assertNear(statistics.get(part), tensor, tolerance, `${part} of ${what}`)
}

/** Batch, channels, height, width: what fits vector registers of any width, and what does not. */
const shapes = [
  [2, 16, 8, 8],
  [3, 32, 4, 6],
  [2, 20, 6, 4],
  [1, 5, 10, 2],
  [7, 37, 2, 2],
]
const oddShapes = [
  [2, 16, 7, 7],
  [2, 3, 1, 5],
  [1, 24, 9, 3],
]

for (const name of names.filter((each) => each !== 'none'))
  test(`${name}: over many shapes the same as ATen's operators, float32 and float64`, () => {
    setThreads(2)
    for (const stride of [1, 2] as const)
      for (const shape of name === 'skip_connect' && stride === 2 ? shapes : [...shapes, ...oddShapes])
        tidy(() => {
          compare(name, stride, shape, 2e-5, 'float32')
          compare(name, stride, shape, 1e-12, 'float64')
        })
  })

const weightNames: Record<string, readonly string[]> = {
  none: [],
  max_pool_3x3: [],
  avg_pool_3x3: [],
  skip_connect: [],
  sep_conv_3x3: ['op.1', 'op.2', 'op.5', 'op.6'],
  sep_conv_5x5: ['op.1', 'op.2', 'op.5', 'op.6'],
  dil_conv_3x3: ['op.1', 'op.2'],
  dil_conv_5x5: ['op.1', 'op.2'],
}

test("weights have PyTorch's names and shapes", () => {
  const shapesOf = (module: Module) =>
    [...namedParameters(module)].map(([name, tensor]) => [name, tensor.shape])
  tidy(() => {
    for (const name of names) {
      const options = { channels: 6, stride: 1, affine: false } as const
      const kernel = name.endsWith('5x5') ? 5 : 3
      const wanted = weightNames[name].map((part, index) => [
        `${part}.weight`,
        index % 2 === 0 ? [6, 1, kernel, kernel] : [6, 6, 1, 1],
      ])
      assert.deepEqual(shapesOf(makeOperation(name, options, 'float32')), wanted)
    }
    const halves = readerOf(factorizedReduce(6, 5, true), [6], 'float32')
    const norm = ['weight', 'bias'].map((part) => [`bn.${part}`, [5]])
    const wanted = [['conv_1.weight', [2, 6, 1, 1]], ['conv_2.weight', [3, 6, 1, 1]], ...norm]
    assert.deepEqual(shapesOf(halves), wanted)
  })
})

// libtorch 1.13's oneDNN overruns its scratch: 1x1 of stride 2 in channels last, below 16 channels, from 48 x 48 pixels
for (const manner of ['kernels', 'ATen alone'])
  test(`reducing large images of few channels leaves the heap whole: ${manner}`, () => {
    const env: NodeJS.ProcessEnv = { ...process.env }
    delete env.NODE_TEST_CONTEXT
    const script = fileURLToPath(new URL('large-reduction.ts', import.meta.url))
    const args = [script, manner]
    const { status, signal, stdout } = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
    assert.deepEqual([status, signal, stdout], [0, null, 'done\n'])
  })
