/**
 * Candidates valued by what a supernet loses without them (leave one out): how much the validation loss rises, or accuracy falls,
 * when one candidate of a subspace is masked, or a whole row where architectures may leave it out.
 */
import { z } from 'zod'
import type { ArchWeightsOf } from '../../nn/index.ts'
import type { Evaluate, Occasion, Score } from '../strategy.ts'
import type { EdgeMask, EdgeMatrix } from './mixture.ts'

/** What is masked of a group: a candidate, or all of a row where no column is said. */
interface Part {
  readonly group: string
  readonly row: number
  readonly column?: number
}

/** The subspace of a group that is looked at. */
export interface MaskedGroup {
  readonly name: string
  /** What runs; `none` does not. */
  readonly mask: EdgeMask
  /** Of each row, whether architectures may leave it out: which do is then valued, too. */
  readonly droppable: readonly boolean[]
}

/** Weights of all groups where these masks say what runs; the caller disposes of them. */
export type WeightsOf = (masks: ReadonlyMap<string, EdgeMask>) => {
  readonly of: ArchWeightsOf
  dispose(): void
}

const score = z.object({ loss: z.number(), accuracy: z.number() })
/** What a checkpoint keeps: a measuring that was stopped goes on. */
export const maskingState = z.array(score)

/** Each part that is masked by itself, in the order of measuring: the candidates of rows that have several, then rows. */
function partsOf(groups: readonly MaskedGroup[]): Part[] {
  return groups.flatMap(({ name: group, mask, droppable }) => {
    const columns = mask.map((row) => row.flatMap((runs, column) => (runs ? [column] : [])))
    return [
      ...columns.flatMap((own, row) => (own.length > 1 ? own.map((column) => ({ group, row, column })) : [])),
      ...columns.flatMap((_, row) => (droppable[row] ? [{ group, row }] : [])),
    ]
  })
}

function without(groups: readonly MaskedGroup[], part?: Part): Map<string, EdgeMask> {
  const isLeft = (name: string, row: number, column: number) =>
    part?.group !== name || part.row !== row || (part.column ?? column) !== column
  return new Map(
    groups.map(({ name, mask }) => [
      name,
      mask.map((runs, row) => runs.map((is, column) => is && isLeft(name, row, column))),
    ]),
  )
}

export class Masking {
  /** Of the whole subspace, then without each of its parts. */
  #measured: Score[] = []

  /** Measures what is not measured yet. Throws what `evaluate` throws, as where the user stops; then call it again. */
  async measure(
    groups: readonly MaskedGroup[],
    weightsOf: WeightsOf,
    evaluate: (of: ArchWeightsOf) => ReturnType<Evaluate>,
    progress: Occasion['progress'],
  ): Promise<void> {
    const trials = [undefined, ...partsOf(groups)]
    for (const [at, part] of trials.entries()) {
      this.#measured[at] ??= await measured(weightsOf(without(groups, part)), evaluate)
      progress?.(at + 1, trials.length)
    }
  }

  /**
   * The value of each candidate [rows x columns], by group; undefined before all is measured. In a row that may be left out the best
   * candidate has the value of the row, and others so much less as they are worse; else each has its own. What does not run has 0.
   */
  values(groups: readonly MaskedGroup[], by: keyof Score): Map<string, EdgeMatrix> | undefined {
    const parts = partsOf(groups)
    if (this.#measured.length !== parts.length + 1) return undefined
    const [whole, ...left] = this.#measured
    const losses = left.map((one) => (by === 'loss' ? one.loss - whole.loss : whole.accuracy - one.accuracy))
    const lossOf = (group: string, row: number, column?: number) =>
      losses[parts.findIndex((one) => one.group === group && one.row === row && one.column === column)]
    return new Map(
      groups.map(({ name, mask, droppable }) => [
        name,
        mask.map((runs, row) => {
          const own = runs.map((is, column) => (is ? (lossOf(name, row, column) ?? 0) : undefined))
          const best = Math.max(...own.filter((value) => value !== undefined))
          const shift = droppable[row] ? lossOf(name, row) - best : 0
          return own.map((value) => (value === undefined ? 0 : value + shift))
        }),
      ]),
    )
  }

  /** What was measured is of a network that has moved. */
  forget(): void {
    this.#measured = []
  }

  get state(): z.infer<typeof maskingState> {
    return [...this.#measured]
  }

  set state(saved: z.infer<typeof maskingState>) {
    this.#measured = saved
  }
}

async function measured(
  { of, dispose }: ReturnType<WeightsOf>,
  evaluate: (of: ArchWeightsOf) => ReturnType<Evaluate>,
): Promise<Score> {
  try {
    const { loss, accuracy } = await evaluate(of)
    return { loss, accuracy }
  } finally {
    dispose()
  }
}
