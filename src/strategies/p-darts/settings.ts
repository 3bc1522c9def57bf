/** Settings of P-DARTS: as published, which cannot be, and what can be foreseen to disappoint. */
import { z } from 'zod'
import { DdsasError } from '../../errors.ts'
import type { SearchSpace } from '../../spaces/space.ts'
import { archOptimizerSettings, usualArchOptimizer } from '../shared/arch-optimizer.ts'
import { pDartsSetting, stagesIn } from './schedule.ts'

export const pDartsSettings = { pDarts: pDartsSetting, ...archOptimizerSettings }

const settingsSchema = z.object(pDartsSettings)
export type PDartsSettings = z.infer<typeof settingsSchema>

/** Of the rows that candidates are left of, how many the smallest has. */
function fewestCandidates({ choices }: SearchSpace): number {
  return Math.min(...choices.flatMap(({ run, candidates }) => (run === 'sampled' ? [candidates.length] : [])))
}

/** Throws DdsasError 'input' for lists of other lengths, and for more candidates than there are, or than before. */
export function check(
  { pDarts: { moreCells, candidates, dropout } }: PDartsSettings,
  space: SearchSpace,
): void {
  const refuse = (problem: string): never => {
    throw new DdsasError('input', problem)
  }
  const lengths = [moreCells, candidates, dropout].map(({ length }) => length)
  if (lengths.some((length) => length !== lengths[0]))
    refuse(
      `pDarts.moreCells, pDarts.candidates and pDarts.dropout have ${lengths.join(', ')} entries: give each one for every stage`,
    )
  const fewest = fewestCandidates(space)
  const more = candidates.findIndex((count, stage) => count > (candidates[stage - 1] ?? fewest))
  if (more >= 0)
    refuse(
      `pDarts.candidates ${candidates.join(', ')}: stage ${more + 1} has more than the ${candidates[more - 1] ?? fewest} there are before; let them fall`,
    )
}

/** Of stages that have no epoch, and of an alpha that rests. */
export function warnings({ pDarts }: PDartsSettings, { epochs }: { readonly epochs: number }): string[] {
  const { length } = pDarts.candidates
  const without = length - stagesIn(pDarts, epochs).length
  return [
    ...(without > 0
      ? [`${without} of ${length} stages have no epoch: set epochs to ${length} at least`]
      : []),
    ...(pDarts.warmUp === 1
      ? ['pDarts.warmUp 1: alpha rests all the time, and the architecture is drawn by chance']
      : []),
  ]
}

/** 3 stages of 25 epochs, of which alpha rests in 10; of 8 candidates 5 are left, then 3. */
export function defaults(space: SearchSpace): PDartsSettings {
  const part = (share: number) => Math.max(1, Math.round(share * fewestCandidates(space)))
  return {
    pDarts: {
      moreCells: [0, 6, 12],
      candidates: [part(1), part(5 / 8), part(3 / 8)],
      dropout: [0.1, 0.4, 0.7],
      dropoutDecay: 0.2,
      warmUp: 0.4,
      maxSkips: 2,
    },
    archOptimizer: { ...usualArchOptimizer.archOptimizer, lr: 6e-4, gradClip: 5 },
  }
}

export function published({ name }: SearchSpace): Readonly<Record<string, number>> {
  if (name !== 'darts') return {}
  return {
    epochs: 75,
    'data.batch': 96,
    'network.channels': 16,
    'network.cells': 5,
    'weightOptimizer.lr': 0.025,
    'weightOptimizer.minLr': 0,
    'archOptimizer.lr': 6e-4,
    'pDarts.dropoutDecay': 0.2,
    'pDarts.warmUp': 0.4,
    'pDarts.maxSkips': 2,
  }
}
