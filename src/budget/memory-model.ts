/** The memory of a subspace as a sum over its parts, fitted to what was measured in some. */
import { z } from 'zod'
import { nonNegativeLeastSquares } from './non-negative-least-squares.ts'

const bytes = z.number().nonnegative()

export const memoryModelSchema = z.object({
  /** Of each kind of part, for each of what has a peak of its own: a step, an evaluation. */
  parts: z.array(z.array(bytes)),
  /** By which each of those is raised, so that as good as nothing lies above it. */
  raise: z.array(z.number().positive()),
})

export type MemoryModel = z.infer<typeof memoryModelSchema>

/** What was seen of one subspace. */
export interface SubspacePeaks {
  /** How many parts of each kind it has. */
  readonly counts: readonly number[]
  /** Bytes: of a step, of an evaluation. */
  readonly peaks: readonly number[]
}

const sumOf = (parts: readonly number[], counts: readonly number[]) =>
  counts.reduce((sum, count, kind) => sum + count * parts[kind], 0)

/** For whole batches, which are foretold from small ones: a part of all. */
const extrapolation = 1.004

/**
 * Least squares over all that was measured. How far the largest peak may lie above is what a fit to two thirds says of the
 * rest: so much is added.
 */
export function fitMemoryModel(seen: readonly SubspacePeaks[]): MemoryModel {
  const fitted = seen[0].peaks.map((_, which) => {
    const fitTo = (some: readonly SubspacePeaks[]) =>
      nonNegativeLeastSquares(
        some.map(({ counts }) => counts),
        some.map(({ peaks }) => peaks[which]),
      )
    const above = (parts: readonly number[], some: readonly SubspacePeaks[]) =>
      Math.max(1, ...some.map(({ counts, peaks }) => peaks[which] / sumOf(parts, counts)))
    const isHeldOut = (index: number) => index % 3 === 2
    const known = fitTo(seen.filter((_, index) => !isHeldOut(index)))
    const parts = fitTo(seen)
    const raise = Math.max(
      above(
        known,
        seen.filter((_, index) => isHeldOut(index)),
      ),
      above(parts, seen),
    )
    return { parts, raise: raise * extrapolation }
  })
  return { parts: fitted.map(({ parts }) => parts), raise: fitted.map(({ raise }) => raise) }
}

/** Bytes at the peak of a subspace with so many parts of each kind. */
export function predictMemory({ parts, raise }: MemoryModel, counts: readonly number[]): number {
  return Math.ceil(Math.max(...parts.map((own, which) => sumOf(own, counts) * raise[which])))
}
