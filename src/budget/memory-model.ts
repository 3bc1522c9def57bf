/**
 * The memory of one pass through the supernet, counted from its shapes: `Supernet.forward` and its backward pass without
 * the numbers, in the order in which memory is taken and given back.
 */
import { DdsasError } from '../errors.ts'
import type { CellType } from '../spaces/darts/genotype.ts'
import { edgeIndex } from '../spaces/darts/space.ts'
import { type CellShape, cellShapes, cellSides, type OperationName, operationKind } from './legacy-cells.ts'
import {
  type Beginning,
  bytesOf,
  composedOperators,
  type Extent,
  gridOperators,
  kernelOperators,
  type Operators,
} from './memory-operators.ts'
import { Tape, type Value, type Wanted } from './memory-tape.ts'

/** The vector kernels of `native/kernels/`, those for a GPU's grid, or ATen's operators. */
export type KernelKind = keyof typeof operatorsOf

const operatorsOf = { vector: kernelOperators, grid: gridOperators, none: composedOperators } as const

/** What is run: a supernet on a batch, and how. */
export interface PassShape {
  readonly space: LegacySpace
  readonly channels: number
  readonly cells: number
  /** Images, and their side in pixels. */
  readonly batch: number
  readonly side: number
  readonly wanted: Wanted
  /** Bytes of one number of an image. */
  readonly element: number
  /** What computes. */
  readonly kernels: KernelKind
}

/** The columns of the operations that run on each edge. */
export type Active = Readonly<Record<CellType, readonly (readonly number[])[]>>

type ActiveEdges = Active[CellType]

/** Peak bytes of the tensors of one pass; `start`: bytes that are there besides. */
export function passPeak(shape: PassShape, active: Active, start: number): number {
  const tape = new Tape(start, shape.wanted)
  const [out] = tape.scope(() => [forward(tape, shape, active)])
  tape.backward(out)
  return tape.peak
}

/** `Supernet.forward` to the mean over the pixels of the last cell's nodes; what follows is small. */
function forward(tape: Tape, shape: PassShape, active: Active): Value {
  const { space, batch: images, channels, cells, side, element, kernels } = shape
  const operators = operatorsOf[kernels](tape)
  const pass = new Pass(tape, operators, space)
  const outputs = [3 * channels, 3 * channels] as const
  const concatenated = { normal: space.nodes, reduce: space.nodes }
  const shapes = cellShapes({ outputs, halves: false }, { channels, cells, concatenated })
  const sides = cellSides(shapes, [side, side])
  const read = stem(tape, { images, channels: 3 * channels, side, element })
  let [s0, s1, later] = operators
    .fanOut(read, [undefined, undefined, undefined])
    .map((x): readonly Value[] => [x])
  for (const [index, own] of shapes.entries()) {
    const type = own.reduction ? 'reduce' : 'normal'
    const extent = { images, channels: own.channels, side: sides[index], element }
    const [out, again] = pass.cell(s0, s1, own, extent, active[type])
    s0 = later
    s1 = out
    later = again
  }
  const pooled = tape.value(
    bytesOf({ images, channels: s1.length * (shapes.at(-1)?.channels ?? 0), side: 1, element }),
  )
  tape.record({ inputs: s1, outputs: [pooled], saved: [] })
  return pooled
}

/** A convolution of the images and a batch norm, which keeps what it normalises. */
function stem(tape: Tape, out: Extent): Value {
  const [normed] = tape.scope(() => {
    const convolved = tape.value(bytesOf(out))
    tape.record({ inputs: [], outputs: [convolved], saved: [], weights: 4 * 27 * out.channels })
    const y = tape.value(bytesOf(out))
    tape.record({ inputs: [convolved], outputs: [y], saved: [convolved], kept: 4 * 4 * out.channels })
    return [y]
  })
  return normed
}

class Pass {
  readonly #tape: Tape
  readonly #operators: Operators
  readonly #space: LegacySpace

  constructor(tape: Tape, operators: Operators, space: LegacySpace) {
    this.#tape = tape
    this.#operators = operators
    this.#space = space
  }

  /** `Cell.forward`. */
  cell(
    s0: readonly Value[],
    s1: readonly Value[],
    { inputs, reduction, afterReduction }: CellShape,
    out: Extent,
    active: ActiveEdges,
  ): readonly [readonly Value[], readonly Value[]] {
    const before = reduction ? { ...out, side: 2 * out.side } : out
    const { nodes } = this.#space
    const both = this.#tape.scope(() => {
      const states: Value[][] = []
      const push = (x: Value) => {
        const readers = this.#readers(states.length, active, out, reduction)
        states.push([...this.#operators.fanOut(x, readers)])
      }
      push(this.#reader(s0, inputs[0], before, afterReduction ? 2 : 1))
      push(this.#reader(s1, inputs[1], before, 1))
      const pairs = Array.from({ length: nodes }, (_, node) => {
        push(this.#node(node, states, active, out, reduction))
        return [take(states[node + 2]), take(states[node + 2])]
      })
      return [...pairs.map(([next]) => next), ...pairs.map(([, later]) => later)]
    })
    return [both.slice(0, nodes), both.slice(nodes)]
  }

  #reader(parts: readonly Value[], inputs: number, out: Extent, stride: number): Value {
    return this.#one(() => {
      const x = this.#operators.pointwise(parts, inputs, out, stride)
      return this.#operators.mix([{ x, normed: true }], out, false)
    })
  }

  #node(
    node: number,
    states: readonly Value[][],
    active: ActiveEdges,
    out: Extent,
    reduction: boolean,
  ): Value {
    return this.#one(() => {
      const terms = Array.from({ length: node + 2 }, (_, input) => {
        const stride = reduction && input < 2 ? 2 : 1
        return active[edgeIndex(node, input)].map((column) => {
          const name = this.#space.operations[column]
          const x = this.#operation(name, take(states[input]), out, stride)
          return { x, normed: operationKind(name).type !== 'skip' || stride > 1 }
        })
      })
      return this.#operators.mix(terms.flat(), out, true)
    })
  }

  /** Who reads a state, in the order in which they take it: the two cells after it a node, then the later nodes. */
  #readers(state: number, active: ActiveEdges, out: Extent, reduction: boolean): (Beginning | undefined)[] {
    const { nodes, operations } = this.#space
    const stride = reduction && state < 2 ? 2 : 1
    const inside = Array.from({ length: nodes }, (_, node) =>
      state < node + 2 ? active[edgeIndex(node, state)] : [],
    )
    const beginnings = inside.flat().map((column) => beginningOf(operations[column], out, stride))
    return state < 2 ? beginnings : [undefined, undefined, ...beginnings]
  }

  /** The body of an operation, as `src/spaces/operations.ts` makes it. */
  #operation(name: OperationName, x: Value, out: Extent, stride: number): Value {
    const { pointwise, separable } = this.#operators
    const kind = operationKind(name)
    if (kind.type === 'skip' && stride > 1) return pointwise([x], out.channels, out, stride)
    if (kind.type === 'sep') return separable(x, out, out, kind.kernel, true)
    return x
  }

  #one(body: () => Value): Value {
    return this.#tape.scope(() => [body()])[0]
  }
}

/** What an operation begins with: its `entry`. */
function beginningOf(name: OperationName, out: Extent, stride: number): Beginning | undefined {
  const kind = operationKind(name)
  if (kind.type === 'pool') return { pool: kind.pool, out }
  if (!('kernel' in kind)) return undefined
  return { before: { ...out, side: stride * out.side }, out, kernel: kind.kernel }
}

/** What the next reader of a state takes. */
function take(handles: Value[]): Value {
  const next = handles.shift()
  if (next !== undefined) return next
  throw new DdsasError('torch', 'a state has more readers than were named')
}

interface LegacySpace {
  readonly nodes: number
  readonly operations: readonly OperationName[]
}
