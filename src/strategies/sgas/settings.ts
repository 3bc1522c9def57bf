/** Settings of SGAS: as published, what they mean for its epochs, and what can be foreseen to disappoint. */
import { z } from 'zod'
import { keptRows, type SearchSpace } from '../../spaces/space.ts'
import { archOptimizerSettings, usualArchOptimizer } from '../shared/arch-optimizer.ts'
import type { Stage, StagedSearch } from '../strategy.ts'

const share = z.number().min(0).max(1)

export const sgasSettings = {
  sgas: z
    .strictObject({
      criterion: z.number().int().min(1).max(2).meta({
        unit: '-',
        description: '1: an edge is decided by importance and certainty; 2: by stability, too',
      }),
      warmUp: share.meta({
        unit: 'of the epochs',
        description: 'before the first edge of each group is decided',
      }),
      interval: share.meta({ unit: 'of the epochs', description: 'from one edge to the next' }),
      history: z
        .number()
        .int()
        .positive()
        .max(100)
        .meta({ unit: 'epochs', description: 'that stability looks back' }),
      // older runs had the same batches all along
      batchIncrease: z.number().int().nonnegative().max(10_000).default(0).meta({
        unit: 'images',
        description: 'that batches have more each time edges are decided',
      }),
    })
    .describe('the search by SGAS'),
  ...archOptimizerSettings,
}

const settingsSchema = z.object(sgasSettings)
export type SgasSettings = z.infer<typeof settingsSchema>

/** How many edges are decided after an epoch, from 0; `edges`: in all. */
export function decisionsDue(
  { warmUp, interval }: Pick<SgasSettings['sgas'], 'warmUp' | 'interval'>,
  epoch: number,
  epochs: number,
  edges: number,
): number {
  const at = (decision: number) => Math.round((warmUp + interval * decision) * epochs)
  return Array.from({ length: edges }, (_, decision) => decision).filter((decision) => at(decision) <= epoch)
    .length
}

/** Batches grow at each epoch after one in which an edge of some group is decided. */
export function stages(
  { sgas }: SgasSettings,
  { space: { choices }, epochs, batch }: StagedSearch,
): readonly Stage[] {
  const edges = choices.flatMap((group) => (group.run === 'sampled' ? [keptRows(group)] : []))
  const due = (epoch: number) => edges.map((count) => decisionsDue(sgas, epoch, epochs, count)).join()
  const none = edges.map(() => 0).join()
  const decided = Array.from({ length: epochs }, (_, epoch) => epoch).filter(
    (epoch) => due(epoch) !== (epoch === 0 ? none : due(epoch - 1)),
  )
  return sgas.batchIncrease === 0
    ? []
    : decided.map((epoch, times) => ({
        from: epoch + 1,
        batch: batch + sgas.batchIncrease * (times + 1),
      }))
}

/** Of edges that will not be decided before the end. */
export function warnings(
  { sgas }: SgasSettings,
  { epochs }: { readonly epochs: number },
  { choices }: Pick<SearchSpace, 'choices'>,
): string[] {
  return choices.flatMap((group) => {
    if (group.run !== 'sampled') return []
    const edges = keptRows(group)
    // what is decided after the last epoch comes too late
    const decided = decisionsDue(sgas, epochs - 2, epochs, edges)
    return decided < edges
      ? [
          `${edges - decided} of ${edges} edges of '${group.name}' are not decided before the last epoch, and picked by importance: set a smaller sgas.warmUp or sgas.interval`,
        ]
      : []
  })
}

/** As published: of 50 epochs 9, and 5. */
export function defaults(): SgasSettings {
  return {
    sgas: { criterion: 1, warmUp: 0.18, interval: 0.1, history: 4, batchIncrease: 8 },
    ...usualArchOptimizer,
  }
}

export function published({ name }: SearchSpace): Readonly<Record<string, number>> {
  return name === 'darts'
    ? {
        epochs: 50,
        'data.batch': 64,
        'sgas.warmUp': 0.18,
        'sgas.interval': 0.1,
        'sgas.history': 4,
        'sgas.batchIncrease': 8,
      }
    : {}
}
