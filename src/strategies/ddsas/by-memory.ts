/** The next subspaces of all groups, filled up to the memory that a search may take. */
import { DdsasError } from '../../errors.ts'
import type { SubspaceBudget } from '../strategy.ts'
import { fillSubspaces } from './fill.ts'
import type { Exploration, SampledGroup, Values } from './group.ts'
import type { EdgeMask } from './mixture.ts'
import type { DdsasSettings } from './settings.ts'
import { activeOperations } from './subspace.ts'
import type { WindowMemory } from './window-record.ts'

/** What subspaces are filled up to; undefined where by L. Throws DdsasError 'input' where nothing says how much that is. */
export function memoryOf(
  { ddsas: { fill } }: DdsasSettings,
  memory: SubspaceBudget | undefined,
): SubspaceBudget | undefined {
  if (fill !== 'memory') return undefined
  if (memory !== undefined) return memory
  throw new DdsasError(
    'input',
    'ddsas.fill = memory needs the memory that a search keeps to; set memory.limit',
  )
}

/** Samples; returns what was allowed and what is predicted. */
export function sampleByMemory(
  groups: readonly SampledGroup[],
  values: Readonly<Record<string, Values>>,
  constants: Exploration,
  noneCounts: boolean,
  memory: SubspaceBudget,
): WindowMemory {
  const scored = groups.map((group) => group.scored(values[group.choices.name], constants))
  const bytes = (masks: readonly EdgeMask[]) =>
    memory.predict(
      new Map(
        groups.map(
          ({ choices }, at) => [choices.name, activeOperations(masks[at], scored[at].none)] as const,
        ),
      ),
    )
  const allowed = memory.allowed()
  const masks = fillSubspaces(scored, { noneCounts, bytes, limit: allowed })
  for (const [at, group] of groups.entries()) group.take(masks[at])
  return { allowed, predicted: bytes(masks) }
}
