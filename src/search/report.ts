/** What a search tells of itself while it runs. */
import type { SpaceChange, SpaceReport } from '../strategies/strategy.ts'
import type { LimitReports } from './limits.ts'
import type { Collapse, TrustReport } from './trust.ts'

/** One search step: an architecture step, then a weight step. */
export interface StepReport {
  /** From 0. */
  readonly epoch: number
  /** Steps done in this epoch, this one included. */
  readonly step: number
  /** Steps done since the search began, this one included. */
  readonly globalStep: number
  /** Of the weight step's batch; accuracy 0 … 1. */
  readonly train: { readonly loss: number; readonly accuracy: number }
  /** Of the architecture step's batch; null where the strategy has no such step. */
  readonly valid: { readonly loss: number; readonly accuracy: number } | null
  /** Of the weight step's batch. */
  readonly images: number
  /** Norm of the weights' gradients before clipping. */
  readonly gradNorm: number
  /** Learning rate of the weights. */
  readonly lr: number
  readonly seconds: number
}

/** What a benchmark has recorded of an architecture. */
export interface Judgement {
  /** Percent, by data set and split: `accuracies.cifar10.test`. */
  readonly accuracies: Readonly<Record<string, Readonly<Partial<Record<'validation' | 'test', number>>>>>
  /** Which accuracy the rank is by. */
  readonly by: string
  /** 1: none is better. */
  readonly rank: number
  /** Of how many architectures. */
  readonly of: number
  /** Which part of the others is worse, in percent. */
  readonly percentile: number
  /** Test error in percent, and by how many points it is above the lowest of the space: where that one is known. */
  readonly testError?: number
  readonly regret?: number
}

/** What an epoch gave. */
export interface EpochReport extends TrustReport {
  /** From 0. */
  readonly epoch: number
  /** Steps done since the search began. */
  readonly globalStep: number
  /** Over the epoch's weight steps, while the weights moved. */
  readonly train: { readonly loss: number; readonly accuracy: number }
  /** On the validation half after the epoch, in evaluation mode. */
  readonly valid: { readonly loss: number; readonly accuracy: number }
  readonly lr: number
  /** What the space watches of an architecture, by name: skip connections. */
  readonly indicators: Readonly<Record<string, number>>
  /** Of this epoch's architecture to the last epoch's, 0 (the same) to 1; null in the first epoch. */
  readonly distance: number | null
  /** The architecture that the search would pick now. */
  readonly architecture: unknown
  /** What is recorded of it, where the search was given a table of that. */
  readonly recorded?: Judgement
  /** What networks of it cost, where that is limited, by quantity. */
  readonly limits?: LimitReports
  /** Since the epoch began, or the run was resumed within it. */
  readonly seconds: number
}

/** How the space changed when an epoch began, or by hand when a window opened. */
export interface SpaceChangeReport {
  /** From 0. */
  readonly epoch: number
  /** Steps done since the search began. */
  readonly globalStep: number
  /** What was asked for by hand. */
  readonly change?: SpaceChange
  /** By group of decisions. */
  readonly groups: SpaceReport
}

/** A change by hand that was not made. */
export interface RefusedChange extends Pick<SpaceChangeReport, 'epoch' | 'globalStep'> {
  readonly reason: string
}

/** What a window was filled up to, in bytes of tensors. */
export interface MemoryReport {
  /** From 0. */
  readonly epoch: number
  /** Steps done since the search began, the window's first one included. */
  readonly globalStep: number
  /** The most it may take. */
  readonly allowed: number
  /** What it was foretold to take. */
  readonly predicted: number
  /** What was taken at the peak from the first step of the window before to this one; null where there was none. */
  readonly peak: number | null
  /** How many run of each group. */
  readonly operations: Readonly<Record<string, number>>
  /** Why more or less is allowed than in the window before; null where it is the same. */
  readonly reason: string | null
}

/** A kind of cell that has collapsed, told once. */
export interface CollapseReport extends Pick<SpaceChangeReport, 'epoch' | 'globalStep'>, Collapse {}

/** What takes long where an epoch ends: candidates are measured to pick one, or what samples them is trained. */
export type SearchWork = 'ranking' | 'controller'

/** Who is told. */
export interface SearchObserver {
  step(report: StepReport, stepsPerEpoch: number): void
  epoch(report: EpochReport): void
  space(report: SpaceChangeReport): void
  refused(report: RefusedChange): void
  collapse(report: CollapseReport): void
  /** While an epoch ends. */
  work(what: SearchWork, done: number, total: number): void
  /** At the first window, and whenever more or less is allowed. */
  memory(report: MemoryReport): void
}
