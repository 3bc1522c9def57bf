/** Every DARTS operation: outputs, input and weight gradients, running statistics against the published code's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type InitContext,
  type Module,
  Network,
  namedBuffers,
  namedParameters,
  type Program,
} from '../../src/nn/index.ts'
import { factorizedReduce, operations, reluConvBn } from '../../src/spaces/darts/operations.ts'
import type { CellSpace } from '../../src/spaces/darts/space.ts'
import {
  channelsLast,
  copy,
  Generator,
  grad,
  mul,
  setRequiresGrad,
  sum,
  type Tensor,
  withoutKernels,
} from '../../src/torch/index.ts'
import { operationProgram, sequenceProgram } from '../unit/nn/programs.ts'
import { absent, assertClose, fixtureNames, readTensors, tensorOf } from './fixtures.ts'

const file = 'operations.safetensors'
const golden = fixtureNames(/^operations\./).includes(file) ? readTensors(file) : new Map<string, Tensor>()
const cases = new Set([...golden.keys()].map((name) => name.split('/')[0]))
const context: InitContext = { device: 'cpu', generator: new Generator(0) }
const known: CellSpace['operations'] = operations

/** Cases are called `sep_conv_3x3.stride2.search`, `relu_conv_bn.search`, …; the last kind prepares a cell's input. */
function programOf(name: string, inputs: number, outputs: number): Program {
  const [kind, ...rest] = name.split('.')
  const affine = rest.includes('affine')
  if (kind === 'relu_conv_bn') return sequenceProgram(reluConvBn(inputs, outputs, affine))
  if (kind === 'factorized_reduce') return sequenceProgram(factorizedReduce(inputs, outputs, affine))
  assert.ok(kind in operations, `no operation '${kind}'`)
  const stride = rest.includes('stride2') ? 2 : 1
  return operationProgram(known[kind]({ channels: inputs, stride, affine }))
}

function loadGolden(target: Map<string, Tensor>, prefix: string): void {
  for (const [name, tensor] of target) copy(tensor, tensorOf(golden, `${prefix}/${name}`))
}

function checkNames(module: Module, name: string): void {
  const of = (kind: string) =>
    [...golden.keys()].flatMap((key) =>
      key.startsWith(`${name}/${kind}/`) ? [key.slice(`${name}/${kind}/`.length)] : [],
    )
  assert.deepEqual([...namedParameters(module).keys()].sort(), of('param').sort())
  assert.deepEqual([...namedBuffers(module).keys()].sort(), of('buffer').sort())
}

function compare(name: string, layout: (x: Tensor) => Tensor): void {
  const get = (part: string) => tensorOf(golden, `${name}/${part}`)
  const x = layout(get('x'))
  const operation = new Network(programOf(name, x.shape[1], get('y').shape[1]), context)
  checkNames(operation, name)
  const parameters = namedParameters(operation)
  loadGolden(parameters, `${name}/param`)
  setRequiresGrad([x, ...parameters.values()], true)
  const y = operation.forward(x, { training: true }).logits
  assertClose(y, get('y'), `${name} y`)
  const gradients = grad(sum(mul(y, get('dy'))), [x, ...parameters.values()])
  assertClose(gradients[0], get('dx'), `${name} dx`)
  ;[...parameters.keys()].forEach((key, index) => {
    assertClose(gradients[index + 1], get(`grad/${key}`), `${name} gradient of ${key}`)
  })
  for (const [key, buffer] of namedBuffers(operation))
    assertClose(buffer, get(`buffer/${key}`), `${name} ${key}`)
  assertClose(operation.forward(x, { training: false }).logits, get('y_eval'), `${name} y_eval`)
}

test('golden values of operations', { skip: absent }, () => {
  assert.ok(cases.size > 0, `${file} is not in the folder, or empty`)
})

for (const name of cases) {
  test(`${name}, NCHW, ATen`, () => withoutKernels(() => compare(name, (x) => x)))
  test(`${name}, channels last, kernels`, () => compare(name, channelsLast))
}
