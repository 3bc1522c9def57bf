/** The spaces whose supernets benchmarks search, a row each. */
import { dartsSpace } from '../src/spaces/darts/cell-space.ts'
import { nasbench1shot1Space } from '../src/spaces/nasbench1shot1/space.ts'
import { nasbench201Space } from '../src/spaces/nasbench201/space.ts'
import type { SearchSpace, StemKind } from '../src/spaces/space.ts'

/** Classes of images, and the pixels of a side. */
export interface ImageKind {
  readonly classes: number
  readonly side: number
}

const small: ImageKind = { classes: 10, side: 32 }

interface SpaceRow {
  readonly space: SearchSpace
  readonly images: ImageKind
  readonly stem: StemKind
  /** The L that `length` compares. */
  readonly lengths: readonly number[]
}

export const benchSpaces = {
  darts: {
    space: dartsSpace,
    images: small,
    stem: 'cifar',
    // the paper's, with 98 at the end: zeros are not counted, so that seven of eight operations are left on 14 edges
    lengths: [15, 28, 42, 56, 70, 84, 98],
  },
  nasbench201: {
    space: nasbench201Space,
    images: small,
    stem: 'cifar',
    // 12 as in the paper; of five operations on six edges zeros are not counted
    lengths: [7, 12, 18, 24],
  },
  'nasbench1shot1-1': {
    space: nasbench1shot1Space(1),
    images: small,
    stem: 'cifar',
    // 6 as in the paper; three operations in each of four blocks
    lengths: [5, 6, 8, 10, 12],
  },
  /** The search on ImageNet. */
  'darts-imagenet': {
    space: dartsSpace,
    images: { classes: 1000, side: 224 },
    stem: 'imagenet',
    lengths: [15, 28, 56],
  },
} as const satisfies Record<string, SpaceRow>

export type SpaceName = keyof typeof benchSpaces

export const spaceNames = Object.keys(benchSpaces) as SpaceName[]
