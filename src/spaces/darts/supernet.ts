/** The supernet: a stem, cells of mixed operations, a classifier; all architectures of a space share its weights. */
import { z } from 'zod'
import { checkGiven } from '../../checks.ts'
import {
  BatchNorm2d,
  Conv2d,
  checkMaker,
  type Layer,
  Linear,
  type Maker,
  type Module,
  moduleList,
  Sequential,
} from '../../nn/index.ts'
import { inPrecision, type Precision, precisions } from '../../nn/precision.ts'
import { cat, fanOut, globalAvgPool, type Tensor, tidy } from '../../torch/index.ts'
import { type Mixing, nodeTerms } from '../mixing.ts'
import { Cell } from './cell.ts'
import type { CellType } from './genotype.ts'
import { cellShapes } from './layout.ts'
import type { CellSpace } from './space.ts'

export interface SupernetShape {
  readonly space: CellSpace
  /** C: channels of a node in the first cells; doubled by each reduction cell. */
  readonly channels: number
  /** How many cells; those at a third and at two thirds are reduction cells. */
  readonly cells: number
  readonly classes: number
  /** Element type of images between the layers; weights and statistics are float32. */
  readonly precision?: Precision
}

const shapeSchema = z.object({
  space: z.object({ operations: z.array(z.string()).nonempty(), nodes: z.int().positive() }),
  channels: z.int().positive(),
  cells: z.int().positive(),
  classes: z.int().positive(),
  precision: z.enum(precisions).optional(),
})

/** The weights of a forward pass, by cell type. */
export type MixingOf = (cell: CellType) => Mixing

/** The stem makes three times C channels of an image. */
const stemMultiplier = 3

export class Supernet implements Module {
  readonly shape: SupernetShape
  readonly children: Readonly<Record<string, Module>>
  readonly #stem: Layer
  readonly #cells: readonly { readonly cell: Cell; readonly type: CellType }[]
  readonly #classifier: Linear

  /** Draws all weights from `maker`'s generator with PyTorch's default distributions. */
  constructor(shape: SupernetShape, maker: Maker) {
    checkGiven(shapeSchema, shape, 'Supernet', 'shape')
    checkMaker(maker, 'Supernet')
    const { space, channels, cells, classes } = shape
    this.shape = shape
    const stemChannels = stemMultiplier * channels
    this.#stem = new Sequential([
      new Conv2d(3, stemChannels, 3, { padding: 1 }, maker),
      new BatchNorm2d(stemChannels, true, maker),
    ])
    const stem = { outputs: [stemChannels, stemChannels], halves: false } as const
    const concatenated = { normal: space.nodes, reduce: space.nodes }
    const shapes = cellShapes(stem, { channels, cells, concatenated })
    this.#cells = shapes.map((cell) => ({
      cell: new Cell(space, cell, maker),
      type: cell.reduction ? 'reduce' : 'normal',
    }))
    this.#classifier = new Linear(shapes[cells - 1].channels * space.nodes, classes, maker)
    this.children = {
      stem: this.#stem,
      cells: moduleList(this.#cells.map(({ cell }) => cell)),
      classifier: this.#classifier,
    }
  }

  /** Images [n, 3, h, w], channels last for speed -> logits [n, classes]. */
  forward(images: Tensor, mixingOf: MixingOf, training: boolean): Tensor {
    const { space, precision } = this.shape
    const { nodes } = space
    return tidy(() => {
      const terms = {
        normal: nodeTerms(mixingOf('normal'), nodes),
        reduce: nodeTerms(mixingOf('reduce'), nodes),
      }
      const stem = this.#stem.forward(inPrecision(images, precision), training)
      // the first cell reads the stem twice, the second once
      let [s0, s1, later] = fanOut(stem, [undefined, undefined, undefined]).map(
        ({ x }): readonly Tensor[] => [x],
      )
      for (const { cell, type } of this.#cells) {
        const [out, again] = cell.forward(s0, s1, terms[type], training)
        s0 = later
        s1 = out
        later = again
      }
      return this.#classifier.forward(cat(s1.map(globalAvgPool), 1))
    })
  }
}
