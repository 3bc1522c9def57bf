/** A cell alone: gradients by central differences, only sampled operations take part, shapes and names. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type InitContext, Network, namedBuffers, namedParameters } from '../../../src/nn/index.ts'
import { supernetProgram } from '../../../src/spaces/darts/programs.ts'
import { darts, edgeCount } from '../../../src/spaces/darts/space.ts'
import {
  channelsLast,
  Generator,
  grad,
  liveSlots,
  setRequiresGrad,
  setThreads,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { cellProgram } from '../nn/programs.ts'
import { checkGradients, randomTensor, weighed } from './numerical.ts'

// so little work is slower on several threads, far slower where others compute
setThreads(1)
const context = (): InitContext => ({ device: 'cpu', generator: new Generator(0), dtype: 'float64' })

/** Each edge runs two or three operations; together all seven, on input edges and inner ones. */
const sampledOps = Array.from({ length: edgeCount(darts) }, (_, edge) => {
  const first = 1 + (edge % 7)
  return [first, 1 + ((edge + 3) % 7), ...(edge % 2 ? [1 + ((edge + 5) % 7)] : [])].sort()
})

interface Kind {
  /** Cells of the supernet, and which of them it is. */
  readonly cells: number
  readonly index: number
  readonly reduction: boolean
  readonly afterReduction: boolean
  /** Channels of a node of it. */
  readonly channels: number
  /** Channels of its inputs: of the images after the stem, or of four nodes. */
  readonly inputs: readonly [number, number]
}

/** Supernets of C = 2. */
const kinds: Record<string, Kind> = {
  normal: { cells: 5, index: 0, reduction: false, afterReduction: false, channels: 2, inputs: [6, 6] },
  'normal after a reduction': {
    ...{ cells: 5, index: 2, reduction: false, afterReduction: true },
    ...{ channels: 4, inputs: [8, 16] },
  },
  reduction: { cells: 5, index: 1, reduction: true, afterReduction: false, channels: 4, inputs: [6, 8] },
  'reduction after a reduction': {
    ...{ cells: 3, index: 2, reduction: true, afterReduction: true },
    ...{ channels: 8, inputs: [8, 16] },
  },
}

/** The cell, its inputs (the outputs of two cells, in parts) and weights of operations. */
function setUp(kind: Kind) {
  const { cells, index, reduction, afterReduction, inputs } = kind
  const generator = new Generator(1, `${reduction} ${afterReduction}`)
  const name = `cells.${index}`
  const size = afterReduction ? 8 : 4
  const images = (channels: number, side: number) =>
    tidy(() => channelsLast(randomTensor([2, channels, side, side], generator)))
  const parts = { s0: [images(1, size), images(inputs[0] - 1, size)], s1: [images(inputs[1], 4)] }
  const weights = randomTensor([edgeCount(darts), 8], generator)
  const supernet = supernetProgram(darts, { channels: 2, cells, classes: 2 })
  const cell = new Network(cellProgram(supernet, name, [parts.s0, parts.s1]), context())
  return { kind, name, generator, cell, parts, weights }
}

/** The output [n, 4 c, h, w]. */
function forward({ kind, cell, parts, weights }: ReturnType<typeof setUp>): Tensor {
  const archWeights = (group: string) => {
    assert.equal(group, kind.reduction ? 'reduce' : 'normal')
    return { weights, sampledOps }
  }
  return cell.forward(parts.s0[0], { training: true, archWeights }).logits
}

/** Names of weights of operations that do not run. */
function isIdle(name: string): boolean {
  const found = /\._ops\.(\d+)\._ops\.(\d+)\./.exec(name)
  return found !== null && !sampledOps[Number(found[1])].includes(Number(found[2]))
}

for (const [name, kind] of Object.entries(kinds))
  test(`${name}: gradients agree with central differences`, () => {
    tidy(() => {
      const given = setUp(kind)
      const running = [...namedParameters(given.cell)].filter(([parameter]) => !isIdle(parameter))
      const size = kind.reduction ? 2 : 4
      const upstream = randomTensor([2, 4 * kind.channels, size, size], given.generator)
      const images = Object.entries(given.parts).flatMap(([input, parts]) =>
        parts.map((part, i) => [`${input}, part ${i}`, part] as const),
      )
      const leaves = new Map([...images, ['weights', given.weights] as const, ...running])
      const body = () => tidy(() => weighed(forward(given), upstream))
      checkGradients(body, leaves, given.generator, { tolerance: 1e-5 })
    })
  })

test('only sampled operations take part: the others get no gradient and their statistics stay', () => {
  tidy(() => {
    const given = setUp(kinds.reduction)
    const parameters = namedParameters(given.cell)
    const idle = [...parameters.keys()].filter(isIdle)
    assert.ok(idle.length > 20 && idle.length < parameters.size - 20)
    setRequiresGrad([...parameters.values(), given.weights], true)
    const output = forward(given)
    const gradients = grad(weighed(output, randomTensor(output.shape, given.generator)), [
      ...parameters.values(),
    ])
    for (const [index, name] of [...parameters.keys()].entries())
      assert.equal(gradients[index] === null, isIdle(name), name)
    for (const [name, statistics] of namedBuffers(given.cell)) {
      const fresh = name.endsWith('mean') ? 0 : 1
      const untouched = statistics.floats().every((value) => value === fresh)
      assert.equal(untouched, isIdle(name), name)
    }
  })
})

test('the output is the nodes side by side: [n, 4 c, h, w], halved by a reduction', () => {
  tidy(() => {
    assert.deepEqual(forward(setUp(kinds.normal)).shape, [2, 8, 4, 4])
    assert.deepEqual(forward(setUp(kinds['reduction after a reduction'])).shape, [2, 32, 2, 2])
  })
})

test('a node sums its terms: twice the weights of the last node double its quarter of the output, not the others', () => {
  tidy(() => {
    const given = setUp(kinds['normal after a reduction'])
    const once = forward(given).floats()
    const values = given.weights.floats()
    // edges 9 to 13 lead into the last node
    for (let i = 9 * 8; i < values.length; i++) values[i] *= 2
    const after = forward({ ...given, weights: Tensor.from(values, given.weights.shape) }).floats()
    const plane = 16
    for (const [i, value] of after.entries()) {
      const channel = Math.floor(i / plane) % 16
      const wanted = channel >= 12 ? 2 * once[i] : once[i]
      assert.ok(Math.abs(value - wanted) < 1e-12, `channel ${channel}`)
    }
  })
})

test('names within a cell, and a forward pass that leaves one tensor', () => {
  tidy(() => {
    const given = setUp(kinds['normal after a reduction'])
    const names = [...namedParameters(given.cell).keys()]
    const wanted = [
      ...['preprocess0.conv_1', 'preprocess0.conv_2', 'preprocess1.op.1'],
      ...[1, 2, 5, 6].map((place) => `_ops.0._ops.4.op.${place}`),
    ]
    assert.deepEqual(
      names.slice(0, 7),
      wanted.map((name) => `cells.2.${name}.weight`),
    )
    const before = liveSlots()
    forward(given)
    assert.equal(liveSlots(), before + 1)
  })
})
