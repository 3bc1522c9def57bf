/** The spaces whose supernets benchmarks search, a row each. */
import type { Program } from '../src/nn/index.ts'
import { type CellType, cellTypes } from '../src/spaces/darts/genotype.ts'
import { supernetProgram } from '../src/spaces/darts/programs.ts'
import { type CellSpace, darts } from '../src/spaces/darts/space.ts'

interface SpaceRow {
  readonly space: CellSpace
  /** Of decisions, in the supernet. */
  readonly groups: readonly CellType[]
  /** The L that `length` compares. */
  readonly lengths: readonly number[]
  /** Its supernet. */
  program(size: SupernetSize): Program
}

export interface SupernetSize {
  readonly channels: number
  readonly cells: number
  readonly classes: number
}

export const benchSpaces = {
  darts: {
    space: darts,
    groups: cellTypes,
    // the paper's, with 98 at the end: zeros are not counted, so that seven of eight operations are left on 14 edges
    lengths: [15, 28, 42, 56, 70, 84, 98],
    program: (size) => supernetProgram({ space: darts, ...size }),
  },
} as const satisfies Record<string, SpaceRow>

export type SpaceName = keyof typeof benchSpaces

export const spaceNames = Object.keys(benchSpaces) as SpaceName[]
