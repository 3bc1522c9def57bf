/** The auxiliary head: a small classifier on the features after two thirds of the cells, which helps training alone. */
import { BatchNorm2d, Conv2d, type Layer, Linear, type Maker, type Module } from '../../nn/index.ts'
import { avgPool2d, cat, globalAvgPool, relu, type Tensor, tidy } from '../../torch/index.ts'

/** What the published networks for a kind of images differ in. */
export interface AuxiliaryShape {
  /** Of the 5x5 average pooling. */
  readonly stride: number
  /** Whether a batch norm follows the 2x2 convolution: the published network for ImageNet has none. */
  readonly lastNorm: boolean
}

/** Side of the smallest features it takes: a 5x5 pooling, then a 2x2 convolution, must fit. */
export function smallestAuxiliarySide({ stride }: AuxiliaryShape): number {
  return 5 + stride
}

/** torch names: `features.2` 1x1 convolution to 128, `.3` norm, `.5` 2x2 convolution to 768, `.6` norm; `classifier`. */
export class AuxiliaryHead implements Module {
  readonly children: Readonly<Record<string, Module>>
  readonly #stride: number
  readonly #reduce: readonly Layer[]
  readonly #expand: readonly Layer[]
  readonly #classifier: Linear

  constructor(channels: number, classes: number, { stride, lastNorm }: AuxiliaryShape, maker: Maker) {
    const [reduce, norm] = [new Conv2d(channels, 128, 1, {}, maker), new BatchNorm2d(128, true, maker)]
    const expand = new Conv2d(128, 768, 2, {}, maker)
    const last: Readonly<Record<string, Layer>> = lastNorm ? { 6: new BatchNorm2d(768, true, maker) } : {}
    this.#stride = stride
    this.#reduce = [reduce, norm]
    this.#expand = [expand, ...Object.values(last)]
    this.#classifier = new Linear(768, classes, maker)
    this.children = {
      features: { children: { 2: reduce, 3: norm, 5: expand, ...last } },
      classifier: this.#classifier,
    }
  }

  /** The output of a cell, as its nodes [n, c_i, h, w] that nobody concatenated -> logits [n, classes]. */
  forward(parts: readonly Tensor[], training: boolean): Tensor {
    const through = (layers: readonly Layer[], y: Tensor) =>
      relu(layers.reduce((value, layer) => layer.forward(value, training), y))
    return tidy(() => {
      const pooled = cat(
        parts.map((part) => avgPool2d(relu(part), 5, this.#stride, 0)),
        1,
      )
      // Published code flattens, which is the same where one pixel is left, and fits images of one size alone.
      return this.#classifier.forward(globalAvgPool(through(this.#expand, through(this.#reduce, pooled))))
    })
  }
}
