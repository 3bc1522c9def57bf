/** Programs that no space builds, each with a form that a reader may stumble over. */
import {
  type Block,
  batchNorm2d,
  channelShuffle,
  channels,
  concat,
  conv2d,
  flatten,
  functional,
  gate,
  globalAvgPool2d,
  images,
  type Layer,
  linear,
  type NamedLayer,
  type Program,
  pool2d,
  relu,
  type Sequence,
  type State,
  type StateId,
  sequential,
  shift,
  sigmoid,
  type Term,
  zero,
} from '../../../src/nn/index.ts'

const named = (name: string, layer: Layer): NamedLayer => ({ name, layer })

function state(
  id: StateId,
  input: StateId,
  name: string,
  layers: Sequence,
  more: { block?: string; label?: string } = {},
): State {
  return { id, kind: 'layers', input, name, layers, ...more }
}

function term(input: StateId, name: string, layers: Sequence, operation = 'op'): Term {
  return { input, name, layers, operation }
}

/** Of states that end in one of `channels`; the logits follow. */
function program(states: readonly State[], channels: number, blocks: readonly Block[] = []): Program {
  const last = states[states.length - 1].id
  const layers = [functional(globalAvgPool2d), functional(flatten), named('', linear(channels, 3))]
  return {
    states: [...states, state('logits', last, 'classifier', layers)],
    blocks,
    outputs: { logits: 'logits' },
    modules: [],
  }
}

const conv = (inputs: number, outputs = inputs) => conv2d(inputs, outputs, 3)

/** One list of modules in several states, some of them functions between its parts. */
const sharedList = program(
  [
    state('a', images, 'features', [named('0', conv(3, 4)), named('1', relu), named('2', conv(4))]),
    state('b', 'a', 'features', [
      functional(relu),
      named('3', conv(4)),
      functional(sigmoid),
      named('5.deep', conv(4)),
    ]),
    {
      id: 'sum',
      kind: 'sum',
      terms: [term('a', 'features.6', []), term('b', '', []), term('b', 'features', [named('7', conv(4))])],
    },
  ],
  4,
)

/** Names that are none in Python, or mean something there. */
const names = program(
  [
    state('for', images, '0', [named('', conv(3, 4))]),
    state('self', 'for', '1x1', [
      named('lambda', conv(4)),
      functional(relu),
      named('größe', batchNorm2d(4, false)),
    ]),
    state('torch', 'self', 'None', sequential('', [conv(4), relu])),
    state('x/1', 'torch', 'a.b.c', [
      functional(relu),
      named('d.0', conv(4)),
      named('e', conv(4)),
      named('d.1', conv(4)),
    ]),
    state('x.1', 'x/1', 'a.b.x', [named('"', conv(4, 6)), functional(channels(0, 4)), functional(shift)]),
  ],
  4,
)

/** Branches of branches, gates in gates, and layers after them. */
const nested = program(
  [
    state('wide', images, 'stem', [
      functional(
        concat([
          [
            named('left', conv(3, 4)),
            functional(relu),
            functional(
              concat([
                [named('up', conv(4, 2))],
                [functional(relu), named('down.0', conv(4, 2)), named('down.1', batchNorm2d(2, true))],
                [],
              ]),
            ),
          ],
          [],
          [
            functional(pool2d('avg', 1)),
            functional(sigmoid),
            functional(pool2d('max', 1)),
            functional(relu),
            named('right', conv(3, 5)),
          ],
        ]),
      ),
      named('norm', batchNorm2d(16, true)),
    ]),
    state('gated', 'wide', 'gate', [
      functional(
        gate([
          functional(globalAvgPool2d),
          named('squeeze', conv2d(16, 4, 1, { bias: true })),
          functional(gate([named('inner', conv2d(4, 4, 1))])),
          named('spread', conv2d(4, 16, 1)),
          functional(sigmoid),
        ]),
      ),
      functional(shift),
      functional(gate(sequential('0', [globalAvgPool2d, flatten, linear(16, 16), sigmoid]))),
      functional(globalAvgPool2d),
    ]),
  ],
  16,
)

/** Channels in another order, and a part of them: as functions, and between modules of a list. */
const shuffled = program(
  [
    state('a', images, 'list', sequential('', [conv(3, 8), channelShuffle(8, 2), relu, conv(8)])),
    state('b', 'a', '', [functional(channelShuffle(8, 4)), functional(channels(2, 6))]),
    {
      id: 'sum',
      kind: 'sum',
      terms: [term('b', 'sum.0', []), term('a', 'sum.1', [functional(channels(4, 8))])],
    },
  ],
  4,
)

/** Zeros beside other terms, alone, and with weights before them; the only term; pools as functions. */
const zeros = program(
  [
    state('stem', images, 'stem', [named('', conv2d(3, 4, 3, { stride: 2 }))]),
    {
      id: 'none',
      kind: 'sum',
      terms: [term('stem', 'none.0', [functional(zero(2))]), term('stem', 'none.1', [functional(zero(2))])],
    },
    {
      id: 'some',
      kind: 'sum',
      terms: [
        term('none', 'some.0', [functional(zero(1))]),
        term('stem', 'some.1', [functional(pool2d('max', 2))]),
      ],
    },
    {
      id: 'lost',
      kind: 'sum',
      terms: [
        term('some', 'lost.0', [named('conv', conv(4)), functional(zero(1))]),
        term('some', 'lost.1', []),
      ],
    },
    {
      id: 'one',
      kind: 'sum',
      terms: [term('lost', 'one', [functional(relu), functional(pool2d('avg', 1, 2, 0))])],
    },
  ],
  4,
)

/** Two towers of blocks in loops, one list in two parts, a block that is seen from outside, one with no block around it. */
function towers(): Program {
  const states: State[] = [
    state('s', images, 'stem', [named('', conv(3, 4))]),
    state('t', images, 'other', [named('', conv(3, 4))]),
  ]
  const blocks: Block[] = []
  const block = (name: string, first: StateId, second: StateId) => {
    states.push(state(`${name}+`, first, `${name}.pre`, sequential('', [relu, conv(4)]), { block: name }), {
      id: name,
      block: name,
      label: '0',
      kind: 'sum',
      terms: [term(`${name}+`, `${name}.ops.0`, [named('w', conv(4))]), term(second, `${name}.ops.1`, [])],
    })
    blocks.push({ name, kind: 'block', output: name })
  }
  for (const tower of ['left', 'right']) {
    const stem = tower === 'left' ? 's' : 't'
    block(`${tower}.0`, stem, stem)
    for (const index of [1, 2, 3])
      block(`${tower}.${index}`, index === 1 ? stem : `${tower}.${index - 2}`, `${tower}.${index - 1}`)
  }
  states.push(
    { id: 'both', kind: 'concat', inputs: ['left.3', 'right.3'] },
    state('mixed', 'both', 'mix', [named('', conv(8, 4))]),
  )
  block('left.4', 'mixed', 'mixed')
  block('left.5', 'mixed', 'left.4')
  // its inner state is read by the sum at the end
  block('left.6', 'left.4', 'left.5')
  states.push({
    id: 'end',
    kind: 'sum',
    terms: [term('left.6+', '', []), term('left.6', '', []), term('mixed', '', [functional(relu)])],
  })
  return program(states, 4, blocks)
}

/** The logits are a block's output, of a loop; the images what the first block reads. */
function bare(): Program {
  const block = (name: string, input: StateId, output: StateId): State[] => [
    state(`${name}/in`, input, '', [], { block: name, label: 'in' }),
    {
      id: output,
      block: name,
      kind: 'sum',
      terms: [
        term(`${name}/in`, `${name}.conv`, [functional(relu), named('', conv(3)), functional(relu)]),
        term(`${name}/in`, '', []),
      ],
    },
  ]
  return {
    states: [
      ...block('net.0', images, 'a'),
      ...block('net.1', 'a', 'b'),
      ...block('net.2', 'b', 'c'),
      state('logits', 'c', '', [functional(globalAvgPool2d), functional(flatten)]),
    ],
    blocks: [
      { name: 'net.0', kind: '1st class', output: 'a' },
      { name: 'net.1', kind: '1st class', output: 'b' },
      { name: 'net.2', kind: '1st class', output: 'c' },
    ],
    outputs: { logits: 'logits' },
    modules: [],
  }
}

/** A network that a loop ends: its logits are images of one pixel or more. */
function onlyLoop(): Program {
  const whole = bare()
  return { ...whole, states: whole.states.slice(0, -1), outputs: { logits: 'c' } }
}

export const oddPrograms: Readonly<Record<string, Program>> = {
  sharedList,
  names,
  nested,
  shuffled,
  zeros,
  towers: towers(),
  bare: bare(),
  onlyLoop: onlyLoop(),
}

/** A layer under a name, after another one under a name. */
export function layerAt(name: string, part: string, layer: Layer, other = 'first', otherPart = ''): Program {
  return program(
    [
      state('first', images, other, [named(otherPart, conv(3))]),
      state('body', 'first', name, [named(part, layer)]),
    ],
    3,
  )
}
