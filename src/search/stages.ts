/** The stages of a search: which supernet it has in which epochs, how that comes about, and in what batches it is trained. */
import type { SupernetOptions } from '../spaces/space.ts'
import type { SearchConfig, SearchParts } from './config.ts'

/** Size of a supernet, for any number of classes. */
export type SupernetSize = Omit<SupernetOptions, 'classes'>

/** Epochs that have a supernet and a size of batches in common. */
export interface SearchStage {
  /** The first, from 0. */
  readonly from: number
  /** After the last. */
  readonly to: number
  readonly size: SupernetSize
  /** Images of a batch. */
  readonly batch: number
  /** Of the stage before: its supernet goes on, or its weights in one that is built anew, or nothing. */
  readonly keeps: 'supernet' | 'weights' | 'nothing'
  /** The epochs of the schedule of learning rates that it belongs to. */
  readonly schedule: { readonly from: number; readonly to: number }
}

/** Those of a search, in their order; one where the strategy has none. */
export function stagesOf(config: SearchConfig, { space, strategy }: SearchParts): readonly SearchStage[] {
  const { epochs, network, data } = config
  const usual = { from: 0, size: network as SupernetSize, batch: data.batch, keeps: 'nothing' as const }
  const own = strategy.stages?.(config, { space, epochs, cells: network.cells, batch: data.batch }) ?? []
  const begun: Pick<SearchStage, 'from' | 'size' | 'batch' | 'keeps'>[] = [usual]
  for (const { from, network: other, batch = data.batch, carriesWeights } of own) {
    if (from >= epochs) continue
    // of those that begin at once the last is what remains
    while (begun.length > 0 && begun[begun.length - 1].from >= from) begun.pop()
    const size = { ...network, ...other }
    const before = begun.at(-1)
    const same = before !== undefined && sameSize(before.size, size)
    begun.push({ from, size, batch, keeps: same ? 'supernet' : carriesWeights ? 'weights' : 'nothing' })
  }
  return withEnds(begun, epochs)
}

function withEnds(
  begun: readonly Pick<SearchStage, 'from' | 'size' | 'batch' | 'keeps'>[],
  epochs: number,
): SearchStage[] {
  const fresh = begun.flatMap(({ from, keeps }) => (keeps === 'nothing' ? [from] : []))
  return begun.map((stage, index) => {
    const from = fresh.findLast((first) => first <= stage.from) ?? 0
    const to = fresh.find((first) => first > stage.from) ?? epochs
    return { ...stage, to: begun[index + 1]?.from ?? epochs, schedule: { from, to } }
  })
}

const sizeKeys = ['channels', 'cells', 'stem', 'partialChannels', 'skipDropout'] as const

/** A size with what it need not say. */
export function wholeSize(size: SupernetSize): Required<SupernetSize> {
  const { channels, cells, stem = 'cifar', partialChannels = 1, skipDropout = false } = size
  return { channels, cells, stem, partialChannels, skipDropout }
}

export function sameSize(one: SupernetSize, other: SupernetSize): boolean {
  const [a, b] = [wholeSize(one), wholeSize(other)]
  return sizeKeys.every((key) => a[key] === b[key])
}

/** The one that an epoch belongs to. */
export function stageAt(stages: readonly SearchStage[], epoch: number): SearchStage {
  return stages.findLast(({ from }) => from <= epoch) ?? stages[0]
}

/** The settings as they are in a stage, for who asks what its supernet and its batches cost. */
export function configOf(config: SearchConfig, { size, batch }: SearchStage): SearchConfig {
  const { skipDropout: _, ...network } = wholeSize(size)
  return { ...config, network, data: { ...config.data, batch } }
}
