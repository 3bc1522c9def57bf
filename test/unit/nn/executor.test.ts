/** A network by the kernels against the same layer by layer: outputs, gradients, statistics; what is freed, and when. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ArchWeights,
  type ArchWeightsOf,
  conv2d,
  disposeModule,
  functional,
  type InitContext,
  images,
  type Layer,
  layersOf,
  Network,
  namedBuffers,
  namedParameters,
  type Pass,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type State,
  sequential,
  sigmoid,
  type Term,
  zero,
} from '../../../src/nn/index.ts'
import { type Operation, operations } from '../../../src/spaces/darts/operations.ts'
import {
  add,
  avgPool2d,
  channelsLast,
  clone,
  type Dtype,
  Generator,
  grad,
  instructionSets,
  liveSlots,
  mul,
  noGrad,
  reshape,
  setRequiresGrad,
  setThreads,
  sum,
  type Tensor,
  tidy,
  to,
} from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { assertNear, assertNearInNorm, randomTensor, weighed } from '../spaces/numerical.ts'
import { runsIn } from '../torch/runs.ts'
import { madeState, operationProgram, partsOfImages, programOf, sequenceProgram, termOf } from './programs.ts'
import { columns, type RandomProgram, randomPrograms, scaling } from './random-programs.ts'

setThreads(1)

const contextOf = (dtype: Dtype = 'float64'): InitContext => ({
  device: 'cpu',
  generator: new Generator(0, 'weights'),
  dtype,
})

/** How a network is computed. */
interface Manner {
  readonly plain: boolean
  readonly dtype: Dtype
  readonly training: boolean
  readonly drop?: number
}

const draw = (shape: readonly number[], seed: string, dtype: Dtype) =>
  tidy(() => to(randomTensor(shape, new Generator(1, seed)), { dtype }))

/** Everything that two passes give: outputs, gradients of all that takes part, moved statistics. */
function everything(
  { program, input, sampledOps }: RandomProgram,
  { plain, dtype, training, drop }: Manner,
): Map<string, Tensor | null> {
  const network = new Network(program, contextOf(dtype), { plain })
  const x = channelsLast(draw([3, ...input], 'images', dtype))
  const weights = draw([Math.max(1, sampledOps.length), columns], 'weights', dtype)
  const archWeights: ArchWeightsOf = () => ({ weights, sampledOps })
  const leaves = new Map([['images', x], ['weights', weights], ...namedParameters(network)])
  const found = new Map<string, Tensor | null>()
  const pass = (how: Partial<Pass>, what: string) => {
    setRequiresGrad([...leaves.values()], true)
    const { logits, auxiliary } = network.forward(x, { training, archWeights, auxiliary: true, ...how })
    const outputs = [['logits', logits] as const, ...(auxiliary ? [['auxiliary', auxiliary] as const] : [])]
    const parts = outputs.map(([name, y]) => weighed(y, draw(y.shape, name, dtype)))
    const gradients = grad(
      parts.reduce((total, part) => add(total, part)),
      [...leaves.values()],
    )
    setRequiresGrad([...leaves.values()], false)
    for (const [name, y] of outputs) found.set(`${what} ${name}`, y)
    for (const [index, name] of [...leaves.keys()].entries())
      found.set(`${what} gradient of ${name}`, gradients[index])
  }
  pass({}, 'first')
  // the second goes by statistics that the first moved
  const dropPath = drop === undefined ? undefined : { rate: drop, generator: new Generator(2) }
  pass({ dropPath }, 'second')
  for (const [name, statistics] of namedBuffers(network)) found.set(name, clone(statistics))
  disposeModule(network)
  return found
}

type Judge = (own: Tensor | null | undefined, wanted: Tensor, what: string) => void

function compare(given: RandomProgram, own: Manner, oracle: Manner, near: Judge): void {
  const before = liveSlots()
  tidy(() => {
    const [actual, wanted] = [own, oracle].map((manner) => everything(given, manner))
    assert.deepEqual([...actual.keys()], [...wanted.keys()])
    for (const [name, tensor] of wanted) {
      if (tensor) near(actual.get(name), tensor, name)
      else assert.equal(actual.get(name), null, name)
    }
  })
  assert.equal(liveSlots(), before)
}

const exactly: Judge = (own, wanted, what) => assertNear(own, wanted, 1e-10, what, 1)

/** In float64, training and evaluation, with drop-path too: nothing differs but the order of sums. */
function compareExactly(given: RandomProgram): void {
  for (const training of [true, false]) {
    const manner = { dtype: 'float64', training, drop: 0.4 } as const
    compare(given, { ...manner, plain: false }, { ...manner, plain: true }, exactly)
  }
}

const known: Readonly<Record<string, Operation>> = operations

for (const name of Object.keys(operations))
  test(`${name}: the same as layer by layer, alone, as a term and after parts`, () => {
    for (const stride of [1, 2] as const)
      for (const affine of [true, false]) {
        const layers = known[name]({ channels: 4, stride, affine })
        const input = [4, 6, 8] as const
        const after: State = { id: 'out', kind: 'layers', input: 's', name: '', layers }
        const programs = [
          operationProgram(layers),
          sequenceProgram(layers),
          programOf([...partsOfImages('s', [1, 3]), after]),
        ]
        for (const program of programs) compareExactly({ program, input, sampledOps: [] })
      }
  })

test('random programs: the same as layer by layer in float64', () => {
  const kinds = new Set<string>()
  fc.assert(
    fc.property(randomPrograms, (given) => {
      for (const state of given.program.states) for (const { layer } of layersOf(state)) kinds.add(layer.type)
      compareExactly(given)
    }),
    { numRuns: 150, seed: 3 },
  )
  assert.equal(kinds.size, 16, [...kinds].join())
})

test('random programs: the kernels give what float64 gives layer by layer, to rounding', () => {
  const { ran } = runsIn(() =>
    fc.assert(
      fc.property(randomPrograms, (given) => {
        const near: Judge = (own, wanted, what) => assertNearInNorm(own, wanted, 1e-3, what, 1)
        for (const training of [true, false])
          compare(
            given,
            { plain: false, dtype: 'float32', training },
            { plain: true, dtype: 'float64', training },
            near,
          )
      }),
      { numRuns: 100, seed: 4 },
    ),
  )
  for (const kernel of ['separable', 'fan_out', 'max_pool3', 'relu_pointwise', 'factorized_reduce', 'mix'])
    assert.ok(ran.includes(`${kernel}/${instructionSets().used}`), `${kernel} did not run: ${ran.join()}`)
})

/** A chain of states by convolutions; what is alive when each begins is noted by a layer of one's own. */
function chain(length: number, seen: number[]): State[] {
  const watch: Layer = {
    type: 'opaque',
    name: 'watch',
    make: () => ({
      forward: (x) => {
        seen.push(liveSlots())
        return x
      },
    }),
    outputShape: (shape) => shape,
  }
  return Array.from({ length }, (_, index) => ({
    id: `s${index}`,
    kind: 'layers',
    input: index === 0 ? images : `s${index - 1}`,
    name: `s${index}`,
    layers: [{ name: 'watch', layer: watch }, ...sequential('', [relu, conv2d(3, 3, 1)])],
  }))
}

for (const plain of [false, true])
  test(`what nobody reads any more is freed on the way${plain ? ', layer by layer' : ''}`, () => {
    tidy(() => {
      const seen: number[] = []
      const network = new Network(programOf(chain(12, seen)), contextOf(), { plain })
      const x = draw([2, 3, 4, 4], 'images', 'float64')
      noGrad(() => network.forward(x, { training: true }))
      const later = seen.slice(1)
      assert.equal(later.length, 11)
      assert.equal(new Set(later).size, 1, seen.join())
      disposeModule(network)
    })
  })

/** A program with all that hands states on: a sum, a concatenation read whole and in parts, a state as it is. */
function manyReaders(): Program {
  const conv = (id: string, input: string, channels: number): State => ({
    id,
    kind: 'layers',
    input,
    name: id,
    layers: sequential('', [relu, conv2d(channels, 3, 1)]),
  })
  return {
    ...programOf([
      conv('a', images, 3),
      conv('b', 'a', 3),
      {
        id: 'sum',
        kind: 'sum',
        terms: [termOf([], 'a', 'sum.0'), termOf([], 'b', 'sum.1'), termOf([], images)],
      },
      { id: 'apart', kind: 'concat', inputs: ['a', 'sum', images] },
      { id: 'whole', kind: 'concat', inputs: ['sum', 'a'] },
      { id: 'same', kind: 'layers', input: 'sum', name: 'same', layers: [] },
      conv('c', 'apart', 9),
      conv('d', 'whole', 6),
      { id: 'all', kind: 'concat', inputs: ['whole', 'c', 'd', 'same'] },
    ]),
    outputs: { logits: 'all', auxiliary: 'whole' },
  }
}

for (const plain of [false, true])
  test(`a pass leaves its outputs alone, and the caller's images as they were${plain ? ', layer by layer' : ''}`, () => {
    tidy(() => {
      const network = new Network(manyReaders(), contextOf(), { plain })
      const x = draw([2, 3, 4, 4], 'images', 'float64')
      const values = [...x.floats()]
      const leaves = [x, ...namedParameters(network).values()]
      const pass = (auxiliary: boolean) => network.forward(x, { training: true, auxiliary })
      const before = liveSlots()
      for (const recording of [true, false])
        for (const auxiliary of [true, false]) {
          setRequiresGrad(leaves, recording)
          tidy(() => {
            const outputs = pass(auxiliary)
            assert.equal(liveSlots(), before + (auxiliary ? 2 : 1))
            assert.deepEqual(outputs.logits.shape, [2, 15, 4, 4])
            assert.deepEqual(outputs.auxiliary?.shape, auxiliary ? [2, 6, 4, 4] : undefined)
            if (recording) grad(sum(outputs.logits), leaves)
          })
          assert.equal(liveSlots(), before)
        }
      assert.deepEqual([...x.floats()], values)
      disposeModule(network)
    })
  })

test("images that are themselves what a state hands on stay the caller's", () => {
  tidy(() => {
    const same: State = { id: 'same', kind: 'layers', input: images, name: 'same', layers: [] }
    const network = new Network(
      programOf([same, { id: 'out', kind: 'concat', inputs: ['same'] }]),
      contextOf(),
    )
    const x = draw([2, 3, 4, 4], 'images', 'float64')
    for (const training of [true, false])
      assert.deepEqual([...network.forward(x, { training }).logits.floats()], [...x.floats()])
    assert.equal(x.shape.length, 4)
  })
})

test('a state that is read beside the outputs asked for is not computed', () => {
  tidy(() => {
    const ran: string[] = []
    const counted = (id: string) =>
      madeState(id, (x) => {
        ran.push(id)
        return mul(x, 2)
      })
    const program = { ...programOf([counted('a'), counted('b')]), outputs: { logits: 'a', auxiliary: 'b' } }
    const network = new Network(program, contextOf())
    const x = draw([1, 3, 2, 2], 'images', 'float64')
    network.forward(x, { training: true })
    assert.deepEqual(ran.splice(0), ['a'])
    network.forward(x, { training: true, auxiliary: true })
    assert.deepEqual(ran.splice(0), ['a', 'b'])
  })
})

/** Rows of one group: terms of a supernet's sum. */
const chosen = (layers: Sequence, row: number, column: number): Term => ({
  ...termOf(layers, images, `${row}.${column}`),
  choice: { group: 'g', row, column },
})
const weighing = (sampledOps: ArchWeights['sampledOps'], weights: Tensor) => () => ({ weights, sampledOps })

for (const plain of [false, true])
  test(`a term of zeros beside others changes nothing, alone it is zeros${plain ? ', layer by layer' : ''}`, () => {
    tidy(() => {
      const none = [functional(zero(2))]
      const pool = [functional(pool2d('avg', 2))]
      const program = programOf([
        { id: 'a', kind: 'sum', terms: [chosen(none, 0, 0), chosen(pool, 0, 1), chosen(pool, 1, 1)] },
      ])
      const network = new Network(program, contextOf(), { plain })
      const x = draw([2, 3, 4, 4], 'images', 'float64')
      const weights = draw([2, 2], 'weights', 'float64')
      const [[, w01], [, w11]] = weights.matrix()
      const run = (sampledOps: ArchWeights['sampledOps']) => {
        setRequiresGrad([x, weights], true)
        const { logits } = network.forward(x, { training: true, archWeights: weighing(sampledOps, weights) })
        const gradients = grad(sum(logits), [x, weights])
        setRequiresGrad([x, weights], false)
        return { values: [...logits.floats()], shape: logits.shape, gradients }
      }
      const pooled = avgPool2d(x, 3, 2, 1).floats()
      const both = run([[0, 1], [1]])
      for (const [i, value] of both.values.entries())
        assert.ok(Math.abs(value - (w01 + w11) * pooled[i]) < 1e-12)
      const one = run([[0, 1], []])
      for (const [i, value] of one.values.entries()) assert.ok(Math.abs(value - w01 * pooled[i]) < 1e-12)
      assert.deepEqual(
        one.gradients[1]?.matrix().map((row) => row.map((value) => value !== 0)),
        [
          [false, true],
          [false, false],
        ],
      )
      // nothing but none is sampled, as such or since nothing else is
      for (const sampledOps of [
        [[0], []],
        [[], []],
      ]) {
        const zeros = run(sampledOps)
        assert.deepEqual(zeros.shape, [2, 3, 2, 2])
        assert.ok(zeros.values.every((value) => value === 0))
        assert.ok(zeros.gradients[0]?.floats().every((value) => value === 0))
        assert.equal(zeros.gradients[1], null)
      }
    })
  })

test('layers that only pass through zeros are no term of zeros', () => {
  tidy(() => {
    const layers = [functional(zero(1)), functional(sigmoid)]
    const network = new Network(operationProgram(layers), contextOf())
    const x = draw([2, 3, 4, 4], 'images', 'float64')
    const { logits } = network.forward(x, { training: true })
    assert.ok(logits.floats().every((value) => value === 0.5))
    const beside = programOf([{ id: 'out', kind: 'sum', terms: [termOf(layers), termOf([])] }])
    const sums = new Network(beside, contextOf()).forward(x, { training: true }).logits.floats()
    for (const [i, value] of x.floats().entries()) assert.ok(Math.abs(sums[i] - value - 0.5) < 1e-12)
  })
})

test('a sum of which nothing runs, and a supernet without weights of its candidates, are refused by name', () => {
  tidy(() => {
    const program = programOf([{ id: 'node', kind: 'sum', terms: [chosen([], 0, 0), chosen([], 0, 1)] }])
    const network = new Network(program, contextOf())
    const x = draw([2, 3, 4, 4], 'images', 'float64')
    const weights = draw([1, 2], 'weights', 'float64')
    const before = liveSlots()
    assertRefuses(
      () => network.forward(x, { training: true, archWeights: weighing([[]], weights) }),
      'input',
      /^'node' is a sum of nothing: sample at least one/,
    )
    assertRefuses(
      () => network.forward(x, { training: true }),
      'input',
      /^'node' is a choice: a supernet needs archWeights/,
    )
    assert.equal(liveSlots(), before)
  })
})

test('drop-path leaves out terms for whole images, scales what is kept, and never what passes its input on', () => {
  tidy(() => {
    // 1.5 x that may be left out, and x + 2 x that stay
    const terms = [termOf([{ name: 'scaling', layer: scaling(3) }]), termOf([]), termOf([], 'twice')]
    const twice = madeState('twice', (x) => mul(x, 2))
    const network = new Network(programOf([twice, { id: 'out', kind: 'sum', terms }]), contextOf())
    const x = draw([40, 3, 2, 2], 'images', 'float64')
    const dropPath = { rate: 0.25, generator: new Generator(5) }
    const rows = (of: Tensor) => reshape(of, [40, 12]).matrix()
    const values = rows(network.forward(x, { training: true, dropPath }).logits)
    const found = rows(x).map((row, image) => {
      const kept = (values[image][0] / row[0] - 3) / 1.5
      for (const [i, value] of row.entries())
        assert.ok(Math.abs(values[image][i] - (3 + 1.5 * kept) * value) < 1e-6)
      return kept
    })
    for (const kept of found) assert.ok(Math.min(Math.abs(kept), Math.abs(kept - 4 / 3)) < 1e-6, `${kept}`)
    const dropped = found.filter((kept) => kept < 1).length
    assert.ok(dropped > 3 && dropped < 20, `${dropped} of 40`)
    disposeModule(network)
  })
})

test('readers of one state share its ReLU: one is taken, and gradients come back through it', () => {
  tidy(() => {
    const init = { device: 'cpu', generator: new Generator(3) }
    const terms = [3, 3, 5].map((kernel, index) =>
      termOf(sequential('', [relu, conv2d(3, 4, kernel)]), images, `t${index}`),
    )
    const program = programOf([{ id: 'sum', kind: 'sum', terms }])
    const [network, plain] = [false, true].map(
      (how) => new Network(program, { ...init, generator: new Generator(3) }, { plain: how }),
    )
    const x = randomTensor([2, 3, 6, 6], new Generator(4), 'float32')
    setRequiresGrad([x], true)
    const of = (one: Network) => {
      const { logits } = one.forward(x, { training: true })
      return [logits, grad(sum(mul(logits, logits)), [x])[0] ?? assert.fail()]
    }
    const [own, wanted] = [of(network), of(plain)]
    for (const [index, tensor] of own.entries())
      assertNear(
        to(tensor, { dtype: 'float64' }),
        to(wanted[index], { dtype: 'float64' }),
        1e-5,
        String(index),
      )
  })
})
