/** Layers against formulas, the distribution of their first weights, names of weights, loading of weights. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  batchNorm2d,
  conv2d,
  disposeModule,
  type functional,
  type InitContext,
  images,
  linear,
  loadTensors,
  Network,
  namedBuffers,
  namedParameters,
  relu,
  sequential,
  stateDict,
} from '../../../src/nn/index.ts'
import { Generator, liveSlots, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { programOf, sequenceProgram } from './programs.ts'

const make = (seed = 0): InitContext => ({ device: 'cpu', generator: new Generator(seed), dtype: 'float64' })
const tensor = (values: readonly number[], shape: readonly number[]) =>
  Tensor.from(Float64Array.from(values), shape)

/** A network of one layer: weights are called `weight`, `bias` and the like below `name`. */
const alone = (layer: Parameters<typeof functional>[0], context = make(), name = 'own') =>
  new Network(sequenceProgram([{ name, layer }]), context)

const forward = (network: Network, x: Tensor, training = true) => network.forward(x, { training }).logits

function close(actual: Iterable<number>, wanted: readonly number[], what: string): void {
  const values = [...actual]
  assert.equal(values.length, wanted.length, what)
  for (const [i, value] of values.entries())
    assert.ok(Math.abs(value - wanted[i]) < 1e-12, `${what}[${i}]: ${value}, ${wanted[i]}`)
}

/** PyTorch's kaiming_uniform(a = sqrt 5): uniform in ±sqrt(6 / (1 + 5) / fanIn), of variance bound^2 / 3. */
function checkUniform(weight: Tensor, fanIn: number): void {
  const values = [...weight.floats()]
  const count = values.length
  const bound = Math.sqrt(6 / (1 + 5) / fanIn)
  const within = bound * (1 + 1e-6)
  const mean = values.reduce((sum, x) => sum + x, 0) / count
  const variance = values.reduce((sum, x) => sum + x * x, 0) / count
  const largest = Math.max(...values.map(Math.abs))
  assert.ok(largest <= within && largest > bound * (1 - 20 / count), `largest ${largest}, bound ${bound}`)
  assert.ok(Math.abs(mean) < (5 * bound) / Math.sqrt(3 * count), `mean ${mean}`)
  const expected = bound ** 2 / 3
  // the standard deviation of x^2 is bound^2 sqrt(1/5 - 1/9)
  const allowed = 5 * bound ** 2 * Math.sqrt(4 / 45 / count)
  assert.ok(Math.abs(variance - expected) < allowed, `variance ${variance}, expected ${expected}`)
}

test('first weights of convolutions: uniform in ±1/sqrt(fan-in), fan-in per group', () => {
  tidy(() => {
    const plain = alone(conv2d(20, 30, 3)).parameters['own.weight']
    assert.deepEqual(plain.shape, [30, 20, 3, 3])
    checkUniform(plain, 180)
    const depthwise = alone(conv2d(300, 300, 5, { groups: 300 })).parameters['own.weight']
    assert.deepEqual(depthwise.shape, [300, 1, 5, 5])
    checkUniform(depthwise, 25)
    const grouped = alone(conv2d(40, 80, 1, { groups: 2 })).parameters['own.weight']
    assert.deepEqual(grouped.shape, [80, 20, 1, 1])
    checkUniform(grouped, 20)
    const { 'own.weight': weight, 'own.bias': bias } = alone(conv2d(3, 4000, 3, { bias: true })).parameters
    assert.deepEqual([weight.shape, bias.shape], [[4000, 3, 3, 3], [4000]])
    for (const made of [weight, bias]) checkUniform(made, 27)
  })
})

test('first weights and biases of linear layers: uniform in ±1/sqrt(inputs)', () => {
  const network = alone(linear(16, 2000))
  const { 'own.weight': weight, 'own.bias': bias } = network.parameters
  assert.deepEqual([weight.shape, bias.shape], [[2000, 16], [2000]])
  checkUniform(weight, 16)
  checkUniform(bias, 16)
  disposeModule(network)
})

test('batch norms start at weight 1, bias 0, mean 0 and variance 1, and without affine have no weights', () => {
  tidy(() => {
    const values = (network: Network) =>
      [...stateDict(network)].map(([name, held]) => [name, ...held.floats()])
    const statistics = [
      ['own.running_mean', 0, 0],
      ['own.running_var', 1, 1],
    ]
    assert.deepEqual(values(alone(batchNorm2d(2, false))), statistics)
    assert.deepEqual(values(alone(batchNorm2d(2, true))), [
      ['own.weight', 1, 1],
      ['own.bias', 0, 0],
      ...statistics,
    ])
  })
})

test('the same seed gives the same weights, another seed others, in either element type', () => {
  tidy(() => {
    const weights = (context: InitContext) => [
      ...alone(linear(5, 3), context).parameters['own.weight'].floats(),
    ]
    const first = weights(make(1))
    assert.deepEqual(weights(make(1)), first)
    assert.deepEqual(weights({ ...make(1), dtype: 'float32' }), first)
    assert.equal(new Set([...first, ...weights(make(2))]).size, 30)
  })
})

test('batch norm: normalises by the batch and moves its statistics by a tenth; eval normalises by them', () => {
  tidy(() => {
    const norm = alone(batchNorm2d(2, true))
    const { 'own.running_mean': running_mean, 'own.running_var': running_var } = norm.buffers
    const channels = [
      [1, 2, 4, 9],
      [0, -1, 3, 3],
    ]
    // two images of 1 x 2 pixels
    const x = tensor([1, 2, 0, -1, 4, 9, 3, 3], [2, 2, 1, 2])
    const mean = channels.map((c) => c.reduce((sum, v) => sum + v, 0) / 4)
    const variance = channels.map((c, i) => c.reduce((sum, v) => sum + (v - mean[i]) ** 2, 0) / 4)
    const normal = (v: number, c: number) => (v - mean[c]) / Math.sqrt(variance[c] + 1e-5)
    const wanted = [1, 2, 0, -1, 4, 9, 3, 3].map((v, i) => normal(v, Math.floor(i / 2) % 2))
    close(forward(norm, x).floats(), wanted, 'training')
    const running = { mean: mean.map((m) => 0.1 * m), var: variance.map((v) => 0.9 + (0.1 * v * 4) / 3) }
    close(running_mean.floats(), running.mean, 'running mean')
    close(running_var.floats(), running.var, 'running variance')
    const evaluated = [1, 2, 0, -1, 4, 9, 3, 3].map((v, i) => {
      const c = Math.floor(i / 2) % 2
      return (v - running.mean[c]) / Math.sqrt(running.var[c] + 1e-5)
    })
    close(forward(norm, x, false).floats(), evaluated, 'evaluation')
    close(running_mean.floats(), running.mean, 'running mean after evaluation')
  })
})

test('convolution and linear layers compute their sums; a sequence runs in order', () => {
  tidy(() => {
    const conv = alone(conv2d(2, 2, 3, { stride: 2, dilation: 2, groups: 2 }))
    const w = conv.parameters['own.weight'].floats()
    const x = Array.from({ length: 18 }, (_, i) => Math.sin(i))
    const y = forward(conv, tensor(x, [1, 2, 3, 3]))
    assert.deepEqual(y.shape, [1, 2, 2, 2])
    const wanted = [0, 1].flatMap((c) =>
      [0, 2].flatMap((top) =>
        [0, 2].map((left) => {
          let total = 0
          for (let i = 0; i < 3; i++)
            for (let j = 0; j < 3; j++) {
              const [row, column] = [top - 2 + 2 * i, left - 2 + 2 * j]
              if (row >= 0 && row < 3 && column >= 0 && column < 3)
                total += w[c * 9 + 3 * i + j] * x[c * 9 + 3 * row + column]
            }
          return total
        }),
      ),
    )
    close(y.floats(), wanted, 'convolution')
    const layers = [linear(2, 1), relu]
    const [network, sequence] = [[linear(2, 1)], layers].map(
      (each) => new Network(sequenceProgram(sequential('', each)), make()),
    )
    const { '0.weight': weight, '0.bias': bias } = network.parameters
    const [[a, b], c] = [[...weight.floats()], bias.item()]
    for (const sign of [1, -1]) {
      const given = () => tensor([3 * sign, -5 * sign], [1, 2])
      const wanted = sign * (3 * a - 5 * b) + c
      close(forward(network, given()).floats(), [wanted], 'linear')
      close(forward(sequence, given()).floats(), [Math.max(0, wanted)], 'sequence')
    }
  })
})

test('a convolution with a bias adds it; computed in the type of its images', () => {
  tidy(() => {
    const conv = alone(conv2d(1, 2, 1, { bias: true }))
    const [[a, b], [c, d]] = ['own.weight', 'own.bias'].map((name) => [...conv.parameters[name].floats()])
    close(
      forward(conv, tensor([3, -5], [1, 1, 1, 2])).floats(),
      [3 * a + c, -5 * a + c, 3 * b + d, -5 * b + d],
      'biased',
    )
    const single = Tensor.from(Float32Array.of(3, -5), [1, 1, 1, 2])
    assert.equal(forward(conv, single).dtype, 'float32')
  })
})

/** Three states; the modules' order is not that in which states are computed. */
const network = () =>
  new Network(
    {
      ...programOf([
        {
          id: 'stem',
          kind: 'layers',
          input: images,
          name: 'stem',
          layers: sequential('', [conv2d(3, 2, 1), batchNorm2d(2, true)]),
        },
        {
          id: 'last',
          kind: 'layers',
          input: 'stem',
          name: 'list',
          layers: sequential('', [relu, batchNorm2d(2, false), linear(2, 1)]),
        },
      ]),
      modules: ['list', 'stem'],
    },
    make(),
  )

test("names are PyTorch's, parameters in the order of modules, then buffers; free disposes of all", () => {
  const before = liveSlots()
  const module = network()
  const parameters = ['list.2.weight', 'list.2.bias', 'stem.0.weight', 'stem.1.weight', 'stem.1.bias']
  const buffers = ['list.1', 'stem.1'].flatMap((name) => [`${name}.running_mean`, `${name}.running_var`])
  assert.deepEqual([...namedParameters(module).keys()], parameters)
  assert.deepEqual([...namedBuffers(module).keys()], buffers)
  assert.deepEqual([...stateDict(module).keys()], [...parameters, ...buffers])
  assert.equal(liveSlots(), before + parameters.length + buffers.length)
  disposeModule(module)
  assert.equal(liveSlots(), before)
})

test('modules within modules: dotted names, those of children after the own', () => {
  tidy(() => {
    const [a, b, c] = [1, 2, 3].map((value) => tensor([value], [1]))
    const inner = { parameters: { weight: b }, buffers: { mean: c } }
    const module = { parameters: { weight: a }, children: { inner, list: { children: { 0: inner } } } }
    const names = ['weight', 'inner.weight', 'list.0.weight']
    assert.deepEqual([...namedParameters(module).keys()], names)
    assert.deepEqual([...namedBuffers(module).keys()], ['inner.mean', 'list.0.mean'])
    assert.deepEqual([...stateDict(module).values()], [a, b, b, c, c])
  })
})

test('loading names the first three mismatches, counts the rest, and changes nothing then', () => {
  tidy(() => {
    const target = new Map(['a', 'b', 'c', 'd'].map((name, i) => [name, tensor([i, i], [2])]))
    const source = new Map([
      ['a', tensor([9, 9], [2])],
      ['b', tensor([9, 9], [1, 2])],
      ['d', tensor([9], [1])],
      ['e', tensor([9], [1])],
    ])
    const mentions = [/the file/, /'b' is \[1,2\] instead of \[2\], 'c' is missing, 'd' is/, / and 1 more/]
    assertRefuses(() => loadTensors(target, source, 'the file'), 'checkpoint', ...mentions)
    for (const [i, held] of [...target.values()].entries()) close(held.floats(), [i, i], 'unchanged')
    const exact = new Map([...source].slice(0, 1))
    assertRefuses(
      () => loadTensors(new Map(), exact, 'x'),
      'checkpoint',
      /'a' is not a weight of this network$/,
    )
  })
})

test('loading copies values by name, whatever the order, and keeps the tensors their owners had', () => {
  tidy(() => {
    const [a, b] = [tensor([0, 0], [2]), tensor([0], [1])]
    const source = new Map([
      ['b', tensor([3], [1])],
      ['a', tensor([1, 2], [2])],
    ])
    const before = liveSlots()
    loadTensors(new Map(Object.entries({ a, b })), source, 'x')
    assert.equal(liveSlots(), before)
    for (const given of source.values()) given.dispose()
    close([...a.floats(), ...b.floats()], [1, 2, 3], 'loaded')
  })
})
