/** Shapes that layers make against those of tensors that went through them, for many sizes; what they cost, counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DdsasError } from '../../../src/errors.ts'
import {
  batchNorm2d,
  channelShuffle,
  channels,
  concat,
  conv2d,
  flatten,
  functional,
  gate,
  globalAvgPool2d,
  type InitContext,
  type Layer,
  layerShape,
  linear,
  Network,
  parameterCount,
  pool2d,
  relu,
  type Sequence,
  type Shape,
  sequenceCost,
  sequenceShape,
  sequential,
  shift,
  sigmoid,
  weightCounts,
  zero,
} from '../../../src/nn/index.ts'
import { copy, Generator, noGrad, setThreads, sum, Tensor, tidy } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { sequenceProgram } from './programs.ts'

// so little work is slower on several threads, far slower where others compute
setThreads(1)
const context = (): InitContext => ({ device: 'cpu', generator: new Generator(0), dtype: 'float64' })

function filled(shape: readonly number[], value: (index: number) => number): Tensor {
  const count = shape.reduce((product, length) => product * length, 1)
  return Tensor.from(
    Float64Array.from({ length: count }, (_, index) => value(index)),
    shape,
  )
}

/** Shape of one image after layers that really run; undefined where libtorch refuses, or makes images of no pixels. */
function ranShape(layers: Sequence, [channels, height, width]: Shape): readonly number[] | undefined {
  try {
    return tidy(() => {
      const network = new Network(sequenceProgram(layers), context())
      const images = filled([2, channels, height, width], Math.sin)
      const made = noGrad(() => network.forward(images, { training: false }).logits)
      const { shape } = made
      assert.equal(shape[0], 2)
      // the mean of no pixels is no number
      if (made.size === 0 || made.floats().some(Number.isNaN)) return undefined
      // a vector is an image of one pixel
      return shape.length === 2 ? [shape[1], 1, 1] : shape.slice(1)
    })
  } catch (error) {
    assert.ok(error instanceof DdsasError, `${error}`)
    return undefined
  }
}

function toldShape(layers: Sequence, input: Shape): readonly number[] | undefined {
  try {
    return sequenceShape(layers, input)
  } catch (error) {
    assert.ok(error instanceof DdsasError && error.kind === 'input', `${error}`)
    return undefined
  }
}

const size = fc.integer({ min: 1, max: 9 })
const inputs = fc.tuple(fc.integer({ min: 1, max: 6 }), size, size)
const small = (min: number, max: number) => fc.integer({ min, max })

/** Most fit images of so many channels; some do not. */
function convolutions(channels: number): fc.Arbitrary<Layer> {
  return fc
    .record({
      inputs: fc.oneof(
        { weight: 9, arbitrary: fc.constant(channels) },
        { weight: 1, arbitrary: small(1, 6) },
      ),
      outputs: small(1, 6),
      kernel: small(1, 5),
      stride: small(1, 3),
      padding: small(0, 4),
      dilation: small(1, 3),
      groups: fc.constantFrom(1, 1, channels, 2),
      bias: fc.boolean(),
    })
    .map(({ inputs, outputs, kernel, ...options }) =>
      conv2d(inputs, options.groups === channels ? channels : outputs, kernel, options),
    )
}

const pools: fc.Arbitrary<Layer> = fc
  .record({ kind: fc.constantFrom('max' as const, 'avg' as const), stride: small(1, 3) })
  .chain(({ kind, stride }) =>
    fc.tuple(small(1, 5), small(0, 2)).map(([kernel, padding]) => pool2d(kind, stride, kernel, padding)),
  )

function simpleLayers(count: number): fc.Arbitrary<Layer> {
  return fc.oneof(
    { weight: 4, arbitrary: convolutions(count) },
    { weight: 2, arbitrary: pools },
    fc.constantFrom(relu, sigmoid, globalAvgPool2d),
    fc.constant(shift),
    small(1, 3).map(zero),
    fc.constantFrom(batchNorm2d(count, true), batchNorm2d(5, false)),
  )
}

/** Layers that take vectors, after what makes them: a linear layer given images would take their rows for vectors. */
function vectorLayers([channels, height, width]: Shape): fc.Arbitrary<readonly Layer[]> {
  const given = fc.constantFrom(channels * height * width, channels)
  return fc.oneof(
    fc.constant<readonly Layer[]>([flatten]),
    fc.tuple(given, small(1, 6)).map(([count, outputs]) => [flatten, linear(count, outputs)]),
  )
}

/** A part of the channels, or all in another order; some ask for more than there are. */
function partLayers(count: number): fc.Arbitrary<Layer> {
  return fc.oneof(
    small(1, 6).map((to) => channels(to - 1, to)),
    small(1, 3).map((groups) => channelShuffle(count, groups)),
  )
}

/** Also layers of several branches, and gates. */
function layersFor(input: Shape): fc.Arbitrary<readonly Layer[]> {
  const [channelCount] = input
  const named = (name: string, layers: readonly Layer[]) => sequential(name, layers)
  const branch = fc.array(simpleLayers(channelCount), { maxLength: 2 })
  const concats = fc
    .array(branch, { minLength: 1, maxLength: 3 })
    .map((branches) => concat(branches.map((layers, index) => named(`b${index}`, layers))))
  const gates = fc.oneof(
    fc.constant(gate(named('se', [globalAvgPool2d, conv2d(channelCount, channelCount, 1), sigmoid]))),
    fc.constant(gate(named('se', [globalAvgPool2d, flatten, linear(channelCount, channelCount), sigmoid]))),
    branch.map((layers) => gate(named('se', layers))),
  )
  return fc.oneof(
    { weight: 4, arbitrary: simpleLayers(channelCount).map((layer) => [layer]) },
    { weight: 2, arbitrary: concats.map((layer) => [layer]) },
    { weight: 1, arbitrary: gates.map((layer) => [layer]) },
    { weight: 1, arbitrary: vectorLayers(input) },
    { weight: 1, arbitrary: partLayers(channelCount).map((layer) => [layer]) },
  )
}

test('the shape of a layer is that of what it computes, and it is refused where libtorch refuses it', () => {
  const taken = new Map<string, number>()
  const cases = inputs.chain((input) => layersFor(input).map((layers) => ({ input, layers })))
  fc.assert(
    fc.property(cases, ({ input, layers: some }) => {
      const layers = sequential('', some)
      const told = toldShape(layers, input)
      assert.deepEqual(told, ranShape(layers, input))
      const outcome = `${some.at(-1)?.type} ${told ? 'taken' : 'refused'}`
      taken.set(outcome, (taken.get(outcome) ?? 0) + 1)
    }),
    { numRuns: 800, seed: 1 },
  )
  for (const type of [
    'conv2d',
    'max_pool2d',
    'avg_pool2d',
    'concat',
    'gate',
    'shift',
    'linear',
    'channels',
    'channel_shuffle',
  ])
    for (const outcome of ['taken', 'refused'])
      assert.ok((taken.get(`${type} ${outcome}`) ?? 0) > 3, `${type} was hardly ever ${outcome}`)
})

test('layers one after the other', () => {
  const layers = sequential('', [
    conv2d(3, 8, 3, { stride: 2 }),
    batchNorm2d(8, true),
    relu,
    concat([sequential('a', [conv2d(8, 2, 1)]), sequential('b', [pool2d('max', 1)])]),
    gate(sequential('c', [globalAvgPool2d, conv2d(10, 10, 1)])),
    zero(2),
    globalAvgPool2d,
    flatten,
    linear(10, 7),
  ])
  const shapes = layers.map((_, index) => sequenceShape(layers.slice(0, index + 1), [3, 11, 16]))
  assert.deepEqual(shapes, [
    ...Array.from({ length: 3 }, () => [8, 6, 8]),
    ...Array.from({ length: 2 }, () => [10, 6, 8]),
    ...[
      [10, 3, 4],
      [10, 1, 1],
      [10, 1, 1],
      [7, 1, 1],
    ],
  ])
  assert.deepEqual(ranShape(layers, [3, 11, 16]), [7, 1, 1])
  assert.deepEqual(sequenceShape([], [3, 11, 16]), [3, 11, 16])
})

test('what does not fit is told with the layer and what it was given', () => {
  const refused = (layer: Layer, input: Shape, pattern: RegExp) =>
    assertRefuses(() => layerShape(layer, input), 'input', pattern)
  refused(conv2d(4, 8, 3), [3, 8, 6], /^conv2d takes 4 channels, and is given 3 channels of 8 x 6 px$/)
  refused(conv2d(3, 8, 5, { padding: 0 }), [3, 8, 4], /^conv2d of 5 x 5 needs larger images, .*of 8 x 4 px$/)
  refused(conv2d(3, 4, 3, { groups: 3 }), [3, 8, 8], /^conv2d of 3 to 4 channels .*divided into 3 groups,/)
  refused(batchNorm2d(4, true), [3, 8, 8], /^batch_norm2d takes 4 channels/)
  refused(linear(4, 2), [3, 1, 1], /^linear takes 4 channels/)
  refused(linear(3, 2), [3, 2, 1], /^linear takes vectors, and is given 3 channels of 2 x 1 px$/)
  refused(pool2d('avg', 3, 5, 0), [3, 4, 9], /^avg_pool2d of 5 x 5 needs larger images/)
  refused(pool2d('max', 1, 3, 2), [3, 9, 9], /^max_pool2d of 3 x 3 can be padded by half of that, not by 2/)
  refused(shift, [3, 1, 4], /^shift needs larger images/)
  refused(channels(2, 4), [3, 8, 8], /^channels 2 to 4 need as many, and is given 3 channels/)
  refused(channelShuffle(4, 2), [3, 8, 8], /^channel_shuffle takes 4 channels/)
  refused(
    channelShuffle(3, 2),
    [3, 8, 8],
    /^channel_shuffle needs channels that can be divided into 2 groups/,
  )
  const halves = [sequential('a', [pool2d('max', 2)]), sequential('b', [])]
  refused(concat(halves), [3, 8, 6], /^what is concatenated differs in size, 4 x 3 and 8 x 6 px$/)
  refused(concat([]), [3, 8, 6], /^nothing is concatenated: give at least one part$/)
  refused(
    gate([functional(conv2d(3, 2, 1))]),
    [3, 8, 6],
    /^a gate of 2 x 8 x 6 does not fit: it needs one number/,
  )
  refused(gate([functional(relu)]), [3, 8, 6], /^a gate of 3 x 8 x 6 does not fit/)
})

test('a convolution that reads ones with weights of one adds up as many ones as it costs multiply-adds', () => {
  const cases = fc.record({
    groups: small(1, 3),
    perGroup: fc.tuple(small(1, 3), small(1, 3)),
    kernel: small(1, 4),
    stride: small(1, 3),
    padding: small(0, 2),
    dilation: small(1, 2),
    bias: fc.boolean(),
    height: small(7, 10),
    width: small(7, 10),
  })
  fc.assert(
    fc.property(cases, ({ perGroup, groups, kernel, height, width, padding, bias, ...options }) => {
      const [channels, outputs] = perGroup.map((count) => count * groups)
      const own = conv2d(channels, outputs, kernel, { ...options, groups, padding, bias })
      const { multiplyAdds, depth } = sequenceCost([functional(own)], [channels, height, width])
      // padded before, so that every product is one
      const counting = conv2d(channels, outputs, kernel, { ...options, groups, padding: 0 })
      const counted = tidy(() => {
        const network = new Network(sequenceProgram([{ name: 'own', layer: counting }]), context())
        const weight = network.parameters['own.weight']
        noGrad(() =>
          copy(
            weight,
            filled(weight.shape, () => 1),
          ),
        )
        const images = filled([1, channels, height + 2 * padding, width + 2 * padding], () => 1)
        return sum(noGrad(() => network.forward(images, { training: false }).logits)).item()
      })
      assert.deepEqual([multiplyAdds, depth], [counted, 1])
    }),
    { numRuns: 200, seed: 2 },
  )
})

test('a linear layer costs a multiply-add for each weight, all else nothing', () => {
  const cost = (layer: Layer, input: Shape) => sequenceCost([functional(layer)], input)
  assert.deepEqual(cost(linear(5, 7), [5, 1, 1]), { multiplyAdds: 35, depth: 1 })
  const free = [
    relu,
    sigmoid,
    shift,
    channels(0, 2),
    channelShuffle(5, 5),
    flatten,
    globalAvgPool2d,
    zero(2),
    batchNorm2d(5, true),
  ]
  for (const layer of [...free, pool2d('max', 1), pool2d('avg', 2)])
    assert.deepEqual(cost(layer, [5, 8, 8]), { multiplyAdds: 0, depth: 0 }, layer.type)
  assert.deepEqual(sequenceCost([], [5, 8, 8]), { multiplyAdds: 0, depth: 0 })
})

test('costs add up along the way and over branches; depth is that of the longest branch', () => {
  const two = sequential('a', [conv2d(4, 2, 3, { stride: 2 }), relu, conv2d(2, 3, 1)])
  const one = sequential('b', [conv2d(4, 5, 1, { stride: 2 })])
  const layers = sequential('', [
    concat([two, one, sequential('c', [pool2d('max', 2)])]),
    gate(sequential('d', [globalAvgPool2d, conv2d(12, 2, 1), conv2d(2, 12, 1)])),
    flatten,
    linear(12 * 4 * 3, 10),
  ])
  const branches = 2 * 36 * 12 + 3 * 2 * 12 + 5 * 4 * 12
  assert.deepEqual(sequenceCost(layers, [4, 8, 6]), {
    multiplyAdds: branches + 2 * 12 * 2 + 12 * 4 * 3 * 10,
    depth: 2 + 2 + 1,
  })
  assert.throws(() => sequenceCost(layers, [4, 8, 8]), /linear takes 144 channels/)
})

test('parameters are counted as they are drawn', () => {
  const layers = sequential('', [
    conv2d(4, 6, 3, { groups: 2, bias: true }),
    batchNorm2d(6, true),
    batchNorm2d(6, false),
    linear(6, 5),
  ])
  const network = new Network(sequenceProgram(layers), { ...context(), device: 'meta' })
  const drawn = [network.parameters, network.buffers].map((tensors) =>
    Object.values(tensors).reduce((total, tensor) => total + tensor.size, 0),
  )
  assert.deepEqual(drawn, [6 * 2 * 9 + 6 + 12 + 35, 2 * (6 + 6)])
  const { parameters, buffers } = weightCounts(layers)
  assert.deepEqual([parameters, buffers, parameterCount(layers)], [...drawn, drawn[0]])
})
