/** A cell of a discrete network: the two operations into each node that its genotype names. */
import { DdsasError } from '../../errors.ts'
import { type Maker, type Module, moduleList } from '../../nn/index.ts'
import { mix, type Tensor, tidy } from '../../torch/index.ts'
import type { Drop } from '../drop-path.ts'
import { type Reading, readersOf, States } from '../states.ts'
import type { CellShape } from './cell.ts'
import type { Genotype, GenotypeEdge } from './genotype.ts'
import {
  applyReader,
  factorizedReduce,
  makeOperation,
  type Operation,
  type OperationName,
  operations,
  type Reader,
  reluConvBn,
} from './operations.ts'

/** How one forward pass runs. */
export interface Pass {
  /** Normalise by the batch and update running statistics. */
  readonly training: boolean
  readonly drop?: Drop
}

interface Edge {
  readonly operation: Operation
  /** The node state that it reads: 0 and 1 are the cell's inputs. */
  readonly input: number
  /** Passes its input on unchanged: drop-path leaves it alone. */
  readonly identity: boolean
}

function isOperation(name: string): name is OperationName {
  return Object.hasOwn(operations, name) && name !== 'none'
}

function makeEdge([name, input]: GenotypeEdge, { channels, reduction }: CellShape, maker: Maker): Edge {
  if (!isOperation(name))
    throw new DdsasError(
      'input',
      `a network cannot be built with the operation '${name}': use one of DARTS's`,
    )
  const stride = reduction && input < 2 ? 2 : 1
  const operation = makeOperation(name, { channels, stride, affine: true }, maker)
  return { operation, input, identity: name === 'skip_connect' && stride === 1 }
}

/** The sum of the operations into a node, with their batch norms and what drop-path leaves of them. */
function joined(edges: readonly Edge[], states: States, { training, drop }: Pass): Tensor {
  const outputs = edges.map(({ operation, input }) => operation.body(states.take(input), training))
  const norms = edges.map(({ operation }) => operation.norm?.statistics)
  return mix(outputs, null, norms, { training, kept: drop?.(edges.length) })
}

/** PyTorch's names: `preprocess0`, `preprocess1`, and `_ops` numbered by edge. */
export class NetworkCell implements Module {
  readonly children: Readonly<Record<string, Module>>
  readonly preprocess: readonly [Reader, Reader]
  readonly edges: readonly Edge[]
  /** Indices of the node states that together are the cell's output. */
  readonly concat: readonly number[]
  /** Of the output. */
  readonly channels: number

  constructor(genotype: Genotype, shape: CellShape, maker: Maker) {
    const { inputs, channels, reduction, afterReduction } = shape
    const first = (afterReduction ? factorizedReduce : reluConvBn)(inputs[0], channels, true, maker)
    this.preprocess = [first, reluConvBn(inputs[1], channels, true, maker)]
    const type = reduction ? 'reduce' : 'normal'
    this.edges = genotype[type].map((edge) => makeEdge(edge, shape, maker))
    this.concat = genotype[`${type}_concat`]
    this.channels = this.concat.length * channels
    this.children = {
      preprocess0: this.preprocess[0],
      preprocess1: this.preprocess[1],
      _ops: moduleList(this.edges.map(({ operation }) => operation)),
    }
  }

  /**
   * The outputs of the two cells before, as the nodes they consist of -> this cell's nodes, each [n, c, h', w'], which
   * stand for their concatenation.
   */
  forward(s0: readonly Tensor[], s1: readonly Tensor[], pass: Pass): readonly Tensor[] {
    return tidy(() => {
      const inside = this.edges.map(
        ({ input, operation }): Reading => ({ state: input, entry: operation.entry }),
      )
      const outside = this.concat.map((state): Reading => ({ state }))
      const states = new States(readersOf(2 + this.edges.length / 2, [...inside, ...outside]))
      states.push(applyReader(this.preprocess[0], s0, pass.training))
      states.push(applyReader(this.preprocess[1], s1, pass.training))
      for (let edge = 0; edge < this.edges.length; edge += 2)
        states.push(tidy(() => joined(this.edges.slice(edge, edge + 2), states, pass)))
      return this.concat.map((state) => states.take(state).x)
    })
  }
}
