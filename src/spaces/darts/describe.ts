/** What a network is before it is built for real: its size, its cost for one image, its depth, its cells' outputs. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import { DdsasError } from '../../errors.ts'
import { disposeModule, type Module, namedParameters } from '../../nn/index.ts'
import { Generator } from '../../torch/index.ts'
import { smallestAuxiliarySide } from './auxiliary.ts'
import type { CellType } from './genotype.ts'
import { cellSides } from './layout.ts'
import { auxiliaryCell, Network, type NetworkShape } from './network.ts'
import type { NetworkCell } from './network-cell.ts'
import { checkShape } from './shape-check.ts'
import { networkKinds } from './stem.ts'

export interface CellDescription {
  readonly type: CellType
  /** Channels, height, width. */
  readonly output: readonly [number, number, number]
  readonly parameters: number
  readonly multiplyAdds: number
}

export interface NetworkDescription {
  /** Without the auxiliary head, which only training uses. */
  readonly parameters: number
  readonly parametersWithAuxiliary: number
  /**
   * Multiply-adds of convolutions and linear layers for one image, without biases, batch norms, pooling and the
   * auxiliary head, as DARTS counts them.
   */
  readonly multiplyAdds: number
  /** Convolutions and linear layers on the longest way from the image to the logits. */
  readonly depth: number
  /** Height and width of the images, in pixels. */
  readonly imageSide: number
  readonly cells: readonly CellDescription[]
}

/**
 * Describes the network of a shape for images of `imageSide` pixels, whether or not the shape has the auxiliary head.
 * Nothing is drawn and no weight takes memory.
 * @throws {DdsasError} `input` for an operation that there is not, or a side that the network cannot halve.
 */
export function describeNetwork(shape: NetworkShape, imageSide?: number): NetworkDescription {
  checkShape(shape, 'describeNetwork')
  checkGiven(z.int().positive().optional(), imageSide, 'describeNetwork', 'imageSide')
  const network = build({ ...shape, auxiliary: true })
  try {
    return describeBuilt(network, imageSide ?? networkKinds[shape.kind].imageSide)
  } finally {
    disposeModule(network)
  }
}

function describeBuilt(network: Network, imageSide: number): NetworkDescription {
  const stemSides = networkKinds[network.shape.kind].stemSides(imageSide)
  const sides = sidesOf(network, stemSides)
  const cells = network.cells.map((cell, index) =>
    describeCell(cell, network.layout[index].reduction, [sides[index], sides[index + 1]]),
  )
  const all = namedParameters(network)
  const total = sum([...all.values()].map(({ size }) => size))
  const auxiliary = sum([...all].map(([name, { size }]) => (name.startsWith('auxiliary_head.') ? size : 0)))
  const stem = convolutionSizes({ children: network.stem.children })
  const stemCost = sum(stem.map((size, index) => size * stemSides[index] ** 2))
  const classifier = all.get('classifier.weight')?.size ?? 0
  return {
    parameters: total - auxiliary,
    parametersWithAuxiliary: total,
    multiplyAdds: stemCost + sum(cells.map(({ multiplyAdds }) => multiplyAdds)) + classifier,
    depth: depthOf(network, stem.length),
    imageSide,
    cells,
  }
}

/**
 * Throws DdsasError 'input' where images of `imageSide` pixels leave too little for the auxiliary head's pooling, or have
 * a side that the network cannot halve.
 */
export function checkImageSide(shape: NetworkShape, imageSide: number): void {
  const { output } = describeNetwork(shape, imageSide).cells[auxiliaryCell(shape.cells)]
  const smallest = smallestAuxiliarySide(networkKinds[shape.kind].auxiliary)
  if (!shape.auxiliary || output[1] >= smallest) return
  throw new DdsasError(
    'input',
    `images of ${imageSide} px come to ${output[1]} px at the auxiliary head, which needs ${smallest}: ` +
      'use larger images, or no head (loss.auxiliary=0)',
  )
}

function build(shape: NetworkShape): Network {
  return new Network(shape, { device: 'meta', generator: new Generator(0) })
}

/** Side of the second input of each cell, and of the last cell's output. */
function sidesOf(network: Network, stemSides: readonly number[]): number[] {
  const last = stemSides[stemSides.length - 1]
  const before = network.stem.halves ? stemSides[stemSides.length - 2] : last
  return [last, ...cellSides(network.layout, [before, last])]
}

/** `from`, `to`: sides of its second input and of its output. */
function describeCell(
  cell: NetworkCell,
  reduction: boolean,
  [from, to]: readonly [number, number],
): CellDescription {
  const [prepared, edges] = [cell.preprocess, cell.edges.map(({ operation }) => operation)].map((list) =>
    sum(list.flatMap(convolutionSizes)),
  )
  return {
    type: reduction ? 'reduce' : 'normal',
    output: [cell.channels, to, to],
    parameters: sum([...namedParameters(cell).values()].map(({ size }) => size)),
    multiplyAdds: prepared * from ** 2 + edges * to ** 2,
  }
}

/** Elements of each convolution's weight, in the order of definition. */
function convolutionSizes(module: Module): number[] {
  return [...namedParameters(module).values()].flatMap(({ shape, size }) =>
    shape.length === 4 ? [size] : [],
  )
}

/** Convolutions one after the other; the two of a factorized reduction stand side by side. */
function depthOfModule(module: Module): number {
  return 'conv_1' in (module.children ?? {}) ? 1 : convolutionSizes(module).length
}

function depthOf({ stem, cells }: Network, stemDepth: number): number {
  let [before, last] = [stem.halves ? stemDepth - 1 : stemDepth, stemDepth]
  for (const cell of cells) {
    const states = [before, last].map((depth, input) => depth + depthOfModule(cell.preprocess[input]))
    for (let edge = 0; edge < cell.edges.length; edge += 2) {
      const ways = cell.edges.slice(edge, edge + 2)
      states.push(Math.max(...ways.map(({ operation, input }) => states[input] + depthOfModule(operation))))
    }
    before = last
    last = Math.max(...cell.concat.map((state) => states[state]))
  }
  const classifier = 1
  return last + classifier
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
