/** The spaces whose supernets benchmarks search, a row each. */
import { dartsSpace } from '../src/spaces/darts/cell-space.ts'
import { nasbench201Space } from '../src/spaces/nasbench201/space.ts'
import type { SearchSpace } from '../src/spaces/space.ts'

interface SpaceRow {
  readonly space: SearchSpace
  /** The L that `length` compares. */
  readonly lengths: readonly number[]
}

export const benchSpaces = {
  darts: {
    space: dartsSpace,
    // the paper's, with 98 at the end: zeros are not counted, so that seven of eight operations are left on 14 edges
    lengths: [15, 28, 42, 56, 70, 84, 98],
  },
  nasbench201: {
    space: nasbench201Space,
    // 12 as in the paper; of five operations on six edges zeros are not counted
    lengths: [7, 12, 18, 24],
  },
} as const satisfies Record<string, SpaceRow>

export type SpaceName = keyof typeof benchSpaces

export const spaceNames = Object.keys(benchSpaces) as SpaceName[]
