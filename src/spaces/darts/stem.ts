/** What stands before the first cell: one convolution for small images, three of stride 2 for those of ImageNet. */
import { BatchNorm2d, Conv2d, type Layer, type Maker, type Module } from '../../nn/index.ts'
import { relu, type Tensor } from '../../torch/index.ts'
import type { AuxiliaryShape } from './auxiliary.ts'
import { halved, type StemShape } from './layout.ts'

export interface Stem extends StemShape {
  /** By their names in the network. */
  readonly children: Readonly<Record<string, Module>>
  /** Images [n, 3, h, w] -> what the first cell reads. */
  forward(images: Tensor, training: boolean): [Tensor, Tensor]
}

function convNorm(inputs: number, outputs: number, stride: number, maker: Maker) {
  return {
    conv: new Conv2d(inputs, outputs, 3, { stride, padding: 1 }, maker),
    norm: new BatchNorm2d(outputs, true, maker),
  }
}

function through(layers: readonly Layer[], x: Tensor, training: boolean): Tensor {
  return layers.reduce((value, layer) => layer.forward(value, training), x)
}

/** `stem`: to three times C channels, at full size. */
function smallStem(channels: number, maker: Maker): Stem {
  const outputs = 3 * channels
  const { conv, norm } = convNorm(3, outputs, 1, maker)
  return {
    outputs: [outputs, outputs],
    halves: false,
    children: { stem: { children: { 0: conv, 1: norm } } },
    forward: (images, training) => {
      const s = through([conv, norm], images, training)
      return [s, s]
    },
  }
}

/** `stem0`: to C channels at a quarter of the size; `stem1`: to an eighth. */
function largeStem(channels: number, maker: Maker): Stem {
  const first = convNorm(3, channels / 2, 2, maker)
  const second = convNorm(channels / 2, channels, 2, maker)
  const third = convNorm(channels, channels, 2, maker)
  const stem0 = { 0: first.conv, 1: first.norm, 3: second.conv, 4: second.norm }
  return {
    outputs: [channels, channels],
    halves: true,
    children: { stem0: { children: stem0 }, stem1: { children: { 1: third.conv, 2: third.norm } } },
    forward: (images, training) => {
      const half = through([first.conv, first.norm], images, training)
      const quarter = through([second.conv, second.norm], relu(half), training)
      return [quarter, through([third.conv, third.norm], relu(quarter), training)]
    },
  }
}

interface KindOfNetwork {
  readonly stem: (channels: number, maker: Maker) => Stem
  /** Side of the images it is meant for. */
  readonly imageSide: number
  /** Side of the output of each of the stem's convolutions, from that of the images. */
  readonly stemSides: (side: number) => readonly number[]
  readonly auxiliary: AuxiliaryShape
}

/** The two networks of the DARTS papers; any image size that their reductions can halve. */
export const networkKinds = {
  cifar: {
    stem: smallStem,
    imageSide: 32,
    stemSides: (side) => [side],
    auxiliary: { stride: 3, lastNorm: true },
  },
  imagenet: {
    stem: largeStem,
    imageSide: 224,
    stemSides: (side) => [halved(side), halved(halved(side)), halved(halved(halved(side)))],
    auxiliary: { stride: 2, lastNorm: false },
  },
} as const satisfies Record<string, KindOfNetwork>

export type NetworkKind = keyof typeof networkKinds
