/** The plain yardstick runs any program: layers of all kinds against a network of the same weights; what it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type PlainMixing, plainForward } from '../../../bench/plain.ts'
import {
  batchNorm2d,
  concat,
  conv2d,
  functional,
  gate,
  globalAvgPool2d,
  type InitContext,
  images,
  type Layer,
  Network,
  namedBuffers,
  namedParameters,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type State,
  sequential,
  shift,
  sigmoid,
  stateDict,
  type Term,
  zero,
} from '../../../src/nn/index.ts'
import { classifier } from '../../../src/spaces/classifier.ts'
import { networkProgram } from '../../../src/spaces/darts/programs.ts'
import { publishedGenotypes } from '../../../src/spaces/darts/published-genotypes.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import {
  Generator,
  grad,
  liveSlots,
  noGrad,
  setRequiresGrad,
  setThreads,
  tidy,
} from '../../../src/torch/index.ts'
import { assertNear, randomTensor, weighed } from '../spaces/numerical.ts'

setThreads(1)

const layersOf = (id: string, input: string, layers: Sequence): State => ({
  ...{ id, input, layers },
  ...{ kind: 'layers', name: id },
})

/** A row of candidates from one state, of which the first is nothing but zeros. */
function candidates(row: number, input: string, all: readonly Sequence[]): Term[] {
  return [[functional(zero(1))], ...all].map((layers, column) => ({
    ...{ input, layers },
    ...{ name: `ops.${row}.${column}`, operation: `${column}` },
    choice: { group: 'edges', row, column },
  }))
}

/** Layers of all kinds, sums with choices and without, states that are the tensor of another. */
function program(): Program {
  const squeeze = sequential('', [globalAvgPool2d, conv2d(4, 4, 1, { bias: true }), sigmoid])
  const halves = concat([
    sequential('a', [conv2d(4, 2, 1, { stride: 2 })]),
    [functional(shift), { name: 'b', layer: conv2d(4, 2, 1, { stride: 2 }) }],
  ])
  return {
    states: [
      layersOf('stem', images, sequential('', [conv2d(3, 4, 3, { bias: true }), batchNorm2d(4, true)])),
      layersOf('same', 'stem', []),
      {
        ...{ id: 'node', kind: 'sum' },
        terms: [
          ...candidates(0, 'stem', [
            [functional(pool2d('max', 1))],
            sequential('', [relu, conv2d(4, 4, 5, { groups: 4 }), conv2d(4, 4, 1), batchNorm2d(4, false)]),
          ]),
          ...candidates(1, 'same', [[], sequential('', [pool2d('avg', 1, 5, 2), sigmoid])]),
        ],
      },
      {
        ...{ id: 'more', kind: 'sum' },
        terms: [
          { input: 'node', name: '', layers: [], operation: 'skip' },
          { input: 'stem', name: 'gate', layers: [functional(gate(squeeze))], operation: 'gate' },
        ],
      },
      { id: 'alone', kind: 'sum', terms: [{ input: 'more', name: '', layers: [], operation: 'skip' }] },
      layersOf('half', 'alone', [functional(relu), { name: 'halves', layer: halves }]),
      {
        ...{ id: 'zeros', kind: 'sum' },
        terms: [{ input: 'node', name: '', layers: [functional(zero(2))], operation: 'none' }],
      },
      { id: 'both', kind: 'concat', inputs: ['half', 'zeros'] },
      layersOf('logits', 'both', classifier(8, 5, 'linear')),
    ],
    outputs: { logits: 'logits' },
    blocks: [],
    modules: [],
  }
}

const context = (): InitContext => ({ device: 'cpu', generator: new Generator(3), dtype: 'float64' })
const draw = (seed: number, ...shape: number[]) => randomTensor(shape, new Generator(seed), 'float64')

/** The same weights, images and mixing weights anew, and what they are taken the gradients of, by name. */
function make(program: Program, rows: number) {
  const network = new Network(program, context())
  const [x, weights] = [draw(4, 2, 3, 8, 8), draw(5, rows, 3)]
  const leaves = new Map([['images', x], ['weights', weights], ...namedParameters(network)])
  setRequiresGrad([...leaves.values()], true)
  return { network, x, weights, leaves }
}

/** Logits, gradients and moved statistics of the plain program and of a network. */
function compare(program: Program, mask: PlainMixing['mask'] = []): void {
  tidy(() => {
    const [own, plain] = [make(program, mask.length), make(program, mask.length)]
    const sampledOps = mask.map((row) => row.flatMap((here, k) => (here && k > 0 ? [k] : [])))
    const archWeights = () => ({ weights: own.weights, sampledOps })
    const { logits } = own.network.forward(own.x, { training: true, archWeights })
    const tensors = stateDict(plain.network)
    const wanted = plainForward(program, tensors, plain.x, () => ({ weights: plain.weights, mask }))
    assertNear(logits, wanted, 1e-12, 'logits')
    const upstream = draw(6, ...logits.shape)
    const gradients = grad(weighed(logits, upstream), [...own.leaves.values()])
    const expected = grad(weighed(wanted, upstream), [...plain.leaves.values()])
    for (const [index, name] of [...own.leaves.keys()].entries()) {
      const gradient = expected[index]
      if (gradient) assertNear(gradients[index], gradient, 1e-9, `gradient of ${name}`, 1)
      else assert.equal(gradients[index], null, `gradient of ${name}`)
    }
    for (const [name, moved] of namedBuffers(own.network)) {
      const theirs = tensors.get(name)
      assert.ok(theirs, name)
      assertNear(moved, theirs, 1e-12, name, 1)
    }
  })
}

test('layers of all kinds, sampled zeros, sums without choices, states that are the tensor of another', () => {
  for (const mask of [
    [
      [true, true, true],
      [true, true, true],
    ],
    [
      [false, true, false],
      [true, false, true],
    ],
    [
      [false, false, false],
      [false, true, false],
    ],
  ])
    compare(program(), mask)
})

test('the network of a genotype', () => {
  const genotype = publishedGenotypes.DDSAS_cifar10
  const shape = { kind: 'cifar', channels: 4, cells: 3, classes: 5 } as const
  compare(networkProgram(genotype, { ...shape, auxiliary: true }, darts))
})

test('images are left as they are, and nothing else stays but the logits', () => {
  tidy(() => {
    const { network, x, weights } = make(program(), 2)
    const mask = [
      [true, true, true],
      [false, true, true],
    ]
    const [before, pixels] = [liveSlots(), x.floats()]
    const run = () => plainForward(program(), stateDict(network), x, () => ({ weights, mask }))
    noGrad(() => tidy(() => run().floats()))
    assert.equal(liveSlots(), before)
    assert.deepEqual(x.floats(), pixels)
  })
})

test('what it cannot run is named: nothing sampled for a sum, a weight that is not there, a layer of one’s own', () => {
  tidy(() => {
    const { network, x, weights } = make(program(), 2)
    const nothing = () => ({
      weights,
      mask: [
        [false, false, false],
        [false, false, false],
      ],
    })
    assert.throws(() => plainForward(program(), stateDict(network), x, nothing), /the subspace for 'node'/)
    assert.throws(() => plainForward(program(), new Map(), x, nothing), /needs 'stem\.0\.weight'/)
    const own: Layer = {
      ...{ type: 'opaque', name: 'wavelet' },
      make: () => assert.fail('nobody makes it'),
      outputShape: (shape) => shape,
    }
    const states = [layersOf('logits', images, [functional(own)])]
    assert.throws(() => plainForward({ ...program(), states }, new Map(), x, nothing), /such as 'wavelet'/)
  })
})
