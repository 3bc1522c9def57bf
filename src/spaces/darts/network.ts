/** The network a genotype stands for, to be trained: a stem, a stack of its cells, a classifier, an auxiliary head. */
import { DdsasError } from '../../errors.ts'
import {
  disposeModule,
  Linear,
  loadTensors,
  type Maker,
  type Module,
  moduleList,
  stateDict,
} from '../../nn/index.ts'
import { inPrecision, type Precision } from '../../nn/precision.ts'
import { call, cat, Generator, globalAvgPool, Tensor, tidy } from '../../torch/index.ts'
import { type DropPath, drawDrops } from '../drop-path.ts'
import { AuxiliaryHead } from './auxiliary.ts'
import type { CellShape } from './cell.ts'
import type { Genotype } from './genotype.ts'
import { cellShapes, reductionCells } from './layout.ts'
import { NetworkCell } from './network-cell.ts'
import { type NetworkKind, networkKinds, type Stem } from './stem.ts'

export interface NetworkShape {
  readonly kind: NetworkKind
  readonly genotype: Genotype
  /** C: channels of a node in the first cells; even. */
  readonly channels: number
  readonly cells: number
  readonly classes: number
  /** Whether it has the auxiliary head, which only training uses. */
  readonly auxiliary: boolean
  /** float32 unless given; weights and statistics are float32 in any case. */
  readonly precision?: Precision
}

/** How a forward pass runs: training mode, with drop-path if wanted. */
export interface NetworkPass {
  readonly training: boolean
  readonly dropPath?: DropPath
}

export interface NetworkOutput {
  /** [n, classes]. */
  readonly logits: Tensor
  /** [n, classes]: of the auxiliary head, in training mode where there is one. */
  readonly auxiliary?: Tensor
}

export class Network implements Module {
  readonly shape: NetworkShape
  readonly children: Readonly<Record<string, Module>>
  readonly stem: Stem
  readonly cells: readonly NetworkCell[]
  readonly layout: readonly CellShape[]
  readonly #head: AuxiliaryHead | undefined
  readonly #classifier: Linear

  /**
   * Draws all weights from `maker`'s generator with PyTorch's default distributions.
   * @throws {DdsasError} `input` for an operation that there is not.
   */
  constructor(shape: NetworkShape, maker: Maker) {
    const { kind, genotype, channels, cells, classes, auxiliary } = shape
    this.shape = shape
    this.stem = networkKinds[kind].stem(channels, maker)
    const concatenated = { normal: genotype.normal_concat.length, reduce: genotype.reduce_concat.length }
    this.layout = cellShapes(this.stem, { channels, cells, concatenated })
    this.cells = this.layout.map((cell) => new NetworkCell(genotype, cell, maker))
    const features = this.cells[auxiliaryCell(cells)].channels
    this.#head = auxiliary
      ? new AuxiliaryHead(features, classes, networkKinds[kind].auxiliary, maker)
      : undefined
    this.#classifier = new Linear(this.cells[cells - 1].channels, classes, maker)
    this.children = {
      ...this.stem.children,
      cells: moduleList(this.cells),
      ...(this.#head ? { auxiliary_head: this.#head } : {}),
      classifier: this.#classifier,
    }
  }

  /** Images [n, 3, h, w], channels last for speed. */
  forward(images: Tensor, { training, dropPath }: NetworkPass): NetworkOutput {
    return tidy(() => {
      const x = inPrecision(images, this.shape.precision)
      const drop =
        training && dropPath && dropPath.rate > 0 ? drawDrops(dropPath, droppable(this.cells), x) : undefined
      let [s0, s1] = this.stem.forward(x, training).map((state): readonly Tensor[] => [state])
      let auxiliary: Tensor | undefined
      this.cells.forEach((cell, index) => {
        const out = cell.forward(s0, s1, { training, drop })
        // Without gradients this is the end of s0; a deep network on many images would fill the memory.
        for (const state of s0) if (!s1.includes(state)) state.dispose()
        ;[s0, s1] = [s1, out]
        if (training && index === auxiliaryCell(this.cells.length))
          auxiliary = this.#head?.forward(out, training)
      })
      return { logits: this.#classifier.forward(cat(s1.map(globalAvgPool), 1)), auxiliary }
    })
  }
}

/** Throws DdsasError 'input' where `tensors`, given to `what`, is no map of tensors by their names. */
export function checkTensors(tensors: ReadonlyMap<string, Tensor>, what: string): void {
  const given: unknown = tensors
  if (given instanceof Map && [...given.values()].every((tensor) => tensor instanceof Tensor)) return
  throw new DdsasError('input', `${what}: tensors: expected a map of tensors by name`)
}

/**
 * Checks that tensors are the weights of a network of this shape, all of them, before anything of it takes memory.
 * @throws {DdsasError} `checkpoint` naming the first three that differ; `input` for an operation that there is not.
 */
export function checkWeights(
  shape: NetworkShape,
  tensors: ReadonlyMap<string, Tensor>,
  source: string,
): void {
  const network = new Network(shape, { device: 'meta', generator: new Generator(0) })
  try {
    loadTensors(stateDict(network), tensors, source)
  } finally {
    disposeModule(network)
  }
}

/** Throws DdsasError 'checkpoint' naming the first tensor with an element that is no number; `source`: whose it is. */
export function checkFiniteWeights(tensors: ReadonlyMap<string, Tensor>, source: string): void {
  for (const [name, tensor] of tensors)
    if (!tidy(() => call('aten::all', call('aten::isfinite', tensor)).item()))
      throw new DdsasError(
        'checkpoint',
        `'${name}' of ${source} holds NaN or infinity; take the weights of an earlier epoch, or train again`,
      )
}

/** For each edge of all cells in turn whether drop-path may leave it out. */
function droppable(cells: readonly NetworkCell[]): boolean[] {
  return cells.flatMap(({ edges }) => edges.map(({ identity }) => !identity))
}

/** The cell whose output the auxiliary head reads: the second reduction. */
export function auxiliaryCell(cells: number): number {
  return reductionCells(cells)[1]
}
