/** A cell of the supernet: mixed operations on all edges; only the active ones run. */
import { type Maker, type Module, moduleList } from '../nn/index.ts'
import { cat, mix, relu, type Tensor, tidy } from '../torch/index.ts'
import { type CellSpace, edgeCount, edgeIndex } from './darts.ts'
import type { NodeTerms } from './mixing.ts'
import { applyAfterRelu, factorizedReduce, makeOperation, type Operation, reluConvBn } from './operations.ts'

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

/** A node's value and, where an operation reads it, its ReLU. */
interface NodeState {
  readonly x: Tensor
  readonly relu?: Tensor
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
  readonly #preprocess: readonly [Operation, Operation]
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

  /** Whether some active operation reads the ReLU of node state `input`. */
  #needsRelu(nodes: readonly NodeTerms[], input: number): boolean {
    return nodes.some(({ terms }, node) =>
      terms.some((term) => term.input === input && this.#operation(node, term).readsRelu === true),
    )
  }

  #operation(node: number, term: NodeTerms['terms'][number]): Operation {
    return this.#edges[edgeIndex(node, term.input)].operations[term.operation]
  }

  /** The weighted sum of all active operations on all edges into a node, with their batch norms. */
  #node(
    node: number,
    { terms, weights }: NodeTerms,
    states: readonly NodeState[],
    training: boolean,
  ): Tensor {
    return tidy(() => {
      const operations = terms.map((term) => this.#operation(node, term))
      const outputs = operations.map((operation, index) => {
        const { x, relu: rectified = x } = states[terms[index].input]
        return operation.body(operation.readsRelu ? rectified : x, training)
      })
      return mix(
        outputs,
        weights,
        operations.map(({ norm }) => norm?.buffers),
        { training },
      )
    })
  }

  /**
   * Outputs of the two cells before, *after* a ReLU (both are read through one, and each by two cells):
   * [n, c, h, w] each -> [n, nodes x channels, h', w'].
   */
  forward(s0: Tensor, s1: Tensor, nodes: readonly NodeTerms[], training: boolean): Tensor {
    return tidy(() => {
      const states: NodeState[] = []
      const push = (x: Tensor) =>
        states.push(this.#needsRelu(nodes, states.length) ? { x, relu: relu(x) } : { x })
      push(applyAfterRelu(this.#preprocess[0], s0, training))
      push(applyAfterRelu(this.#preprocess[1], s1, training))
      for (const [node, terms] of nodes.entries()) push(this.#node(node, terms, states, training))
      return cat(
        states.slice(2).map(({ x }) => x),
        1,
      )
    })
  }
}
