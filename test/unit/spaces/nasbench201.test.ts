/** NAS-Bench-201 as a space: text of architectures, sizes, weights that tell their network; bad input of each. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Network, stateDict } from '../../../src/nn/index.ts'
import {
  canonicalForm,
  edges,
  formatArchitecture,
  isConnected,
  operationNames,
  parseArchitecture,
} from '../../../src/spaces/nasbench201/architecture.ts'
import { nasbench201Space } from '../../../src/spaces/nasbench201/space.ts'
import { channelsLast, Generator, noGrad } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { randomTensor } from './numerical.ts'

const cells = fc.array(fc.constantFrom(...operationNames), { minLength: 6, maxLength: 6 })
const size = { channels: 4, cells: 6, classes: 7, kind: 'cifar', auxiliary: false } as const
const init = () => ({ device: 'cpu', generator: new Generator(0) })

test('an edge comes from every node before the one it goes into', () => {
  assert.deepEqual(
    edges.map(({ from, to }) => `${to}<-${from}`),
    ['1<-0', '2<-0', '2<-1', '3<-0', '3<-1', '3<-2'],
  )
})

test('architectures are written and read back', () => {
  fc.assert(
    fc.property(cells, (cell) => {
      assert.deepEqual(parseArchitecture(formatArchitecture(cell), 'text'), cell)
      assert.deepEqual(nasbench201Space.parse(` ${formatArchitecture(cell)}\n`, 'text'), { cell })
    }),
  )
})

test('malformed text is refused, saying what is wrong with it', () => {
  const right = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|'
  const wrong: [string, RegExp][] = [
    ['', /1 of 3 nodes/],
    ['|none~0|+|none~0|none~1|', /2 of 3 nodes/],
    [right.replace('nor_conv_1x1', 'conv'), /there is no operation 'conv' \(known are none, skip_connect/],
    [right.replace('nor_conv_1x1', 'constructor'), /there is no operation 'constructor'/],
    [right.replace('~2', '~1'), /'nor_conv_1x1~1' stands where node 2 is read/],
    [right.replace('~2', ''), /'nor_conv_1x1' stands where node 2 is read/],
    [right.replace('|none~1|nor', '|nor'), /node 3 has 2 operations, not 3/],
    [right.slice(1), /node 1 does not stand between bars/],
    [`${right}+|none~0|`, /4 of 3 nodes/],
  ]
  for (const [text, what] of wrong) assertRefuses(() => nasbench201Space.parse(text, 'line 1'), 'input', what)
  for (const value of [{ cell: ['none'] }, { cell: 3 }, [], null, '{', { cell: Array(6).fill('x') }])
    assertRefuses(() => nasbench201Space.parse(value, 'file'), 'input', /architecture file/)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) =>
      assertRefuses(() => nasbench201Space.parse(text, 'noise'), 'input', /noise/),
    ),
  )
})

test('cells that compute the same have one canonical form, and those that compute nothing', () => {
  const form = (text: string) => canonicalForm(parseArchitecture(text, 'text'))
  const [a, b] = [
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|',
    '|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|',
  ]
  assert.equal(form(a).replaceAll('#+', ''), form(b).replaceAll('#+', ''))
  fc.assert(
    fc.property(cells, (cell) => {
      assert.equal(isConnected(cell), /0/.test(canonicalForm(cell)), formatArchitecture(cell))
    }),
  )
})

test('sizes that cannot be are refused', () => {
  const { cell } = nasbench201Space.parse('|none~0|+|none~0|none~1|+|none~0|none~1|none~2|', 'text')
  assertRefuses(
    () => nasbench201Space.supernet({ channels: 4, cells: 4, classes: 10 }),
    'input',
    /4 cells cannot be divided among the 3 stages .* use a multiple of 3/,
  )
  const network = (options: object) => nasbench201Space.network({ cell }, { ...size, ...options })
  assertRefuses(() => network({ kind: 'imagenet' }), 'input', /begin at the size of the images/)
  assertRefuses(() => network({ channels: 0 }), 'input', /channels/)
})

test('a network is told from its weights, whatever its cells hold', () => {
  fc.assert(
    fc.property(cells, (cell) => {
      const network = new Network(nasbench201Space.network({ cell }, size), { ...init(), device: 'meta' })
      const shapes = new Map([...stateDict(network)].map(([name, { shape }]) => [name, shape]))
      assert.deepEqual(nasbench201Space.networkOf?.(shapes), size)
    }),
    { numRuns: 20 },
  )
  assert.equal(nasbench201Space.networkOf?.(new Map([['stem.0.weight', [12, 3, 3, 3]]])), undefined)
})

test('drop-path leaves residual blocks whole', () => {
  const cell = operationNames.map(() => 'nor_conv_1x1' as const).concat('nor_conv_1x1')
  const network = new Network(nasbench201Space.network({ cell }, { ...size, cells: 3 }), init())
  const x = channelsLast(randomTensor([2, 3, 8, 8], new Generator(1), 'float32'))
  const dropPath = { rate: 0.999, generator: new Generator(2) }
  // all of the cells is left out: what is left of an image comes by the residual blocks, or the logits were those of zeros
  const logits = noGrad(() => network.forward(x, { training: true, dropPath }).logits)
  assert.ok(logits.floats().every(Number.isFinite))
  const residual = network.program.states.filter(({ block }) => block === 'cells.1')
  for (const state of residual)
    if (state.kind === 'sum') assert.ok(state.terms.every(({ layers }) => layers.length === 0))
})
