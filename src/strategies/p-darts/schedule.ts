/** What P-DARTS does in which epoch: its stages, where alpha rests, and how likely an element is left out after a skip connection. */
import { z } from 'zod'

const list = <Item extends z.ZodType>(item: Item) => z.array(item).min(1).max(20)

/** One entry of each list is one stage. */
export const pDartsSetting = z
  .strictObject({
    moreCells: list(z.number().int().nonnegative().max(200)).meta({
      unit: 'cells',
      description: 'that the supernet of each stage has more than network.cells',
    }),
    candidates: list(z.number().int().positive().max(1000)).meta({
      unit: 'candidates',
      description: 'of each row in each stage: the best of the stage before',
    }),
    dropout: list(z.number().min(0).lt(1)).meta({
      unit: '-',
      description: 'how likely elements are left out after skip connections where each stage begins',
    }),
    dropoutDecay: z.number().nonnegative().max(1000).meta({
      unit: '-',
      description: 'that falls by e to the minus this at each epoch in which alpha moves; linearly before',
    }),
    warmUp: z.number().min(0).max(1).meta({
      unit: 'of the epochs of a stage',
      description: 'in which alpha rests at its beginning',
    }),
    maxSkips: z.number().int().nonnegative().max(1000).meta({
      unit: 'skip connections',
      description: 'of the first group of decisions, such as the normal cell, in the end',
    }),
  })
  .describe('the search by P-DARTS')

export type PDartsSetting = z.infer<typeof pDartsSetting>

export interface PDartsStage {
  /** The first epoch, from 0, and after the last. */
  readonly from: number
  readonly to: number
  readonly moreCells: number
  readonly candidates: number
  readonly dropout: number
}

/** The epochs in as many equal parts as there are stages; without those that have no epoch. */
export function stagesIn({ moreCells, candidates, dropout }: PDartsSetting, epochs: number): PDartsStage[] {
  const begin = (stage: number) => Math.round((stage * epochs) / candidates.length)
  return candidates
    .map((count, stage) => ({
      from: begin(stage),
      to: begin(stage + 1),
      moreCells: moreCells[stage],
      candidates: count,
      dropout: dropout[stage],
    }))
    .filter(({ from, to }) => to > from)
}

export interface PDartsEpoch {
  /** Whether alpha stays as it is. */
  readonly rests: boolean
  /** How likely an element is left out. */
  readonly dropout: number
}

export function epochOf(settings: PDartsSetting, epochs: number, epoch: number): PDartsEpoch {
  const stages = stagesIn(settings, epochs)
  const { from, to, dropout } = stages.findLast((stage) => stage.from <= epoch) ?? stages[0]
  const [done, length] = [epoch - from, to - from]
  const moving = done - Math.round(settings.warmUp * length)
  return moving < 0
    ? { rests: true, dropout: (dropout * (length - done - 1)) / length }
    : { rests: false, dropout: dropout * Math.exp(-settings.dropoutDecay * moving) }
}
