/** Programs: what cannot run is refused by name with a remedy; what a network consists of, in which order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
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
  layersOf,
  linear,
  Network,
  namedLayers,
  namedParameters,
  type Program,
  programCosts,
  programShapes,
  relu,
  type State,
  sequential,
  sigmoid,
  statesFor,
  withoutAuxiliary,
} from '../../../src/nn/index.ts'
import { Generator, liveSlots } from '../../../src/torch/index.ts'
import { assertRefuses } from '../runs/temporary.ts'
import { programOf, sequenceProgram, termOf } from './programs.ts'

const context = (): InitContext => ({ device: 'meta', generator: new Generator(0) })

/** A state of one convolution of three channels to three. */
const conv = (id: string, input: string, name = id): State => ({
  id,
  kind: 'layers',
  input,
  name,
  layers: sequential('', [conv2d(3, 3, 1)]),
})
const sum = (id: string, ...inputs: readonly string[]): State => ({
  id,
  kind: 'sum',
  terms: inputs.map((input) => termOf([], input, `${id}.${input}`)),
})
const side = (id: string, ...inputs: readonly string[]): State => ({ id, kind: 'concat', inputs })

/** Makes a network of a program that must be refused before anything is made. */
function refuses(program: Program, ...patterns: readonly RegExp[]): void {
  const before = liveSlots()
  assertRefuses(() => new Network(program, context()), 'input', /^program: /, ...patterns)
  assert.equal(liveSlots(), before)
}

const early = /before it is made: states stand in the order in which they are computed, without a cycle$/

test('a state that is read before it is made, by any kind of state, and a cycle', () => {
  for (const reader of [conv('b', 'a'), sum('b', images, 'a'), side('b', images, 'a')])
    refuses(programOf([reader, conv('a', images)]), /the state 'a' is read by 'b' before/, early)
  refuses(programOf([conv('a', 'b'), conv('b', 'a')]), /'b' is read by 'a'/, early)
  refuses(programOf([sum('a', images, 'a')]), /'a' is read by 'a'/, early)
})

test('a state that nobody makes', () => {
  for (const reader of [conv('b', 'x'), sum('b', images, 'x'), side('b', 'x')])
    refuses(
      programOf([conv('a', images), reader]),
      /'x' is read by 'b' and made by nobody: add it to the states$/,
    )
})

test('a state that is made twice, or has the name of the images', () => {
  refuses(programOf([conv('a', images), conv('a', images, 'other')]), /'a' is made twice: give each an id/)
  refuses(programOf([conv(images, images)]), /'images' is made twice/)
})

test('a state that is made of nothing', () => {
  for (const empty of [sum('a'), side('a')])
    refuses(programOf([empty]), /'a' is made of nothing: name what it reads$/)
})

test('an output that is no state', () => {
  const states = [conv('a', images)]
  const named = (outputs: Program['outputs']) => ({ ...programOf(states), outputs })
  refuses(named({ logits: 'b' }), /the output 'b' is made by nobody: name one of the states$/)
  refuses(named({ logits: 'a', auxiliary: 'b' }), /the output 'b'/)
  refuses(named({ logits: images }), /the output 'images'/)
  refuses({ ...programOf(states), states: [] }, /the output 'a'/)
})

test('weights of one name, or of none', () => {
  refuses(
    programOf([conv('a', images), conv('b', 'a', 'a')]),
    /two layers with weights are called 'a\.0': give each a name of its own$/,
  )
  refuses(sequenceProgram([functional(conv2d(3, 3, 1))]), /a layer with weights has no name: give/)
  // what has no weights may have no name, and any name
  new Network(sequenceProgram([functional(relu), functional(relu), { name: 'a', layer: relu }]), context())
})

test('what is no program at all', () => {
  const refused = (given: unknown, pattern: RegExp) =>
    assertRefuses(() => Reflect.construct(Network, [given, context()]), 'input', pattern)
  refused(null, /^Network: program: expected object, received null/)
  refused({ ...programOf([conv('a', images)]), outputs: {} }, /^Network: outputs\.logits: expected string/)
  refused({ ...programOf([conv('a', images)]), modules: 'stem' }, /^Network: modules: expected array/)
  const layers = [{ name: 'a' }]
  refused(
    { ...programOf([conv('a', images)]), states: [{ ...conv('a', images), layers }] },
    /^Network: states\.0\.layers\.0\.layer: expected object/,
  )
})

/** A stem, two ways, their sum, a head beside it that reads one way more. */
const withHead = (): Program => ({
  states: [
    conv('stem', images),
    conv('left', 'stem', 'cells.0'),
    conv('right', 'stem', 'cells.1'),
    conv('beside', 'left', 'cells.2'),
    sum('both', 'left', 'right'),
    conv('head', 'beside', 'head'),
    conv('logits', 'both', 'classifier'),
  ],
  outputs: { logits: 'logits', auxiliary: 'head' },
  blocks: [{ name: 'cells.0', kind: 'normal', output: 'left' }],
  modules: ['head', 'stem', 'cells'],
})
const ids = (states: readonly State[]) => states.map(({ id }) => id)

test('only what an output depends on is left without the auxiliary head, and all else stays', () => {
  const program = withHead()
  const own = withoutAuxiliary(program)
  assert.deepEqual(ids(own.states), ['stem', 'left', 'right', 'both', 'logits'])
  assert.deepEqual(own.outputs, { logits: 'logits' })
  assert.deepEqual([own.blocks, own.modules], [program.blocks, program.modules])
  assert.deepEqual(withoutAuxiliary(own), own)
  assert.deepEqual(ids(statesFor(program, ['head'])), ['stem', 'left', 'beside', 'head'])
  assert.deepEqual(statesFor(program, ['logits', 'head']), program.states)
  assert.deepEqual(statesFor(program, []), [])
})

test('layers stand in the order of modules, each in the order of states; unknown modules come last', () => {
  const names = namedLayers(withHead()).map(({ name }) => name)
  const wanted = ['head', 'stem', 'cells.0', 'cells.1', 'cells.2', 'classifier']
  assert.deepEqual(
    names,
    wanted.map((name) => `${name}.0`),
  )
  // a module's name is a whole part of a layer's name, not its beginning
  const states = [conv('a', images, 'stems'), conv('b', 'a', 'stem')]
  assert.deepEqual(
    namedLayers({ ...programOf(states), modules: ['stem'] }).map(({ name }) => name),
    ['stem.0', 'stems.0'],
  )
})

test('weights are drawn in that order: two programs that differ in the order of states alone have the same', () => {
  const draw = (states: readonly State[], modules: readonly string[]) => {
    const generator = new Generator(1)
    const network = new Network({ ...programOf(states), modules }, { device: 'cpu', generator })
    const values = Object.fromEntries(
      [...namedParameters(network)].map(([name, tensor]) => [name, [...tensor.floats()]]),
    )
    for (const tensor of namedParameters(network).values()) tensor.dispose()
    return values
  }
  const [a, b, last] = [conv('a', images), conv('b', images), sum('c', 'a', 'b')]
  const first = draw([a, b, last], ['a', 'b'])
  assert.deepEqual(draw([b, a, last], ['a', 'b']), first)
  assert.notDeepEqual(draw([a, b, last], ['b', 'a']), first)
})

test('names of layers inside others are joined; what has no name of its own adds nothing', () => {
  const inner = { name: 'fc', layer: linear(4, 4) }
  const layers = [
    functional(concat([[{ name: 'one', layer: conv2d(2, 2, 1) }], [functional(relu)]])),
    {
      name: 'se',
      layer: gate([functional(globalAvgPool2d), inner, functional(sigmoid)]),
    },
  ]
  const state: State = { id: 'a', kind: 'sum', terms: [termOf(layers, images, 'cell.0')] }
  const named = layersOf(state).map(({ name, layer }) => [name, layer.type])
  assert.deepEqual(named, [
    ['cell.0', 'concat'],
    ['cell.0.one', 'conv2d'],
    ['cell.0', 'relu'],
    ['cell.0.se', 'gate'],
    ['cell.0.se', 'global_avg_pool2d'],
    ['cell.0.se.fc', 'linear'],
    ['cell.0.se', 'sigmoid'],
  ])
})

test('shapes of states; what does not fit is told with the state and both sizes', () => {
  const half = (id: string, input: string): State => ({
    id,
    kind: 'layers',
    input,
    name: id,
    layers: sequential('', [conv2d(3, 5, 3, { stride: 2 })]),
  })
  const shapes = programShapes(programOf([half('a', images), side('b', 'a', 'a', 'a')]), [3, 8, 6])
  assert.deepEqual(Object.fromEntries(shapes), { images: [3, 8, 6], a: [5, 4, 3], b: [15, 4, 3] })
  const refused = (states: readonly State[], pattern: RegExp) =>
    assertRefuses(() => programShapes(programOf(states), [3, 8, 6]), 'input', pattern)
  refused([half('a', images), side('b', 'a', images)], /^b: .* differs in size, 4 x 3 and 8 x 6 px/)
  const terms = [termOf([], 'a', 'skip'), termOf([], images, 'other')]
  refused(
    [half('a', images), { id: 'b', kind: 'sum', terms }],
    /^b: the terms of a sum differ in shape: skip makes 5 x 4 x 3, other makes 3 x 8 x 6/,
  )
  refused(
    [half('a', images), half('b', 'a')],
    /^b: conv2d takes 3 channels, and is given 5 channels of 4 x 3/,
  )
})

test('a state costs its own layers; its depth is the longest way to it', () => {
  const layers = (...all: readonly Layer[]) => sequential('', all)
  const program = programOf([
    { id: 'a', kind: 'layers', input: images, name: 'a', layers: layers(conv2d(3, 2, 3), relu) },
    {
      id: 'b',
      kind: 'sum',
      terms: [
        termOf(layers(conv2d(2, 2, 1), batchNorm2d(2, true), conv2d(2, 2, 1)), 'a', 'b.0'),
        termOf([], 'a', 'b.1'),
      ],
    },
    side('c', 'a', 'b'),
  ])
  assert.deepEqual(Object.fromEntries(programCosts(program, [3, 4, 4])), {
    images: { multiplyAdds: 0, depth: 0 },
    a: { multiplyAdds: 2 * 27 * 16, depth: 1 },
    b: { multiplyAdds: 2 * 4 * 16, depth: 3 },
    c: { multiplyAdds: 0, depth: 3 },
  })
})
