/** A cell alone: gradients by central differences, only active operations take part, shapes and names. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Maker, namedBuffers, namedParameters } from '../../../src/nn/index.ts'
import { Cell, type CellShape } from '../../../src/spaces/darts/cell.ts'
import { darts, edgeCount } from '../../../src/spaces/darts/space.ts'
import { nodeTerms } from '../../../src/spaces/mixing.ts'
import {
  cat,
  channelsLast,
  Generator,
  grad,
  liveSlots,
  setRequiresGrad,
  setThreads,
  Tensor,
  tidy,
} from '../../../src/torch/index.ts'
import { checkGradients, randomTensor, weighed } from './numerical.ts'

// so little work is slower on several threads, far slower where others compute
setThreads(1)
const maker = (): Maker => ({ device: 'cpu', generator: new Generator(0), dtype: 'float64' })

/** Each edge runs two or three operations; together all seven, on input edges and inner ones. */
const active = Array.from({ length: edgeCount(darts) }, (_, edge) => {
  const first = 1 + (edge % 7)
  return [first, 1 + ((edge + 3) % 7), ...(edge % 2 ? [1 + ((edge + 5) % 7)] : [])].sort()
})

const kinds: Record<string, Pick<CellShape, 'reduction' | 'afterReduction'>> = {
  normal: { reduction: false, afterReduction: false },
  'normal after a reduction': { reduction: false, afterReduction: true },
  reduction: { reduction: true, afterReduction: false },
  'reduction after a reduction': { reduction: true, afterReduction: true },
}

/** A cell of 4 channels, its inputs (the outputs of two cells, in parts) and weights of operations. */
function setUp({ reduction, afterReduction }: (typeof kinds)[string]) {
  const generator = new Generator(1, `${reduction} ${afterReduction}`)
  const cell = new Cell(darts, { inputs: [3, 5], channels: 4, reduction, afterReduction }, maker())
  const size = afterReduction ? 8 : 4
  const images = (channels: number, side: number) =>
    tidy(() => channelsLast(randomTensor([2, channels, side, side], generator)))
  const inputs = { s0: [images(1, size), images(2, size)], s1: [images(5, 4)] }
  const weights = randomTensor([edgeCount(darts), 8], generator)
  return { generator, cell, inputs, weights }
}

function forward({ cell, inputs, weights }: ReturnType<typeof setUp>): Tensor {
  return tidy(() => cat(cell.forward(inputs.s0, inputs.s1, nodeTerms({ weights, active }, 4), true)[0], 1))
}

/** Names of parameters of operations that do not run. */
function isIdle(name: string): boolean {
  const found = /^_ops\.(\d+)\._ops\.(\d+)\./.exec(name)
  return found !== null && !active[Number(found[1])].includes(Number(found[2]))
}

for (const [name, kind] of Object.entries(kinds))
  test(`${name}: gradients agree with central differences`, () => {
    tidy(() => {
      const given = setUp(kind)
      const running = [...namedParameters(given.cell)].filter(([parameter]) => !isIdle(parameter))
      const size = kind.reduction ? 2 : 4
      const upstream = randomTensor([2, 16, size, size], given.generator)
      const images = Object.entries(given.inputs).flatMap(([input, parts]) =>
        parts.map((part, i) => [`${input}, part ${i}`, part] as const),
      )
      const leaves = new Map([...images, ['weights', given.weights] as const, ...running])
      const body = () => tidy(() => weighed(forward(given), upstream))
      checkGradients(body, leaves, given.generator, { tolerance: 1e-5 })
    })
  })

test('only active operations take part: the others get no gradient and their statistics stay', () => {
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
    assert.deepEqual(forward(setUp(kinds.normal)).shape, [2, 16, 4, 4])
    assert.deepEqual(forward(setUp(kinds['reduction after a reduction'])).shape, [2, 16, 2, 2])
  })
})

test('a node sums its terms: twice the weights of the last node double its quarter of the output, not the others', () => {
  tidy(() => {
    const given = setUp(kinds.normal)
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
    const expected = ['preprocess0.conv_1.weight', 'preprocess0.conv_2.weight', 'preprocess1.op.1.weight']
    assert.deepEqual(names.slice(0, 3), expected)
    assert.deepEqual(
      names.slice(3, 7),
      [1, 2, 5, 6].map((place) => `_ops.0._ops.4.op.${place}.weight`),
    )
    const before = liveSlots()
    forward(given)
    assert.equal(liveSlots(), before + 1)
  })
})
