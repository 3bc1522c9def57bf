/** The supernet against the plain one of `bench/`, against central differences, and its size and names as published. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type PlainMixing, plainForward } from '../../../bench/plain.ts'
import {
  disposeModule,
  type InitContext,
  Network,
  namedBuffers,
  namedParameters,
  stateDict,
} from '../../../src/nn/index.ts'
import { type CellType, cellTypes } from '../../../src/spaces/darts/genotype.ts'
import { reductionCells, supernetProgram } from '../../../src/spaces/darts/programs.ts'
import { darts } from '../../../src/spaces/darts/space.ts'
import { maskTensor, mixingWeights } from '../../../src/strategies/ddsas/mixing-weights.ts'
import { sampleSubspace } from '../../../src/strategies/ddsas/subspace.ts'
import {
  channelsLast,
  crossEntropy,
  type Dtype,
  Generator,
  grad,
  liveSlots,
  noGrad,
  setRequiresGrad,
  setThreads,
  Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertNear, assertNearInNorm, checkGradients, randomTensor } from './numerical.ts'

setThreads(1)

interface Made {
  readonly supernet: Network
  readonly images: Tensor
  readonly labels: Tensor
  /** `alpha.normal`, `zeta.normal`, `alpha.reduce`, `zeta.reduce`. */
  readonly architecture: Map<string, Tensor>
  readonly masks: Record<CellType, boolean[][]>
}

function get(tensors: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const found = tensors.get(name)
  assert.ok(found, `there is no ${name}`)
  return found
}

/** A subspace of random scores; `none` takes places in it. */
function randomMask(size: number, generator: Generator): boolean[][] {
  const scores = Array.from({ length: 14 }, () => Array.from({ length: 8 }, () => generator.uniform()))
  const all = scores.map((row) => row.map(() => true))
  return sampleSubspace(scores, scores, all, { size, none: 0, noneCounts: true })
}

function make(channels: number, cells: number, size: number, subspace: number, dtype: Dtype): Made {
  const generator = new Generator(3, `${channels} ${cells} ${size} ${subspace}`)
  const context: InitContext = { device: 'cpu', generator, dtype }
  const supernet = new Network(supernetProgram(darts, { channels, cells, classes: 5 }), context)
  const architecture = new Map(
    ['alpha', 'zeta'].flatMap((kind) =>
      cellTypes.map((cell) => [`${kind}.${cell}`, randomTensor([14, 8], generator, dtype)] as const),
    ),
  )
  const images = channelsLast(randomTensor([3, 3, size, size], generator, dtype))
  const labels = Tensor.from(BigInt64Array.of(4n, 0n, 2n), [3])
  const masks = { normal: randomMask(subspace, generator), reduce: randomMask(subspace, generator) }
  return { supernet, images, labels, architecture, masks }
}

const cellNamed = (group: string) => cellTypes.find((type) => type === group) ?? assert.fail(group)

const weightsOf = ({ architecture, masks }: Made, cell: CellType) =>
  mixingWeights(
    get(architecture, `alpha.${cell}`),
    get(architecture, `zeta.${cell}`),
    maskTensor(masks[cell], 'cpu'),
    'simple',
  )

const columns = (mask: boolean[][]) =>
  mask.map((row) => row.flatMap((here, k) => (here && k !== 0 ? [k] : [])))

function logits(made: Made, training = true): Tensor {
  const archWeights = (group: string) => {
    const cell = cellNamed(group)
    return { weights: weightsOf(made, cell), sampledOps: columns(made.masks[cell]) }
  }
  return made.supernet.forward(made.images, { training, archWeights }).logits
}

function loss(made: Made): Tensor {
  return tidy(() => crossEntropy(logits(made), made.labels))
}

test('gradients of weights, alpha, zeta and images agree with central differences', () => {
  tidy(() => {
    const made = make(4, 3, 8, 40, 'float64')
    const all = namedParameters(made.supernet)
    setRequiresGrad([...all.values()], true)
    const gradients = grad(loss(made), [...all.values()])
    const active = [...all].filter((_, index) => gradients[index] !== null)
    assert.ok(active.length > 40 && active.length < all.size)
    // an operation of each kind in each cell will do
    const some = active.filter(([name], index) => !name.includes('_ops') || index % 4 === 0)
    const leaves = new Map([['images', made.images], ...made.architecture, ...some])
    checkGradients(() => loss(made), leaves, new Generator(4), { tolerance: 1e-5 })
  })
})

/** The same weights and statistics, architecture and images, each as its own leaf. */
function plainTwin(made: Made) {
  const copy = (tensors: ReadonlyMap<string, Tensor>) =>
    new Map([...tensors].map(([name, tensor]) => [name, to(tensor, { dtype: 'float64' })]))
  const tensors = copy(stateDict(made.supernet))
  const twin: Made = {
    ...made,
    architecture: copy(made.architecture),
    images: to(made.images, { dtype: 'float64' }),
  }
  const mixing = (group: string): PlainMixing => {
    const cell = cellNamed(group)
    return { weights: weightsOf(twin, cell), mask: made.masks[cell] }
  }
  const forward = () => plainForward(made.supernet.program, tensors, twin.images, mixing)
  return { tensors, twin, forward }
}

/** Logits, gradients of everything and moved statistics of both; `near` judges gradients. */
function compare(
  made: Made,
  tolerance: number,
  near: (a: Tensor | null, b: Tensor, what: string) => void,
): void {
  tidy(() => {
    const { tensors, twin, forward } = plainTwin(made)
    const parameters = namedParameters(made.supernet)
    const own = new Map([['images', made.images], ...made.architecture, ...parameters])
    const plain = new Map([['images', twin.images], ...twin.architecture, ...tensors])
    const theirs = [...own.keys()].map((name) => get(plain, name))
    setRequiresGrad([...own.values(), ...theirs], true)
    const [ours, wanted] = [logits(made), forward()]
    assertNear(ours, wanted, tolerance, 'logits')
    const gradients = grad(crossEntropy(ours, made.labels), [...own.values()])
    const expected = grad(crossEntropy(wanted, made.labels), theirs)
    for (const [index, name] of [...own.keys()].entries()) {
      const gradient = expected[index]
      if (gradient) near(gradients[index], gradient, `gradient of ${name}`)
      else assert.equal(gradients[index], null, `gradient of ${name}`)
    }
    for (const [name, statistics] of namedBuffers(made.supernet))
      assertNear(statistics, get(tensors, name), tolerance, name, 1)
  })
}

for (const subspace of [15, 40, 112])
  test(`L = ${subspace}: the same as the plain supernet in float64`, () => {
    tidy(() => {
      const made = make(4, 4, 8, subspace, 'float64')
      const withNone = cellTypes.some((cell) => made.masks[cell].some((row) => row[0]))
      assert.ok(withNone || subspace === 15, 'some subspaces contain none')
      compare(made, 1e-10, (actual, wanted, what) => assertNear(actual, wanted, 1e-9, what))
    })
  })

test('float32 with 16 channels: the same as the plain supernet to rounding', () => {
  tidy(() => {
    // rounding puts some activations on the other side of a kink, which moves some gradients by more than rounding
    const near = (actual: Tensor | null, wanted: Tensor, what: string) =>
      assertNearInNorm(actual, wanted, 0.02, what)
    compare(make(16, 3, 16, 28, 'float32'), 1e-4, near)
  })
})

test('only the weights of active operations have gradients, and only their statistics move', () => {
  tidy(() => {
    const made = make(4, 3, 8, 28, 'float64')
    const parameters = namedParameters(made.supernet)
    setRequiresGrad([...parameters.values()], true)
    const gradients = grad(loss(made), [...parameters.values()])
    const runs = (name: string) => {
      const [, cell, edge, k] = /^cells\.(\d+)\._ops\.(\d+)\._ops\.(\d+)/.exec(name) ?? []
      if (cell === undefined) return true
      return made.masks[reductionCells(3).includes(Number(cell)) ? 'reduce' : 'normal'][Number(edge)][
        Number(k)
      ]
    }
    for (const [index, name] of [...parameters.keys()].entries())
      assert.equal(gradients[index] !== null, runs(name), name)
    for (const [name, tensor] of namedBuffers(made.supernet)) {
      const moved = tensor.floats().some((value) => value !== (name.endsWith('mean') ? 0 : 1))
      assert.equal(moved, runs(name), name)
    }
  })
})

test('in evaluation the statistics stay and images do not see one another', () => {
  tidy(() => {
    const made = make(4, 3, 8, 28, 'float64')
    noGrad(() => logits(made))
    const buffers = [...namedBuffers(made.supernet).values()]
    const before = buffers.map((buffer) => buffer.bytes())
    const all = logits(made, false).matrix()
    assert.deepEqual(
      buffers.map((buffer) => buffer.bytes()),
      before,
    )
    const size = made.images.size / 3
    const last = Tensor.from(made.images.floats().subarray(2 * size), [1, 3, 8, 8])
    const [alone] = logits({ ...made, images: last }, false).matrix()
    for (const [i, value] of alone.entries()) assert.ok(Math.abs(value - all[2][i]) < 1e-12)
  })
})

test('the published size: C = 16, 8 cells, 10 classes have 1,930,618 parameters', () => {
  const before = liveSlots()
  const context: InitContext = { device: 'cpu', generator: new Generator(0) }
  const supernet = new Network(supernetProgram(darts, { channels: 16, cells: 8, classes: 10 }), context)
  const sizes = [...namedParameters(supernet).values()].map((tensor) => tensor.size)
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    1_930_618,
  )
  disposeModule(supernet)
  assert.equal(liveSlots(), before)
})

test("names are those of the published code's checkpoints", () => {
  tidy(() => {
    const state = stateDict(make(4, 3, 8, 28, 'float32').supernet)
    const shapes: Record<string, number[]> = {
      'stem.0.weight': [12, 3, 3, 3],
      'stem.1.weight': [12],
      'stem.1.running_var': [12],
      'cells.0.preprocess0.op.1.weight': [4, 12, 1, 1],
      'cells.0._ops.1._ops.4.op.1.weight': [4, 1, 3, 3],
      'cells.0._ops.13._ops.5.op.6.weight': [4, 4, 1, 1],
      'cells.0._ops.0._ops.1.1.running_mean': [4],
      'cells.1._ops.0._ops.3.conv_1.weight': [4, 8, 1, 1],
      'cells.2.preprocess0.conv_2.weight': [8, 16, 1, 1],
      'cells.2.preprocess1.op.2.running_mean': [16],
      'classifier.weight': [5, 64],
      'classifier.bias': [5],
    }
    for (const [name, shape] of Object.entries(shapes)) assert.deepEqual(get(state, name).shape, shape, name)
    assert.equal(state.has('cells.0._ops.0._ops.3.conv_1.weight'), false, 'a skip of stride 1 has no weights')
    assert.equal(state.has('cells.0._ops.0._ops.4.op.3.weight'), false, 'norms inside cells have no affine')
  })
})

test('reduction cells stand at a third and two thirds', () => {
  assert.deepEqual([3, 5, 8, 20].map(reductionCells), [
    [1, 2],
    [1, 3],
    [2, 5],
    [6, 13],
  ])
})
