/** Finds the branches that golden values were computed along. */
import { AssertionError } from 'node:assert'
import { channelsLast } from '../../src/torch/index.ts'
import type { Branch } from './branches.ts'
import { type Held, holdToGolden, nothingYet } from './golden.ts'
import { Explorer, type Kink } from './kinks.ts'
import type { Golden, Manner } from './trajectory.ts'

/** Nearest to exact. */
export const precise: Manner = {
  dtype: 'float64',
  layout: channelsLast,
  run: (body) => body(),
  byKernel: false,
}

interface Attempt extends Readonly<Held> {
  readonly explorer: Explorer
  readonly flips: readonly Kink[]
  /** The first golden value that it did not meet. */
  readonly error?: AssertionError
}

function attempt(golden: Golden, flips: readonly Kink[], looks: boolean): Attempt {
  const explorer = new Explorer(flips, looks)
  const held = nothingYet()
  try {
    holdToGolden(golden, precise, explorer, held)
    return { explorer, flips, ...held }
  } catch (error) {
    if (error instanceof AssertionError) return { explorer, flips, ...held, error }
    throw error
  }
}

/**
 * Kinks that are one: every reader of a state finds the same activation near zero, and every window over two nearly equal
 * pixels those. In float64 no two others are as far from their kink to the last bit. First those that rounding decides soonest,
 * and that a difference seen in a pass comes from soonest: nearest to their kink, and not many passes before.
 */
export function together(kinks: readonly Kink[], passes: number): Kink[][] {
  const groups = new Map<number, Kink[]>()
  for (const kink of kinks) groups.set(kink.distance, [...(groups.get(kink.distance) ?? []), kink])
  const rank = ([{ distance, pass }]: readonly Kink[]) => distance * (passes - pass)
  return [...groups.values()].sort((a, b) => rank(a) - rank(b))
}

/** How many attempts are made at most. */
const most = 40

/** What is left of a number that differed, once the right kink is flipped; others may bring it below 1e-4 by chance. */
const rounded = 3e-5

/** Goes on from an attempt with one more kink flipped, the likeliest first, as long as that comes further; back where none does. */
function further(golden: Golden, from: Attempt, left: { attempts: number }): Attempt | undefined {
  if (from.error === undefined) return from
  const before = new Set(from.flips.map(({ distance }) => distance))
  for (const group of together(from.explorer.undecided, from.explorer.passes)) {
    if (before.has(group[0].distance) || left.attempts === 0) continue
    left.attempts -= 1
    const next = attempt(golden, [...from.flips, ...group], true)
    const right = next.agreed > from.agreed && next.off[from.agreed] <= rounded
    const found = right ? further(golden, next, left) : undefined
    if (found !== next) next.explorer.dispose()
    if (found) return found
  }
  return undefined
}

/**
 * Holds float64 to golden values, along its own branches but for kinks within rounding that have to be flipped for it.
 * @throws AssertionError where no kink explains the first value that differs
 */
export function goldenBranches(golden: Golden): {
  readonly branches: readonly Branch[]
  readonly flips: readonly Kink[]
} {
  const own = attempt(golden, [], false)
  if (own.error === undefined) return { branches: own.explorer.branches, flips: [] }
  own.explorer.dispose()
  const looking = attempt(golden, [], true)
  const found = further(golden, looking, { attempts: most })
  looking.explorer.dispose()
  if (found === undefined) throw own.error
  return { branches: found.explorer.branches, flips: found.flips }
}
