/** Where the cells of a network stand: channels and reductions, and how large images are where they meet a cell. */
import { DdsasError } from '../errors.ts'

import type { CellType } from '../spaces/darts/genotype.ts'

/** What stands before the first cell. */
export interface StemShape {
  /** Channels of the two outputs that the first cell reads. */
  readonly outputs: readonly [number, number]
  /** Whether the second output is half as large as the first. */
  readonly halves: boolean
}

export interface StackShape {
  /** C: channels of a node in the first cells; doubled by each reduction cell. */
  readonly channels: number
  readonly cells: number
  /** How many nodes a cell of a type concatenates. */
  readonly concatenated: Readonly<Record<CellType, number>>
}

/** Positions of the reduction cells among `cells`. */
export function reductionCells(cells: number): readonly number[] {
  return [Math.floor(cells / 3), Math.floor((2 * cells) / 3)]
}

/** The shape of each cell: at a third and at two thirds of the way channels double and the image is halved. */
export function cellShapes(stem: StemShape, { channels, cells, concatenated }: StackShape): CellShape[] {
  const reductions = reductionCells(cells)
  let inputs = stem.outputs
  let current = channels
  let afterReduction = stem.halves
  return Array.from({ length: cells }, (_, index) => {
    const reduction = reductions.includes(index)
    if (reduction) current *= 2
    const shape = { inputs, channels: current, reduction, afterReduction }
    inputs = [inputs[1], concatenated[reduction ? 'reduce' : 'normal'] * current]
    afterReduction = reduction
    return shape
  })
}

/** Side of an image after a 3x3 convolution or pooling of stride 2 with padding 1. */
export function halved(side: number): number {
  return Math.ceil(side / 2)
}

/**
 * Side of each cell's output for images of `sides`, the stem's two outputs.
 * @throws {DdsasError} `input` where an odd side would have to be halved: the two halves of a reduction would differ.
 */
export function cellSides(shapes: readonly CellShape[], sides: readonly [number, number]): number[] {
  let [before, last] = sides
  return shapes.map(({ reduction, afterReduction }) => {
    if (afterReduction) checkEven(before)
    if (reduction) checkEven(last)
    const side = reduction ? last / 2 : last
    before = last
    last = side
    return side
  })
}

function checkEven(side: number): void {
  if (side > 0 && side % 2 === 0) return
  throw new DdsasError(
    'input',
    `images come to ${side} px where a cell has to halve them: use a multiple of 4 px for a cifar network, of 32 for imagenet`,
  )
}
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
/** What an operation computes: the rest of it, its costs too, follows from that. */
type OperationKind =
  | { readonly type: 'none' | 'skip' }
  | { readonly type: 'pool'; readonly pool: 'max' | 'avg' }
  /** A separable convolution applied twice (`sep`), or once with dilation 2 (`dil`). */
  | { readonly type: 'sep' | 'dil'; readonly kernel: number }

/** The operations by their published names. */
const operations = {
  none: { type: 'none' },
  max_pool_3x3: { type: 'pool', pool: 'max' },
  avg_pool_3x3: { type: 'pool', pool: 'avg' },
  skip_connect: { type: 'skip' },
  sep_conv_3x3: { type: 'sep', kernel: 3 },
  sep_conv_5x5: { type: 'sep', kernel: 5 },
  dil_conv_3x3: { type: 'dil', kernel: 3 },
  dil_conv_5x5: { type: 'dil', kernel: 5 },
} as const satisfies Record<string, OperationKind>

export type OperationName = keyof typeof operations

export function operationKind(name: OperationName): OperationKind {
  return operations[name]
}
