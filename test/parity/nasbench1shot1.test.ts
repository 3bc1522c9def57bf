/** NAS-Bench-1Shot1: supernets of the three spaces and the graphs of their cells against the published code's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import {
  type ArchWeightsOf,
  type InitContext,
  Network,
  namedBuffers,
  namedParameters,
} from '../../src/nn/index.ts'
import {
  handedGraph,
  nasbench101Graph,
  type SpaceNumber,
} from '../../src/spaces/nasbench1shot1/architecture.ts'
import { nasbench1shot1Space } from '../../src/spaces/nasbench1shot1/space.ts'
import { adjacencyOf, pruned } from '../../src/spaces/nasbench101/graph.ts'
import {
  call,
  channelsLast,
  copy,
  crossEntropy,
  Generator,
  grad,
  keep,
  mul,
  noGrad,
  setRequiresGrad,
  softmax,
  type Tensor,
  tidy,
  to,
  typeAs,
  withoutKernels,
} from '../../src/torch/index.ts'
import { absent, assertClose, below, readJson, readTensors, tensorOf } from './fixtures.ts'
import { given, type Handler, intercept } from './intercept.ts'
import { rounding } from './kinks.ts'

type Layout = (x: Tensor) => Tensor

const manners: Readonly<Record<string, (body: (layout: Layout) => void) => void>> = {
  'NCHW, ATen': (body) => withoutKernels(() => body((x) => x)),
  'channels last, kernels': (body) => body(channelsLast),
}

/** 2-norm of the difference against that of the golden values. */
function assertNorm(actual: Tensor | null | undefined, golden: Tensor, what: string): void {
  assert.ok(actual, `${what} is missing`)
  assert.deepEqual(actual.shape, golden.shape, what)
  const [got, wanted] = [actual.floats(), golden.floats()]
  const distance = Math.hypot(...[...got].map((value, index) => value - wanted[index]))
  assert.ok(distance <= 1e-4 * Math.hypot(...wanted), `${what}: ${distance} away of ${Math.hypot(...wanted)}`)
}

/** What every ReLU lets through, in the order in which they run. */
class Gates {
  readonly #found: Tensor[] = []
  /** How many activations were let through, or not, against their sign. */
  turned = 0

  record(body: () => void): void {
    const by: Handler = (_, [x]) => {
      this.#found.push(keep(tidy(() => call('aten::gt.Scalar', given(x), 0))))
      return undefined
    }
    intercept(/^aten::relu$/, by, body)
  }

  /** Lets through what was recorded: rounding may find the other sign, near zero alone. */
  follow(body: () => void): void {
    const next = this.#found.values()
    const by: Handler = (_, [slot]) => {
      const gate = next.next().value
      assert.ok(gate, 'another ReLU runs than before')
      const [own, through, values] = tidy(() => {
        const x = given(slot)
        return [call('aten::gt.Scalar', x, 0).bytes(), gate.bytes(), x.floats()]
      })
      if (Buffer.compare(own, through) === 0) return undefined
      const largest = Math.max(...values.map(Math.abs))
      for (const [at, value] of values.entries()) {
        if (own[at] === through[at]) continue
        this.turned += 1
        assert.ok(Math.abs(value) <= rounding * largest, `${value} of ${largest} has the other sign`)
      }
      const x = given(slot)
      return keep(mul(x, typeAs(gate, x))).slot
    }
    intercept(/^aten::relu$/, by, body)
    assert.ok(next.next().done, 'fewer ReLUs run than before')
  }
}

/** Holds a supernet to all golden values; `run`: its training pass. */
function supernetMatches(
  number: SpaceNumber,
  dtype: 'float32' | 'float64',
  layout: Layout,
  run: (pass: () => void) => void,
): void {
  const read = (tensor: Tensor) => to(tensor, { dtype })
  const golden = readTensors(`methods/nasbench1shot1.space${number}.safetensors`)
  const space = nasbench1shot1Space(number)
  const context: InitContext = { device: 'cpu', generator: new Generator(0), dtype }
  const network = new Network(space.supernet({ channels: 4, cells: 3, classes: 10 }), context)
  const parameters = namedParameters(network)
  const wanted = below(golden, 'init/', (name) => !name.startsWith('alpha.'))
  assert.deepEqual([...parameters.keys()], [...wanted.keys()], 'names, in their order')
  for (const [key, tensor] of parameters) copy(tensor, read(tensorOf(wanted, key)))
  const alphas = new Map(
    [...below(golden, 'init/', (name) => name.startsWith('alpha.'))].map(([name, x]) => [name, read(x)]),
  )
  assert.deepEqual(
    space.choices.map(({ name, rows, candidates }) => [`alpha.${name}`, [rows, candidates.length]]),
    [...alphas].map(([name, { shape }]) => [name, shape]),
    'groups of decisions',
  )
  const all = [...alphas.values(), ...parameters.values()]
  setRequiresGrad(all, true)
  const archWeights: ArchWeightsOf = (group) => {
    const alpha = tensorOf(alphas, `alpha.${group}`)
    const [rows, columns] = alpha.shape
    const sampledOps = Array.from({ length: rows }, () => Array.from({ length: columns }, (_, k) => k))
    return { weights: softmax(alpha, 1), sampledOps }
  }
  const x = layout(read(tensorOf(golden, 'x')))
  run(() => {
    const { logits } = network.forward(x, { training: true, archWeights })
    assertClose(logits, tensorOf(golden, 'logits'), 'logits')
    const loss = crossEntropy(logits, tensorOf(golden, 'y'))
    assert.ok(Math.abs(loss.item() - tensorOf(golden, 'loss').item()) < 1e-5)
    const gradients = grad(loss, all)
    const compared = [...alphas.keys(), ...parameters.keys()].filter((key, index) => {
      const expected = golden.get(`grad/${key}`)
      if (expected) assertNorm(gradients[index], expected, key)
      return expected !== undefined
    })
    assert.ok(compared.length > alphas.size + 20)
  })
  const buffers = namedBuffers(network)
  const statistics = below(golden, 'buffer/')
  assert.equal(statistics.size, 6)
  for (const [key, expected] of statistics) assertClose(buffers.get(key) ?? null, expected, key)
  const evaluated = noGrad(() => network.forward(x, { training: false, archWeights }).logits)
  assertClose(evaluated, tensorOf(golden, 'eval.logits'), 'eval.logits')
}

const cellSchema = z.object({
  matrix: z.array(z.array(z.number())),
  ops: z.array(z.string()),
  valid: z.literal(true),
  pruned_matrix: z.array(z.array(z.number())),
  pruned_ops: z.array(z.string()),
})
const alphaSchema = z.record(z.string(), z.array(z.array(z.number())))

for (const number of [1, 2, 3] as const) {
  test(`the supernet of space ${number}: float64, then float32 along its ReLUs`, { skip: absent }, (t) =>
    tidy(() => {
      const gates = new Gates()
      withoutKernels(() =>
        supernetMatches(
          number,
          'float64',
          (x) => x,
          (pass) => gates.record(pass),
        ),
      )
      for (const [manner, run] of Object.entries(manners)) {
        run((layout) => supernetMatches(number, 'float32', layout, (pass) => gates.follow(pass)))
        t.diagnostic(`${manner}: ${gates.turned} activations near zero went along`)
        assert.ok(gates.turned <= 10)
      }
    }),
  )

  test(`cells of space ${number}: what is handed to NAS-Bench-101, and what is left of it`, {
    skip: absent,
  }, () => {
    const space = nasbench1shot1Space(number)
    const file = z
      .object({ cell: cellSchema, more_cells: z.array(z.looseObject({})), alpha_names: z.array(z.string()) })
      .parse(readJson(`methods/nasbench1shot1.space${number}.json`))
    const tensors = readTensors(`methods/nasbench1shot1.space${number}.safetensors`)
    const first = Object.fromEntries(
      file.alpha_names.map((name) => [name, tensorOf(tensors, `init/${name}`).matrix()]),
    )
    const cells = [{ ...file.cell, ...first }, ...file.more_cells]
    assert.equal(cells.length, 21)
    for (const given of cells) {
      const { matrix, ops, pruned_matrix, pruned_ops } = cellSchema.parse(given)
      const alphas = alphaSchema.parse(
        Object.fromEntries(Object.entries(given).filter(([name]) => name.startsWith('alpha.'))),
      )
      const scores = new Map(Object.entries(alphas).map(([name, rows]) => [name.replace('alpha.', ''), rows]))
      const cell = space.decode(scores)
      const handed = handedGraph(cell)
      assert.deepEqual(adjacencyOf(handed), matrix)
      assert.deepEqual(['input', ...handed.operations, 'output'], ops)
      const left = nasbench101Graph(cell)
      assert.deepEqual(left, pruned(handed))
      assert.deepEqual(adjacencyOf(left), pruned_matrix)
      assert.deepEqual(['input', ...left.operations, 'output'], pruned_ops)
    }
  })
}
