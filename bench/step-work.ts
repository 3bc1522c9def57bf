/** What one search step has to do at least, operator by operator: two forward passes, two backward passes, the update. */

import { type CellShape, cellShapes, type OperationName, operationKind } from '../src/budget/legacy-cells.ts'
import type { CellType } from '../src/spaces/darts/genotype.ts'
import { type CellSpace, edgeIndex } from '../src/spaces/darts/space.ts'
import {
  type BothWays,
  classifierWork,
  convolutionWork,
  type Extent,
  factorizedReduceWork,
  fanOutWork,
  mixWork,
  nothing,
  type Pooling,
  poolWork,
  separableWork,
  sgdWork,
  type Term,
  type Work,
} from './work.ts'

export interface SupernetOnImages {
  readonly space: CellSpace
  readonly channels: number
  readonly cells: number
  readonly classes: number
  readonly batch: number
  /** Pixels of an image's side. */
  readonly side: number
}

/** For each edge of a cell type the columns of the operations that run. */
export type Active = Readonly<Record<CellType, readonly (readonly number[])[]>>

/** The work of one operator in one pass; `what` is the operation it belongs to. */
export interface Part extends Work {
  readonly what: string
  readonly pass: 'forward' | 'backward' | 'update'
}

/** A step moves alpha and zeta or the weights, and takes the gradients of no others. */
type Moved = 'architecture' | 'weights'

/** A tensor on its way through the network: whether its gradient is taken, and who reads it. */
interface State {
  readonly extent: Extent
  readonly wanted: boolean
  /** Readers that take it as it is, and those that are separable convolutions. */
  copies: number
  convolutions: number
  /** The others: same poolings are one, with several readers. */
  readonly pools: Map<OperationName, Pooling>
}

class Tally {
  readonly parts: Part[] = []
  readonly states: State[] = []
  weights = 0
  readonly trains: boolean

  constructor(moved: Moved) {
    this.trains = moved === 'weights'
  }

  add(what: string, { forward, backward, weights }: BothWays): void {
    this.parts.push({ what, pass: 'forward', ...forward }, { what, pass: 'backward', ...backward })
    this.weights += weights
  }

  state(extent: Extent, wanted: boolean): State {
    const state = { extent, wanted, copies: 0, convolutions: 0, pools: new Map<OperationName, Pooling>() }
    this.states.push(state)
    return state
  }

  /** Once all readers are known: what they read together, and the sums of the gradients that come back from them. */
  finish(): this {
    for (const { extent, copies, convolutions, pools, wanted } of this.states) {
      const gradients = { x: wanted, weights: this.trains }
      for (const [name, pool] of pools) this.add(name, poolWork(pool, gradients))
      this.add('fan_out', fanOutWork(extent, { copies, convolutions, pools: pools.size }, gradients))
    }
    return this
  }
}

/** Prepares a cell's input: the states it consists of are read side by side. */
function reader(tally: Tally, from: readonly State[], channels: number, halves: boolean): State {
  for (const state of from) state.copies += 1
  const { batch, side } = from[0].extent
  const input = { batch, side, channels: from.reduce((sum, { extent }) => sum + extent.channels, 0) }
  const wanted = { x: from.some((state) => state.wanted), weights: tally.trains }
  const convolution = { input, outputs: channels, kernel: 1, stride: 1, left: true }
  tally.add(
    'inputs',
    halves ? factorizedReduceWork(input, channels, wanted) : convolutionWork(convolution, wanted),
  )
  const extent = { batch, channels, side: halves ? side / 2 : side }
  const term = { normed: true, wanted: wanted.x || wanted.weights, left: true }
  tally.add('inputs', mixWork(extent, [term], false))
  return tally.state(extent, term.wanted)
}

/** One operation without the batch norm it ends with; returns the term it is in its node's sum, if it is ever computed. */
function operation(tally: Tally, name: OperationName, from: State, stride: number): Term | undefined {
  const kind = operationKind(name)
  const input = from.extent
  const wanted = { x: from.wanted, weights: tally.trains }
  const learns = { normed: true, wanted: from.wanted || tally.trains, left: true }
  switch (kind.type) {
    case 'none':
      return undefined
    case 'skip':
      from.copies += 1
      if (stride === 1) return { normed: false, wanted: from.wanted, left: true }
      tally.add(name, factorizedReduceWork(input, input.channels, wanted))
      return learns
    case 'pool': {
      const readers = (from.pools.get(name)?.readers ?? 0) + 1
      from.pools.set(name, { kind: kind.pool, input, stride, readers })
      return { normed: true, wanted: from.wanted, left: true }
    }
    case 'sep':
    case 'dil': {
      const { kernel } = kind
      from.convolutions += 1
      tally.add(
        name,
        separableWork({ input, kernel, stride, normed: false, shared: true, left: true }, wanted),
      )
      if (kind.type === 'dil') return learns
      const half = { ...input, side: Math.ceil(input.side / stride) }
      const again = { input: half, kernel, stride: 1, normed: true, left: true }
      tally.add(name, separableWork(again, { x: learns.wanted, weights: tally.trains }))
      return learns
    }
  }
}

/** A cell's nodes from those of the two cells before. */
function cell(
  tally: Tally,
  space: CellSpace,
  shape: CellShape,
  before: readonly [readonly State[], readonly State[]],
  active: readonly (readonly number[])[],
): State[] {
  const { channels, reduction, afterReduction } = shape
  const inputs = [
    reader(tally, before[0], channels, afterReduction),
    reader(tally, before[1], channels, false),
  ]
  const states = [...inputs]
  const { batch, side } = inputs[1].extent
  const extent = { batch, channels, side: reduction ? side / 2 : side }
  for (let node = 0; node < space.nodes; node++) {
    const terms = states.flatMap((state, input) =>
      active[edgeIndex(node, input)].flatMap(
        (k) =>
          operation(
            tally,
            Object.keys(space.operations)[k] as OperationName,
            state,
            reduction && input < 2 ? 2 : 1,
          ) ?? [],
      ),
    )
    tally.add('mix', mixWork(extent, terms, !tally.trains))
    states.push(tally.state(extent, true))
  }
  return states.slice(2)
}

/** One forward and one backward pass. */
function passWork(shape: SupernetOnImages, active: Active, moved: Moved): Tally {
  const { space, channels, cells, classes, batch, side } = shape
  const tally = new Tally(moved)
  const stem: Extent = { batch, channels: 3 * channels, side }
  const images = { batch, channels: 3, side }
  const convolution = { input: images, outputs: stem.channels, kernel: 3, stride: 1 }
  tally.add('stem', convolutionWork(convolution, { x: false, weights: tally.trains }))
  // its affine batch norm: the weighted sum of one term, weight by weight
  const term = { normed: true, wanted: tally.trains }
  tally.add('stem', { ...mixWork(stem, [term], tally.trains), weights: 2 * stem.channels })
  let s1 = [tally.state(stem, tally.trains)]
  let s0 = s1
  const concatenated = { normal: space.nodes, reduce: space.nodes }
  const outputs = [stem.channels, stem.channels] as const
  for (const own of cellShapes({ outputs, halves: false }, { channels, cells, concatenated })) {
    const nodes = cell(tally, space, own, [s0, s1], active[own.reduction ? 'reduce' : 'normal'])
    s0 = s1
    s1 = nodes
  }
  for (const state of s1) state.copies += 1
  const last = s1[0].extent
  const all = { ...last, channels: s1.length * last.channels }
  tally.add('classifier', classifierWork(all, classes, { x: true, weights: tally.trains }))
  return tally.finish()
}

/**
 * All work of a search step: the architecture step, and the weight step with its update of the supernet's `parameters`
 * weights. The update of alpha and zeta, a few hundred numbers, and the preparation of the batches are not counted.
 */
export function stepWork(shape: SupernetOnImages, active: Active, parameters: number): Part[] {
  const architecture = passWork(shape, active, 'architecture')
  const weights = passWork(shape, active, 'weights')
  const update = { what: 'sgd', pass: 'update', ...sgdWork(parameters, weights.weights) } as const
  return [...architecture.parts, ...weights.parts, update].filter(({ bytes }) => bytes > 0)
}

/** The parts added up. */
export function totalWork(parts: readonly Work[]): Work {
  return parts.reduce(
    (sum, { bytes, flops }) => ({ bytes: sum.bytes + bytes, flops: sum.flops + flops }),
    nothing,
  )
}
