/** A cell of the supernet: mixed operations on all edges; only the active ones run. */
import { type Maker, type Module, moduleList } from '../../nn/index.ts'
import { mix, type Tensor, tidy } from '../../torch/index.ts'
import type { NodeTerms } from '../mixing.ts'
import { type Reading, readersOf, States } from '../states.ts'
import {
  applyReader,
  factorizedReduce,
  makeOperation,
  type Operation,
  type Reader,
  reluConvBn,
} from './operations.ts'
import { type CellSpace, edgeCount, edgeIndex } from './space.ts'

export interface CellShape {
  /** Channels of the outputs of the cell before the last and of the last one. */
  readonly inputs: readonly [number, number]
  /** Channels of each node. */
  readonly channels: number
  /** A reduction cell halves the image: the edges from its inputs have stride 2. */
  readonly reduction: boolean
  /** Whether the last cell was a reduction: the output before it is twice as large. */
  readonly afterReduction: boolean
}

/** All candidates of one edge: PyTorch's `_ops.<edge>._ops.<operation>`. */
class MixedOperation implements Module {
  readonly operations: readonly Operation[]
  readonly children: { readonly _ops: Module }

  constructor(space: CellSpace, channels: number, stride: 1 | 2, maker: Maker) {
    this.operations = space.operations.map((name) =>
      makeOperation(name, { channels, stride, affine: false }, maker),
    )
    this.children = { _ops: moduleList(this.operations) }
  }
}

export class Cell implements Module {
  readonly children: Readonly<Record<string, Module>>
  readonly #preprocess: readonly [Reader, Reader]
  readonly #edges: readonly MixedOperation[]

  constructor(space: CellSpace, shape: CellShape, maker: Maker) {
    const { inputs, channels, reduction, afterReduction } = shape
    const first = (afterReduction ? factorizedReduce : reluConvBn)(inputs[0], channels, false, maker)
    this.#preprocess = [first, reluConvBn(inputs[1], channels, false, maker)]
    const edges: MixedOperation[] = Array.from({ length: edgeCount(space) })
    for (let node = 0; node < space.nodes; node++)
      for (let input = 0; input < node + 2; input++)
        edges[edgeIndex(node, input)] = new MixedOperation(
          space,
          channels,
          reduction && input < 2 ? 2 : 1,
          maker,
        )
    this.#edges = edges
    this.children = {
      preprocess0: this.#preprocess[0],
      preprocess1: this.#preprocess[1],
      _ops: moduleList(edges),
    }
  }

  #operation(node: number, term: NodeTerms['terms'][number]): Operation {
    return this.#edges[edgeIndex(node, term.input)].operations[term.operation]
  }

  /** The weighted sum of all active operations on all edges into a node, with their batch norms. */
  #node(node: number, { terms, weights }: NodeTerms, states: States, training: boolean): Tensor {
    return tidy(() => {
      const operations = terms.map((term) => this.#operation(node, term))
      const outputs = operations.map((operation, index) =>
        operation.body(states.take(terms[index].input), training),
      )
      return mix(
        outputs,
        weights,
        operations.map(({ norm }) => norm?.statistics),
        { training },
      )
    })
  }

  /**
   * The outputs of the two cells before, as the nodes they consist of -> this cell's nodes, each [n, c, h', w'], once for the
   * next cell and once for the one after it. They stand for their concatenation, which nobody needs in memory.
   */
  forward(
    s0: readonly Tensor[],
    s1: readonly Tensor[],
    nodes: readonly NodeTerms[],
    training: boolean,
  ): readonly [readonly Tensor[], readonly Tensor[]] {
    return tidy(() => {
      const states = new States(readersOf(nodes.length + 2, this.#readings(nodes)))
      states.push(applyReader(this.#preprocess[0], s0, training))
      states.push(applyReader(this.#preprocess[1], s1, training))
      const next: Tensor[] = []
      const later: Tensor[] = []
      for (const [node, terms] of nodes.entries()) {
        states.push(this.#node(node, terms, states, training))
        next.push(states.take(node + 2).x)
        later.push(states.take(node + 2).x)
      }
      return [next, later]
    })
  }

  /** Who reads which state: the two cells after it each node, then the operations in the order in which they run. */
  #readings(nodes: readonly NodeTerms[]): Reading[] {
    const outside = nodes.flatMap((_, node) => [{ state: node + 2 }, { state: node + 2 }])
    const inside = nodes.flatMap(({ terms }, node) =>
      terms.map((term) => ({ state: term.input, entry: this.#operation(node, term).entry })),
    )
    return [...outside, ...inside]
  }
}
