/** What stands before the first cell and beside the last: stems and auxiliary heads for small images and for ImageNet's. */
import {
  batchNorm2d,
  conv2d,
  images,
  type Layer,
  pool2d,
  relu,
  type Sequence,
  type State,
  type StateId,
  sequential,
} from '../../nn/index.ts'
import { classifier } from '../classifier.ts'
import type { StemKind } from '../space.ts'

/** States that the first cell reads: the output of "the cell before the last", and of the last. */
export interface Stem {
  readonly states: readonly State[]
  readonly outputs: readonly [StateId, StateId]
  readonly channels: number
  /** Whether the second output is half as large as the first. */
  readonly halves: boolean
}

const convNorm = (inputs: number, outputs: number, stride: number): Layer[] => [
  conv2d(inputs, outputs, 3, { stride }),
  batchNorm2d(outputs, true),
]

/** `stem`: to three times C channels, at full size. */
function smallStem(channels: number): Stem {
  const layers = sequential('', convNorm(3, 3 * channels, 1))
  const stem: State = { id: 'stem', kind: 'layers', input: images, name: 'stem', layers }
  return { states: [stem], outputs: ['stem', 'stem'], channels: 3 * channels, halves: false }
}

/** `stem0`: to so many channels at a quarter of the size; `stem1`: to an eighth. */
function largeStem(channels: number): Stem {
  const first = sequential('', [
    ...convNorm(3, channels / 2, 2),
    relu,
    ...convNorm(channels / 2, channels, 2),
  ])
  const second = sequential('', [relu, ...convNorm(channels, channels, 2)])
  return {
    states: [
      { id: 'stem0', kind: 'layers', input: images, name: 'stem0', layers: first },
      { id: 'stem1', kind: 'layers', input: 'stem0', name: 'stem1', layers: second },
    ],
    outputs: ['stem0', 'stem1'],
    channels,
    halves: true,
  }
}

/** Of supernets, by the kind of images: for ImageNet's three times as wide as of networks, as published. */
export const supernetStems = {
  cifar: smallStem,
  imagenet: (channels) => largeStem(3 * channels),
} as const satisfies Record<StemKind, (channels: number) => Stem>

interface AuxiliaryShape {
  /** Of the 5x5 average pooling. */
  readonly stride: number
  /** Whether a batch norm follows the 2x2 convolution: the published network for ImageNet has none. */
  readonly lastNorm: boolean
}

/**
 * A small classifier on the features after two thirds of the cells, which helps training alone. Published code flattens
 * before the linear layer: the same where one pixel is left, and it fits images of one size alone.
 */
function auxiliaryHead({ stride, lastNorm }: AuxiliaryShape) {
  return (channels: number, classes: number): Sequence => [
    ...sequential('features', [
      relu,
      pool2d('avg', stride, 5, 0),
      conv2d(channels, 128, 1),
      batchNorm2d(128, true),
      relu,
      conv2d(128, 768, 2, { padding: 0 }),
      ...(lastNorm ? [batchNorm2d(768, true)] : []),
      relu,
    ]),
    ...classifier(768, classes, 'classifier'),
  ]
}

interface KindOfNetwork {
  readonly stem: (channels: number) => Stem
  readonly auxiliary: (channels: number, classes: number) => Sequence
}

/** The two networks of the DARTS papers; any image size that their reductions can halve. */
export const networkKinds = {
  cifar: { stem: smallStem, auxiliary: auxiliaryHead({ stride: 3, lastNorm: true }) },
  imagenet: { stem: largeStem, auxiliary: auxiliaryHead({ stride: 2, lastNorm: false }) },
} as const satisfies Record<string, KindOfNetwork>

export type NetworkKind = keyof typeof networkKinds
